"""What InferFlux supports, gathered from the tables that the code itself goes by.

Every entry says what it was tested against and by which test; ``tests/cli/test_supported.py`` holds
that the test exists and tries the entry.  An architecture, a type or a kind that is added to its
table appears here by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inferflux.cli.tensor_types import how_it_becomes
from inferflux.codegen.targets import TARGETS
from inferflux.ir.frontend.architectures.table import ARCHITECTURES
from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TENSOR_KINDS
from inferflux.ir.frontend.gguf.repacked import REPACKED
from inferflux.ir.frontend.huggingface.quantisation.scheme import METHODS
from inferflux.ir.frontend.huggingface.rope import SCALINGS
from inferflux.ir.frontend.quantising import QUANTISERS
from inferflux.text.pretokenizers import PRE_TOKENIZERS


@dataclass(frozen=True, slots=True)
class Tested:
    """Evidence: what an entry was held against, and the test that does so."""

    against: str
    by: str  # "tests/FILE.py::TEST"
    tries: str = ""  # the table whose every entry it tries; else the entry's name stands in the file


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is supported."""

    name: str
    facts: Mapping[str, str]
    tested: tuple[Tested, ...]

    def row(self) -> dict[str, str]:
        by = "; ".join(f"{each.against} ({each.by})" for each in self.tested)
        return {"name": self.name, **self.facts, "tested against": by}


@dataclass(frozen=True, slots=True)
class Section:
    """Entries of one kind; all have the same facts."""

    title: str
    about: str
    entries: Sequence[Entry]


_TRANSFORMERS = Tested(
    "transformers in float32",
    "tests/oracle/test_architectures.py::test_a_directory_computes_what_transformers_computes",
    tries="ENTRIES",
)
_SCALED = Tested(
    "transformers' own frequencies",
    "tests/oracle/test_architectures.py::test_a_directory_computes_what_transformers_computes",
    tries="ENTRIES",
)
_BY_KERNELS = Tested(
    "NumPy, to the bit",
    "tests/kernels/test_formats.py::"
    "test_a_weight_gives_its_rows_to_the_bit_and_meets_int8_and_floats",
    tries="FORMATS",
)
_BY_LINEAR = Tested("NumPy", "tests/kernels/test_linear.py::test_linear", tries="CASES")
_REPACKED = Tested(
    "the gguf package",
    "tests/ir/frontend/test_gguf_repacked.py::test_the_table_says_what_a_type_becomes",
    tries="REPACKED",
)
_QUANTISED_LAYERS = Tested(
    "the format's definition in NumPy",
    "tests/ir/frontend/test_quantised_layers.py::test_values_are_those_of_the_format",
    tries="NAMES",
)
_QUANTISED = Tested(
    "the gguf package",
    "tests/ir/frontend/test_quantising.py::test_matrices_become_the_type_and_the_head_wider",
)
_TOKENS = Tested(
    "llama.cpp's ids of the default model",
    "tests/text/test_tokenizer.py::test_ids_are_those_of_the_reference",
)
_TEMPLATES = (
    Tested("Jinja2's sandbox", "tests/text/test_chat.py::test_it_renders_refuses_or_fails_as_in_jinja2"),
    Tested(
        "transformers",
        "tests/text/test_chat.py::test_it_renders_refuses_or_fails_as_in_transformers",
    ),
)
_BUDGETS = Tested(
    "hostile templates", "tests/text/test_sandbox.py::test_what_costs_too_much_is_stopped"
)


def sections() -> tuple[Section, ...]:
    """Everything that is supported; what is not listed is refused by its name."""
    return (
        Section("architectures", "Dense decoders and mixtures, of both formats.", [*_architectures()]),
    )
