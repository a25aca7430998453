"""`inferflux inspect` on model files; the cost of a token against counts made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from inferflux import codegen
from inferflux.cli import roofs, store
from inferflux.cli.cost import token_cost
from inferflux.cli.inferflux import app
from inferflux.cli.tensor_types import what_becomes_of
from inferflux.codegen.roofline.roofs import Roofs
from inferflux.errors import MissingPackages
from inferflux.ir import frontend, ops
from inferflux.ir.frontend import ModelFileError
from inferflux.ir.frontend.source import Origin, SourceTensor
from inferflux.ir.graph import Graph, Value
from inferflux.ir.types import DTYPES, F16, F32, I32, Q4_0, Q8_0, DType, tensor

WriteTiny = Callable[..., Path]


@pytest.fixture(autouse=True)
def machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with round figures."""
    measured = Roofs(10e9, {"i8x32": 100e9, "bf16": 50e9, "f32": 25e9})
    monkeypatch.setattr(roofs, "quick_roofs", lambda *_: measured)


def inspect(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app(), ["inspect", *map(str, arguments)])


def test_json_says_what_the_file_holds(tiny_gguf: WriteTiny) -> None:
    said = inspect(tiny_gguf(layer_types=("q4_1", "f16")), "--json", "--tensors")
    facts = json.loads(said.stdout)
    assert facts["architecture"] == "llama"
    assert facts["metadata"]["llama.block_count"] == 2
    assert facts["metadata"]["tokenizer.ggml.tokens"] == "320 values"
    assert {row["type"]: row["tensors"] for row in facts["types"]} == {
        "q4_1": 7,
        "f16": 7,
        "q8_0": 1,
        "f32": 5,
    }
    listed = {row["name"]: row for row in facts["tensors"]}
    assert listed["blk.0.attn_k.weight"]["shape"] == "32x64"
    assert listed["blk.0.attn_k.weight"]["bytes"] == 32 * 64 // 32 * 20


def test_the_page_for_people_has_every_part(tiny_gguf: WriteTiny) -> None:
    said = inspect(tiny_gguf())
    assert said.exit_code == 0
    for part in (
        "metadata",
        "types",
        "memory",
        "prediction",
        "cost",
        "graph llama(",
        "qkv_rope_append",
        "llama.block_count",
    ):
        assert part in said.stdout


def test_memory_is_what_the_artifact_will_take(tiny_gguf: WriteTiny) -> None:
    """The arena to the byte; pages of the whole context in both of their types."""
    model = tiny_gguf(context_length=512)
    said = json.loads(inspect(model, "--json").stdout)["memory"]
    compiled = codegen.compile(frontend.open(model), targets=("cpu:portable",))
    (arena,) = compiled.weights.values()
    assert said["weights_packed_bytes"] == len(arena)
    page = sum(group.page_bytes for group in compiled.targets["cpu:portable"].kv_groups)
    assert said["kv_bytes_per_token_f16"] * 16 == page
    assert said["kv_bytes_whole_context_f16"] == 512 * page // 16
    assert said["kv_bytes_whole_context_int8"] == 512 * page // 16 * 34 // 64


def test_of_a_window_memory_counts_the_pages_it_touches(tiny_gguf: WriteTiny) -> None:
    windows = {
        "llama.attention.sliding_window": np.uint32(40),
        "llama.attention.sliding_window_pattern": [True, False],
    }
    model = tiny_gguf(context_length=512, metadata=windows)
    said = json.loads(inspect(model, "--json").stdout)["memory"]
    of_a_layer = said["kv_bytes_per_token_f16"] // 2
    assert said["kv_bytes_whole_context_f16"] == of_a_layer * (512 + 4 * 16)


def test_the_prediction_says_what_it_assumes(tiny_gguf: WriteTiny) -> None:
    said = json.loads(inspect(tiny_gguf(), "--json").stdout)["prediction"]
    assert said["decode_tokens_per_second"] > 0
    assert said["prefill_tokens_per_second"] > said["decode_tokens_per_second"]
    assert said["roof_read_gb_per_second"] == 10
    assert said["roof_gmac_per_second"] == {"i8x32": 100, "bf16": 50, "f32": 25}
    assert "0.72 for one stream at depth 128" in said["basis"]


def test_without_a_compiler_there_is_no_prediction_and_all_else(
    tiny_gguf: WriteTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: object) -> Roofs:
        raise MissingPackages("compiling for a CPU", "apache-tvm", "cpu")

    monkeypatch.setattr(roofs, "quick_roofs", no_compiler)
    said = inspect(tiny_gguf(), "--json")
    assert said.exit_code == 0
    facts = json.loads(said.stdout)
    assert "pip install 'inferflux[cpu]'" in facts["prediction"]["none"]
    assert facts["memory"]["weights_packed_bytes"] > 0


def test_types_say_what_becomes_of_them(tiny_gguf: WriteTiny) -> None:
    norm = np.ones(64, np.float16)
    model = tiny_gguf(layer_types=("iq4_nl",), tensors={"output_norm.weight": norm})
    rows = {row["type"]: row for row in json.loads(inspect(model, "--json").stdout)["types"]}
    assert {kind: (row["compiled_to"], row["how"]) for kind, row in rows.items()} == {
        "iq4_nl": ("iq4_nl", "as it is"),
        "f32": ("f32", "as it is"),
        "q8_0": ("q8_0", "as it is"),
    }


@pytest.mark.parametrize(
    ("kind", "shape", "how"),
    [
        ("Q4_1", (2, 256), "as it is"),
        ("IQ3_S", (2, 256), "re-packed, exactly"),
        ("F16", (64,), "re-packed, exactly"),
        ("IQ2_XS", (2, 256), "re-packed, to 2^-11 of a weight"),
        ("F64", (2, 256), "re-packed, to 24 bits"),
        ("F8_E4M3", (2, 256), "re-packed, exactly"),
        ("FP8 e4m3", (2, 256), "re-packed; `compile` says how far values move"),
    ],
)
def test_how_exactly_a_type_is_re_packed_is_known_by_its_name(
    kind: str, shape: tuple[int, ...], how: str
) -> None:
    dtype = DTYPES.get(kind.lower(), F32) if len(shape) == 2 else F32
    origin = Origin(Path("m"), "w", kind, 0, 0)
    tensor = SourceTensor("w", dtype, shape, lambda: pytest.fail("it was read"), origin)
    assert what_becomes_of(tensor) == how


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        (Q4_0, "re-packed, exactly where f16 holds a scale"),
        (F16, "re-packed; `compile` says how far values move"),  # mixed groups
    ],
)
def test_integers_with_scales_are_exact_as_blocks_alone(dtype: DType, how: str) -> None:
    origin = Origin(Path("m"), "w", "GPTQ int4", 0, 0)
    tensor = SourceTensor("w", dtype, (2, 256), lambda: pytest.fail("it was read"), origin)
    assert what_becomes_of(tensor) == how


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"metadata": {"llama.rope.scaling.type": "ntk"}}, "ntk"),
        ({"head_dim": 8, "heads": 8, "kv_heads": 2}, "heads of 8"),
        ({"architecture": "llama", "metadata": {"general.architecture": "mamba"}}, "mamba"),
    ],
)
def test_what_is_refused_is_shown_and_said(
    tiny_gguf: WriteTiny, fields: dict[str, object], refused: str
) -> None:
    said = inspect(tiny_gguf(**fields), "--json")
    facts = json.loads(said.stdout)
    assert refused in facts["refused"]
    assert facts["types"]
    assert said.exit_code == 1


def test_no_matrix_is_read(tiny_gguf: WriteTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = tiny_gguf(), SourceTensor.raw.fget

    def read_vectors(tensor: SourceTensor) -> object:
        assert len(tensor.shape) == 1, f"{tensor.name} was read"
        return read(tensor)

    monkeypatch.setattr(SourceTensor, "raw", property(read_vectors))
    said = inspect(model, "--tensors")
    assert said.exit_code == 0, said.exception


def test_a_file_that_is_no_model_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    assert isinstance(inspect(path).exception, ModelFileError)


@pytest.mark.parametrize("columns", [80, 120])
def test_every_line_of_the_page_fits_and_no_name_of_a_fact_is_cut(
    tiny_gguf: WriteTiny, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr("inferflux.cli.inspect._LOG_WIDTH", columns)
    said = inspect(tiny_gguf()).stdout
    assert max(map(len, said.splitlines())) <= columns
    for name in ("kv_bytes_whole_context_int8", "roof_gmac_per_second", "compiled_to"):
        assert name in said


def test_the_graph_before_has_a_node_per_layer_and_the_one_after_a_loop(
    tiny_gguf: WriteTiny,
) -> None:
    model = tiny_gguf(layer_types=("q4_1",) * 5)
    before, after = (inspect(model, "--graph", stage).stdout for stage in ("before", "after"))
    assert before.count("= attention(") == 5
    assert "repeat(" not in before
    assert "repeat(" in after
    assert after.count("attention_quantise(") == 1


def test_a_file_cannot_speak_to_the_terminal(tiny_gguf: WriteTiny) -> None:
    said = inspect(tiny_gguf(metadata={"general.author": "\x1b]0;title\x07 [red]rich[/red]"}))
    assert "\x1b" not in said.stdout
    assert "\\x1b]0;title\\x07 [red]rich[/red]" in said.stdout


@pytest.mark.parametrize("head_type", [None, "f16"])
def test_a_token_costs_its_matrices_once_and_one_row_of_the_embedding(
    tiny_gguf: WriteTiny, head_type: str | None
) -> None:
    hidden, kv_width, wide, vocab, layers = 64, 32, 96, 320, 3
    matrices = 2 * hidden * hidden + 2 * kv_width * hidden + 3 * wide * hidden
    source = frontend.open(tiny_gguf(layer_types=("q4_1",) * layers, head_type=head_type))
    cost = token_cost(frontend.build(source))

    head_bytes = {None: vocab * hidden * 34 // 32, "f16": vocab * hidden * 2}[head_type]
    norms = (2 * layers + 1) * hidden * 4
    row = hidden * 34 // 32
    assert cost.weight_bytes == layers * matrices * 20 // 32 + head_bytes + norms + row
    assert cost.flops == 2 * (layers * matrices + vocab * hidden)
    assert cost.kv_bytes == layers * 2 * kv_width * 2  # K and V in float16
    assert cost.attention_flops == layers * 4 * hidden


def test_a_token_costs_those_experts_that_it_uses() -> None:
    slots, groups = Value(tensor(I32, "T", 2), "slots"), Value(tensor(I32, 8, 3), "groups")
    x = Value(tensor(F32, "T", 64), "x")
    weight = Value(tensor(Q8_0, 8, 32, 64), "down", sources=("down",))
    out = ops.expert_linear(x, slots, groups, weight)
    cost = token_cost(Graph((x, slots, groups), (out,), (weight,)))
    assert cost.weight_bytes == 2 * 32 * 2 * 34
    assert cost.flops == 2 * 2 * 32 * 64


def test_a_directory_is_described_in_its_own_words(tiny_directory: WriteTiny) -> None:
    facts = json.loads(inspect(tiny_directory(shards=2), "--json", "--tensors").stdout)
    assert facts["metadata"]["num_hidden_layers"] == 2
    kinds = {(row["type"], row["compiled_to"]): row["tensors"] for row in facts["types"]}
    assert kinds == {("bf16", "bf16"): 15, ("bf16", "f32"): 5}
    assert len(facts["tensors"]) == 20


def test_a_directory_is_inspected_as_a_file_is(tiny_directory: WriteTiny) -> None:
    said = inspect(tiny_directory(shards=2), "--json")
    facts = json.loads(said.stdout)
    assert facts["architecture"] == "llama"
    assert facts["memory"]["weights_packed_bytes"] > 0
    assert facts["prediction"]["decode_tokens_per_second"] > 0


@pytest.mark.parametrize("kind", ["file", "parts", "directory"])
def test_a_pulled_model_is_inspected_by_its_name(
    tiny_gguf: WriteTiny, tiny_directory: WriteTiny, kind: str
) -> None:
    source = {
        "file": lambda: tiny_gguf(),
        "parts": lambda: tiny_gguf(tensors_per_file=6),
        "directory": lambda: tiny_directory(shards=2),
    }[kind]()
    store.pull(str(source), lambda *_: None, name="own")
    facts = json.loads(inspect("own", "--json").stdout)
    assert facts["architecture"] == "llama"
    assert "/models/own" in facts["path"]


def test_what_quantising_would_make_of_it_is_told_before_it_is_done(tiny_gguf: WriteTiny) -> None:
    model = tiny_gguf(layer_types=("f16",) * 2)
    as_it_is, smaller = (
        json.loads(inspect(model, "--json", *more).stdout) for more in ((), ("--quantize", "q4_0"))
    )
    become = {row["type"]: row["compiled_to"] for row in smaller["types"]}
    assert become["f16"] == "q4_0"
    for facts in (as_it_is, smaller):
        facts["packed"] = facts["memory"]["weights_packed_bytes"]
    assert smaller["packed"] < as_it_is["packed"]
