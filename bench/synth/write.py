"""Writing a GGUF file of random weights, one tensor in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from inferflux.bench.synth.shapes import CONTEXT_LENGTH, Shape, TensorShape
from inferflux.bench.synth.vocabulary import make_vocabulary
from inferflux.bench.synth.weights import Floats, random_rows
from inferflux.errors import InvalidArgument, MissingPackages
from inferflux.ir.quantised import quantise
from inferflux.ir.types import DTYPES

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
OnProgress = Callable[[str, float], None]

# What a file may mostly be of, and GGUF's number for it.
TYPES: Final = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q4_k_m": 15, "bf16": 32}
_EMBEDDING = "token_embd.weight"
_KEPT_FINER = re.compile(r"blk\.(\d+)\.(attn_v|ffn_down|ffn_down_exps)\.weight")
_NARROW_ROWS: Final = {"q4_k": "q5_0", "q6_k": "q8_0"}  # those of no whole blocks of 256


@dataclass(frozen=True, slots=True)
class Types:
    """The types of a file's tensors.  Norms and biases are F32, as everywhere."""

    name: str
    matrices: str
    embedding: str  # which is the head too
    finer: str  # of half of the value and down projections

    @classmethod
    def of(cls, name: str, embedding: str | None = None) -> Types:
        """With a quantised type the embedding is Q8_0 unless it is said otherwise.

        llama.cpp's quantiser makes a tied one Q8_0 too, where its rows do not divide into 256;
        where they do (llama-3.2-1b) it makes Q6_K, which is a quarter smaller: as in ``q4_k_m``.
        """
        for given in (name, embedding or name):
            if given not in TYPES:
                raise InvalidArgument(
                    f"no type {given!r} is written; there are: {', '.join(TYPES)}"
                )
        if name == "q4_k_m":
            return cls(name, "q4_k", embedding or "q6_k", "q6_k")
        return cls(name, name, embedding or ("q8_0" if name.startswith("q") else name), name)

    def of_tensor(self, tensor: TensorShape, num_layers: int) -> str:
        if tensor.columns is None or tensor.is_router:
            return "f32"
        type_ = self._of_matrix(tensor.name, num_layers)
        return type_ if tensor.columns % 256 == 0 else _NARROW_ROWS.get(type_, type_)

    def _of_matrix(self, name: str, num_layers: int) -> str:
        if name == _EMBEDDING:
            return self.embedding
        kept = _KEPT_FINER.fullmatch(name)
        return self.finer if kept and _is_finer(int(kept[1]), num_layers) else self.matrices


def _is_finer(layer: int, num_layers: int) -> bool:
    """The first and last eighth of the layers, and every third: llama.cpp, ``use_more_bits``."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2


def write_model(
    path: Path,
    shape: Shape,
    types: Types,
    *,
    seed: int = 0,
    on_progress: OnProgress = lambda stage, fraction: None,
) -> int:
    """Write the file and give its size.  Same arguments, same bytes."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        _write(partial, shape, types, seed, on_progress)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def _write(path: Path, shape: Shape, types: Types, seed: int, on_progress: OnProgress) -> None:
    gguf = _gguf()
    tensors = tuple(shape.tensors())
    names = [types.of_tensor(tensor, shape.num_layers) for tensor in tensors]
    kinds = [gguf.GGMLQuantizationType[name.upper()] for name in names]
    writer = gguf.GGUFWriter(path, shape.architecture)
    try:
        _add_metadata(writer, shape, types)
        for tensor, kind in zip(tensors, kinds, strict=True):
            _announce(writer, tensor, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for index, (tensor, kind) in enumerate(zip(tensors, kinds, strict=True)):
            on_progress("random weights", index / len(tensors))
            writer.write_tensor_data(_stored(tensor, kind, seed))
    finally:
        writer.close()


def _add_metadata(writer: GGUFWriter, shape: Shape, types: Types) -> None:
    writer.add_name(f"random {shape.name} {types.name}")
    writer.add_file_type(TYPES[types.name])
    writer.add_quantization_version(2)
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_block_count(shape.num_layers)
    writer.add_head_count(shape.num_query_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)
    if shape.num_query_heads * shape.head_dim != shape.hidden_size:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
    if mixture := shape.mixture:
        writer.add_expert_count(mixture.num_experts)
        writer.add_expert_used_count(mixture.num_used)
        writer.add_expert_feed_forward_length(mixture.intermediate_size)
    for key, value in make_vocabulary(shape.vocab_size).metadata().items():
        _add(writer, key, value)


def _add(writer: GGUFWriter, key: str, value: object) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case str():
            writer.add_string(key, value)
        case _:
            writer.add_array(key, value)


def _announce(writer: GGUFWriter, tensor: TensorShape, kind: GGMLQuantizationType) -> None:
    row_bytes = _row_bytes(tensor, kind)
    dims = (row_bytes,) if tensor.columns is None else (tensor.rows, row_bytes)
    dims = dims if tensor.experts is None else (tensor.experts, *dims)
    nbytes = int(np.prod(dims))
    writer.add_tensor_info(tensor.name, dims, np.dtype(np.uint8), nbytes, raw_dtype=kind)


def _stored(tensor: TensorShape, kind: GGMLQuantizationType, seed: int) -> Bytes:
    """The tensor as the file holds it, by the reference arithmetic of its type."""
    row_bytes = _row_bytes(tensor, kind)
    stored = np.empty((1 if tensor.columns is None else tensor.all_rows, row_bytes), np.uint8)
    start = 0
    for rows in random_rows(tensor, seed):
        packed = _rounded(rows, kind).reshape(-1, row_bytes)
        stored[start : start + len(packed)] = packed
        start += len(packed)
    return stored


def _rounded(rows: Floats, kind: GGMLQuantizationType) -> Bytes:
    try:
        packed: Bytes = _gguf().quants.quantize(rows, kind).view(np.uint8)
    except NotImplementedError:  # the package reads these only
        packed = quantise(rows, DTYPES[kind.name.lower()])
    return packed


def _row_bytes(tensor: TensorShape, kind: GGMLQuantizationType) -> int:
    """Of a row of a matrix, or of a whole vector."""
    block, block_bytes = _gguf().GGML_QUANT_SIZES[kind]
    width = tensor.rows if tensor.columns is None else tensor.columns
    return int(width // block * block_bytes)


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise MissingPackages("writing a model file", "gguf", "bench") from None
    return gguf
