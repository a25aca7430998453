"""Model files of random weights, read by GGUF's own reader and by ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from inferflux.bench.synth import SHAPES, Mixture, Shape, Types, shape_named, write_model
from inferflux.codegen.artifact.compiled import TokenizerFacts
from inferflux.errors import InvalidArgument
from inferflux.ir import frontend
from inferflux.text import Tokenizer

TINY = SHAPES["tiny"]
# What a type's rounding may change of a value, as a share of the largest in a block of 32.
ROUNDING = {
    "f32": 0.0,
    "f16": 2**-11,
    "bf16": 2**-8,
    "q8_0": 1 / 220,
    "q4_0": 1 / 7,
    "q4_1": 1 / 13,
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(type_name: str = "q4_0", shape: Shape = TINY, **options: object) -> Path:
        path = tmp_path / f"{shape.architecture}-{type_name}-{len(list(tmp_path.iterdir()))}.gguf"
        write_model(path, shape, Types.of(type_name), **options)
        return path

    return written


def tensors(path: Path) -> dict[str, gguf.ReaderTensor]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def values(tensor: gguf.ReaderTensor) -> np.ndarray:
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


@pytest.mark.parametrize("type_name", ROUNDING)
def test_every_type_holds_the_same_weights_up_to_its_rounding(type_name: str, write: Write) -> None:
    name = "blk.1.ffn_down.weight"
    exact = values(tensors(write("f32"))[name])
    stored = tensors(write(type_name))[name]
    assert stored.tensor_type.name == type_name.upper()
    assert tuple(stored.shape) == (TINY.intermediate_size, TINY.hidden_size)  # ggml's order
    largest = np.abs(exact).reshape(-1, 32).max(axis=1, keepdims=True)
    error = np.abs(values(stored) - exact).reshape(-1, 32)
    assert (error <= ROUNDING[type_name] * largest + 1e-9).all()


def test_a_mixture_puts_finer_types_where_llama_cpp_puts_them(write: Write) -> None:
    wide = replace(TINY, hidden_size=256, intermediate_size=512, num_layers=9, num_query_heads=8)
    kinds = {name: each.tensor_type.name for name, each in tensors(write("q4_k_m", wide)).items()}
    assert kinds["token_embd.weight"] == "Q6_K"
    assert kinds["blk.0.attn_q.weight"] == kinds["blk.0.ffn_up.weight"] == "Q4_K"
    for name in ("attn_v", "ffn_down"):
        finer = [layer for layer in range(9) if kinds[f"blk.{layer}.{name}.weight"] == "Q6_K"]
        assert finer == [0, 3, 6, 7, 8]


def test_rows_of_no_whole_super_blocks_take_the_next_finer_type(write: Write) -> None:
    kinds = {name: each.tensor_type.name for name, each in tensors(write("q4_k_m")).items()}
    assert set(kinds.values()) == {"F32", "Q5_0", "Q8_0"}


def test_matrices_are_scaled_so_that_variance_is_kept(write: Write) -> None:
    matrix = values(tensors(write("f32"))["blk.0.ffn_gate.weight"])
    assert matrix.std() == pytest.approx(TINY.hidden_size**-0.5, rel=0.05)
    assert matrix.mean() == pytest.approx(0, abs=0.01)


def test_norms_and_biases_are_f32_and_a_tied_head_is_q8_0(write: Write) -> None:
    shape = replace(TINY, architecture="qwen2", has_biases=True)
    found = tensors(write("q4_0", shape))
    kinds = {name: tensor.tensor_type.name for name, tensor in found.items()}
    assert kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.0.attn_k.weight"] == "Q4_0"
    assert kinds["blk.0.attn_k.bias"] == kinds["blk.1.ffn_norm.weight"] == "F32"
    assert "output.weight" not in kinds
    assert values(found["blk.0.attn_norm.weight"]).mean() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_bytes_and_another_other_weights(write: Write) -> None:
    first, again, other = write(seed=7), write(seed=7), write(seed=8)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_no_two_tensors_hold_the_same_weights(write: Write) -> None:
    found = tensors(write("f32"))
    matrices = [values(found[f"blk.{layer}.attn_q.weight"]) for layer in (0, 1)]
    assert not np.array_equal(*matrices)


def test_a_matrix_larger_than_a_chunk_is_whole(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferflux.bench.synth.weights._CHUNK_ELEMENTS", 5 * TINY.hidden_size)
    matrix = values(tensors(write("f32"))["token_embd.weight"])
    assert matrix.shape == (TINY.vocab_size, TINY.hidden_size)
    assert (matrix.std(axis=1) > 0.05).all()


@pytest.mark.parametrize("type_name", ["q4_1", "q8_0", "f16"])
def test_our_own_reader_builds_its_graph(type_name: str, write: Write) -> None:
    source = frontend.open(write(type_name))
    model = frontend.config(source)
    assert (model.vocab_size, model.num_layers) == (TINY.vocab_size, TINY.num_layers)
    assert (model.head_dim, model.ropes[0].theta) == (TINY.head_dim, TINY.rope_theta)
    assert frontend.build(source).weights


def test_any_text_has_tokens_and_comes_back(write: Write) -> None:
    read = frontend.tokenizer(frontend.open(write("q8_0")))
    facts = TokenizerFacts(**{name: getattr(read, name) for name in TokenizerFacts.__slots__})
    tokenizer = Tokenizer(facts)
    assert tokenizer.vocab_size == TINY.vocab_size
    text = "the Year 2000, naïve: 語\n"
    ids = tokenizer.encode(text, special=False)
    assert tokenizer.decode(ids) == text
    assert len(ids) < len(text.encode()), "no merge was ever used"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_the_shapes_are_those_of_the_published_models(shape: Shape) -> None:
    """Parameters as their cards state them; rows divide into blocks."""
    matrices = [tensor for tensor in shape.tensors() if tensor.columns is not None]
    assert all(tensor.columns % 32 == 0 for tensor in matrices)
    count = sum(tensor.all_rows * (tensor.columns or 1) for tensor in shape.tensors())
    published = {
        "tiny": 94_528,
        "smollm2-135m": 134_515_008,
        "qwen2.5-0.5b": 494_032_768,
        "llama-3.2-1b": 1_235_814_400,
        "qwen3-30b-a3b-3-layers": 1_936_472_832,
    }
    assert count == published[shape.name]


def test_a_mixture_of_experts_is_stored_by_expert_and_read_by_both(write: Write) -> None:
    mixture = Mixture(num_experts=3, num_used=2, intermediate_size=32)
    shape = replace(TINY, architecture="qwen3moe", mixture=mixture, has_head_norms=True)
    path = write("q8_0", shape)
    kinds = {name: each.tensor_type.name for name, each in tensors(path).items()}
    assert kinds["blk.0.ffn_gate_inp.weight"] == "F32"
    assert tuple(tensors(path)["blk.0.ffn_down_exps.weight"].shape) == (32, 64, 3)
    frontend.build(frontend.open(path))


def test_an_unknown_shape_or_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match="'gpt-5'; there are: tiny, smollm2-135m"):
        shape_named("gpt-5")
    with pytest.raises(InvalidArgument, match="'q3_k' is written; there are: f32"):
        Types.of("q3_k")


def test_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail(stage: str, fraction: float) -> None:
        if fraction > 0.5:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_model(tmp_path / "a.gguf", TINY, Types.of("q4_0"), on_progress=fail)
    assert list(tmp_path.iterdir()) == []
