"""`inferflux inspect` on model files; the cost of a token against counts made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inferflux.cli.cost import token_cost
from inferflux.cli.inferflux import app
from inferflux.ir import frontend

WriteTiny = Callable[..., Path]


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
        "cost",
        "graph llama(",
        "qkv_rope_append",
        "llama.block_count",
    ):
        assert part in said.stdout


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


def test_a_directory_is_described_in_its_own_words(tiny_directory: WriteTiny) -> None:
    facts = json.loads(inspect(tiny_directory(shards=2), "--json", "--tensors").stdout)
    assert facts["metadata"]["num_hidden_layers"] == 2
    kinds = {(row["type"], row["compiled_to"]): row["tensors"] for row in facts["types"]}
    assert kinds == {("bf16", "bf16"): 15, ("bf16", "f32"): 5}
    assert len(facts["tensors"]) == 20
