"""Everything that is supported, gathered from the tables that the code itself goes by.

What is added to its table appears here by itself.  That the named tests exist and try each entry is
held by ``tests/cli/test_supported.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from inferflux.cli.support import Entry, Evidence, Section
from inferflux.cli.tensor_types import how_it_becomes
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.ir.frontend.architectures.table import ARCHITECTURES
from inferflux.ir.frontend.gguf.kinds import SUPPORTED, TENSOR_KINDS, TensorKind
from inferflux.ir.frontend.gguf.repacked import REPACKED
from inferflux.ir.frontend.gguf.tokenizer import KINDS
from inferflux.ir.frontend.huggingface.quantisation.scheme import METHODS
from inferflux.ir.frontend.huggingface.rope import SCALINGS
from inferflux.ir.frontend.huggingface.tensors import DTYPES
from inferflux.ir.frontend.pretokenizers import PRE_TOKENIZERS
from inferflux.ir.frontend.quantising import QUANTISERS
from inferflux.ir.types import FLOATS, Q4_0, Q4_1, Q8_0, DType

_ORACLE: Final = "tests/oracle/test_architectures.py"
_DIRECTORY: Final = Evidence(
    "transformers in float32, within 2e-4",
    f"{_ORACLE}::test_a_directory_computes_what_transformers_computes",
    tries="of_entries",
)
_GGUF: Final = Evidence(
    "the same from a GGUF", f"{_ORACLE}::test_a_gguf_computes_the_same", tries="of_entries"
)
_KEPT: Final = Evidence(
    "those logits, kept for `make test`",
    "tests/ir/frontend/test_architectures.py::test_a_directory_decodes_in_a_batch_as_transformers_does",
    tries="stored.NAMES",
)
_PEER: Final = Evidence(
    "llama.cpp, greedy tokens of the same GGUF, where it computes the same formula",
    "tests/oracle/test_llama_cpp.py::test_llama_cpp_and_we_go_on_alike",
    tries="of_entries",
)
_KERNELS: Final = "tests/kernels/test_linear.py::test_linear"
_FORMATS: Final = Evidence(
    "NumPy, its rows to the bit",
    "tests/kernels/test_formats.py"
    "::test_a_weight_gives_its_rows_to_the_bit_and_meets_int8_and_floats",
    tries="BLOCKS",
)
_LINEAR: Final = Evidence("NumPy", _KERNELS, tries="CASES")
_SIMPLE: Final = (*FLOATS, Q4_0, Q4_1, Q8_0)
_REPACKED: Final = Evidence(
    "the gguf package",
    "tests/ir/frontend/test_gguf_repacked.py::test_the_table_says_what_a_type_becomes",
    tries="REPACKED",
)
_FLOATS: Final = Evidence(
    "the same numbers in a GGUF",
    "tests/ir/frontend/test_huggingface.py::test_narrow_floats_are_read_as_they_are",
)
_LAYERS: Final = Evidence(
    "the values that the format's own definition gives",
    "tests/ir/frontend/test_quantised_layers.py::test_values_are_those_of_the_format",
    tries="NAMES",
)
_PACKAGE: Final = Evidence(
    "the package gptqmodel, directories of its own and their values, within 2e-4",
    "tests/oracle/test_quantising_package.py"
    "::test_what_the_package_quantised_computes_what_its_values_compute",
    tries="quantising_package.OPTIONS",
)
_PACKAGED: Final = ("gptq", "awq")
_STACKS: Final = Evidence(
    "the gguf package's blocks of the same values, to the bit",
    "tests/ir/frontend/test_mxfp4.py::test_its_tensors_are_those_of_the_gguf_to_the_bit",
)
_QUANTISED: Final = Evidence(
    "the quantisers of the gguf package",
    "tests/ir/frontend/test_quantising.py::test_every_matrix_is_quantised_from_its_values",
    tries="QUANTISERS",
)
_TOKENS: Final = Evidence(
    "llama.cpp, token for token",
    "tests/text/test_tokenizer.py::test_ids_are_those_of_llama_cpp",
    tries="FROZEN",
)
_CUTS: Final = Evidence(
    "llama.cpp, SmolLM's merges in a file that names it",
    "tests/text/test_kinds.py::test_a_named_pre_tokenizer_cuts_as_llama_cpp_does",
    tries="CUT",
)
_SMALL: Final = Evidence(
    "llama.cpp, a small vocabulary of the kind",
    "tests/text/test_kinds.py::test_small_vocabularies_give_the_ids_of_llama_cpp",
    tries="SMALL",
)
_VOCABULARIES: Final = Evidence(
    "llama.cpp, 10,000 strings in a real vocabulary",
    "tests/oracle/test_tokenizers.py::test_ids_are_those_of_llama_cpp",
    tries="vocabulary_files",
)
_CHAT: Final = tuple(
    Evidence(f"{name}, text for text", f"tests/text/test_chat.py::{test}", tries="TEMPLATES")
    for name, test in (
        ("Jinja2's sandbox", "test_it_renders_refuses_or_fails_as_in_jinja2"),
        ("transformers", "test_it_renders_refuses_or_fails_as_in_transformers"),
    )
)
_CHAT_FEATURES: Final = {  # and a template that lives on each
    "messages, system or not": "chatml",
    "content in parts": "gemma3_folded_system",
    "tools as JSON schemas": "qwen25_tools",
    "tool calls and tool results": "mistral_v3_tools",
    "documents": "command_r_rag",
    "variables of the template's own": "qwen3_thinking",
    "reasoning apart from content": "reasoning",
    "add_generation_prompt": "zephyr",
    "raise_exception": "developer_and_system",
    "strftime_now": "mistral_v7_system",
    "tojson": "json",
    "namespace": "deepseek_namespace",
    "macros, recursive or called with a block": "harmony_channels",
    "{% generation %}": "olmo_generation",
    "{% break %}, {% continue %}": "loop_controls",
    "filters, tests and methods of Jinja2's sandbox": "typed_tool_tables",
}


def sections() -> tuple[Section, ...]:
    """What is not listed is refused by its name."""
    return (
        _section("architectures", "In GGUF by the name, in directories by `model_type`.", _models),
        _section("tensor types of GGUF", "Vectors of every type become `f32`.", _gguf_types),
        _section("tensor types of safetensors", "Outside quantised layers.", _numbers),
        _section("quantised safetensors", "By `quant_method`.", _methods),
        _section("quantising while compiling", "By `compile --quantize`.", _quantisers),
        _section("scaled rotations", "By `rope_type`; a GGUF states the same.", _scalings),
        _section("tokenizers", "By `tokenizer.ggml.model`.", _tokenizers),
        _section("pre-tokenizers", "By `tokenizer.ggml.pre`.", _pre_tokenizers),
        _section("chat templates", "The model's own, in Jinja2's sandbox.", _chat_features),
        _section("targets", "Best first; every one is built on any machine.", _targets),
    )


def _section(title: str, about: str, entries: Callable[[], Iterator[Entry]]) -> Section:
    return Section(title, about, tuple(entries()))


def _models() -> Iterator[Entry]:
    for name, architecture in ARCHITECTURES.items():
        types = ", ".join(published.model_type for published in architecture.published)
        yield Entry(name, {"model_type": types}, (_DIRECTORY, _GGUF, _KEPT, _PEER))


def _gguf_types() -> Iterator[Entry]:
    for kind in TENSOR_KINDS.values():
        if kind.name in SUPPORTED:
            dtype = SUPPORTED[kind.name]
            yield _gguf_type(kind, dtype, _LINEAR if dtype in _SIMPLE else _FORMATS)
        elif kind.name in REPACKED:
            yield _gguf_type(kind, REPACKED[kind.name].dtype, _REPACKED)


def _gguf_type(kind: TensorKind, dtype: DType, tested: Evidence) -> Entry:
    facts = {
        "bits of a weight": f"{kind.block_bytes * 8 / kind.block:g}",
        "kernels read": dtype.name,
        "how": how_it_becomes(kind.name, dtype),
    }
    return Entry(kind.name, facts, (tested,))


def _numbers() -> Iterator[Entry]:
    for name, dtype in DTYPES.items():
        yield Entry(name, {"kernels read": dtype.name}, (_FLOATS,))


def _methods() -> Iterator[Entry]:
    for name in METHODS:
        by_package = (_PACKAGE,) if name in _PACKAGED else ()
        yield Entry(name, {}, (_STACKS if name == "mxfp4" else _LAYERS, *by_package))


def _quantisers() -> Iterator[Entry]:
    for name, dtype in QUANTISERS.items():
        bits = f"{dtype.block_bytes * 8 / dtype.block:g}"
        yield Entry(name, {"bits of a weight": bits}, (_QUANTISED,))


def _scalings() -> Iterator[Entry]:
    first: dict[int, str] = {}  # by identity: a scaling may have an older name, too
    for name, scaling in SCALINGS.items():
        first.setdefault(id(scaling), name)
    for name in first.values():
        others = ", ".join(
            o for o, each in SCALINGS.items() if each is SCALINGS[name] and o != name
        )
        yield Entry(name, {"also called": others}, (_DIRECTORY,))


def _tokenizers() -> Iterator[Entry]:
    for name, kind in KINDS.items():
        own = {"gpt2": (_TOKENS,), "gemma4": ()}.get(name, (_SMALL,))
        yield Entry(name, {"kind": kind.name}, (*own, _VOCABULARIES))


def _pre_tokenizers() -> Iterator[Entry]:
    for name, family in PRE_TOKENIZERS.items():
        yield Entry(name, {}, (_CUTS,) if family.spelling == "byte_level" else (_VOCABULARIES,))


def _chat_features() -> Iterator[Entry]:
    for feature, shape in _CHAT_FEATURES.items():
        yield Entry(feature, {"for example": f"tests/text/templates/{shape}.jinja"}, _CHAT)


def _targets() -> Iterator[Entry]:
    for name, target in TARGETS.items():
        facts = {
            "machines": ", ".join(target.machines),
            "needs": " ".join(target.features) or "nothing",
        }
        yield Entry(name, facts, (_run(target),))


def _run(target: CpuTarget) -> Evidence:
    """Where its code ran: on a machine of ours, or on one that is emulated."""
    if target.tiles:
        test = "tests/kernels/test_tiles.py::test_linear"
        return Evidence(
            "NumPy, with registers kept in memory; its own code, by traps (`make test-amx`)",
            test,
            tries="emulated_amx",
        )
    if "x86_64" in target.machines:
        return Evidence("NumPy, on a machine that has it", _KERNELS, tries="TARGETS")
    return Evidence("NumPy, in an emulator (`make test-neon`)", _KERNELS, tries="TARGETS")
