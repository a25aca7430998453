"""Write the arena of weights: every tensor read once, converted and packed some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inferflux.codegen.weights import ALIGNMENT, Packed, WeightPlan
from inferflux.ir.frontend.conversion import ConversionError, ErrorSum, row_chunks
from inferflux.ir.frontend.source import ModelSource, SourceTensor
from inferflux.ir.graph import Array
from inferflux.kernels.linear.layouts import pack_panels, pair_order


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeights:
    """The arena, aligned as steps want it, and the errors of tensors that were converted."""

    arena: Array  # (bytes,) uint8
    errors: dict[str, ConversionError]  # by name


def pack_weights(plan: WeightPlan, source: ModelSource) -> PackedWeights:
    """Write the arena.  Of the files, and of what is converted, some rows are held at a time."""
    room = np.zeros(plan.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    arena = room[start : start + plan.nbytes]
    errors: dict[str, ConversionError] = {}
    for packed in plan.packed:
        place = arena[packed.offset : packed.offset + packed.nbytes]
        if packed.value.producer is not None:
            place[:] = _constant(packed)
            continue
        tensor, error = source.tensors[packed.source], ErrorSum()
        at = 0
        for raw in _whole_heads(_rows(tensor, packed, error), packed):
            content = _pack(raw, packed)
            place[at : at + content.size] = content
            at += content.size
            source.release()
        if tensor.convert is not None:
            errors[tensor.name] = error.total()
    return PackedWeights(arena, errors)


def _constant(packed: Packed) -> Array:
    """Of the graph, e.g. the rope table."""
    assert packed.value.producer is not None
    constant = packed.value.producer.op.numpy(**packed.value.producer.attrs)
    return np.ascontiguousarray(constant, np.float32).view(np.uint8).reshape(-1)


def _rows(tensor: SourceTensor, packed: Packed, error: ErrorSum) -> Iterator[Array]:
    """The bytes of the tensor, of some rows at a time: packing takes a few times their room."""
    if tensor.convert is not None:
        for converted in tensor.convert():
            error.add(converted, tensor.dtype)
            yield converted.raw
        return
    rows = tensor.raw.reshape(-1, _row_bytes(packed))
    for start, stop in row_chunks(len(rows), packed.width):
        yield rows[start:stop].reshape(-1)


def _whole_heads(pieces: Iterator[Array], packed: Packed) -> Iterator[Array]:
    """All rows together where those of a head are put in another order."""
    return pieces if packed.pairs is None else iter((np.concatenate(list(pieces)),))


def _pack(raw: Array, packed: Packed) -> Array:
    rows = packed.width if packed.is_vector else raw.size // _row_bytes(packed)
    order = pair_order(rows, *packed.pairs) if packed.pairs else None
    if packed.is_vector:
        return raw if order is None else raw.reshape(rows, 4)[order].reshape(-1)
    return pack_panels(raw, packed.value.type.dtype, rows, packed.width, order)


def _row_bytes(packed: Packed) -> int:
    dtype = packed.value.type.dtype
    return packed.width // dtype.block * dtype.block_bytes
