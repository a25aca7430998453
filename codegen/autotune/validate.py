"""Whether a candidate computes what its op means: what does not is never recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferflux.codegen.autotune.probe import Probe
from inferflux.errors import InferFluxError
from inferflux.ir.graph import Node
from inferflux.ir.interpret import interpret
from inferflux.ir.kv_pages import QuantisedPages
from inferflux.ir.quantised import BfloatRows as BfloatValues
from inferflux.ir.quantised import QuantisedRows
from inferflux.ir.types import I8PAGE
from inferflux.kernels.linear.layouts import pair_order
from inferflux.kernels.storage import BfloatRows, FloatRows, Int8Rows, Operand, Pages, SuperRows

Array = np.ndarray[Any, np.dtype[Any]]

# Of the largest value: the order of sums, fused multiply-adds, the rounding of halves. A schedule
# that leaves a piece out, or computes it twice, is off by the values themselves.
TOLERANCE = {"float32": 1e-4, "float16": 2**-10}
ONE_OFF = 0.02  # share of the int8 and bf16 values that may differ, by one: nearly halves
HALF = 0.502  # of a unit of quantised pages: rounded, by a scale that was rounded itself
BF16_STEP = 2**-7  # from one bf16 to the next, of the value


class WrongResult(InferFluxError):
    """A schedule makes a phase compute something else than its op means."""

    code = "wrong_result"


def check(probe: Probe, buffers: Mapping[str, Array]) -> None:
    """Compare what a launched probe of one copy left in its buffers with NumPy.

    Raises:
        WrongResult: they differ by more than rounding.
    """
    assert probe.copies == 1, "the interpreter runs a phase once"
    meant = interpret(probe.graph, probe.inputs, probe.tensors)
    for value, name, wanted in zip(probe.graph.outputs, probe.node.op.results, meant, strict=True):
        place = probe.memory.operands[value]
        if isinstance(wanted, QuantisedPages):
            is_right = _pages_agree(place, buffers, wanted, name, probe.node)
        else:
            is_right = _agrees(place, buffers, _as_stored(name, wanted, probe.node))
        if not is_right:
            raise WrongResult(f"{probe.task}: {name} is not what NumPy gives")


def _as_stored(name: str, wanted: Any, node: Node) -> Any:
    """Queries and keys as ``panel16.pairs`` has them: the two numbers that rope turns together."""
    head_dim, pairs = node.attrs.get("head_dim"), node.attrs.get("pairs")
    if not isinstance(pairs, str) or name not in ("q", "keys"):
        return wanted
    assert isinstance(head_dim, int)
    if name == "q":
        return wanted[:, pair_order(wanted.shape[1], head_dim, pairs)]
    return wanted[:, :, :, pair_order(head_dim, head_dim, pairs)]


def _agrees(place: Operand, buffers: Mapping[str, Array], wanted: Any) -> bool:
    match place:
        case FloatRows():
            rows = buffers[place.buffer][place.base :][: len(wanted) * place.stride]
            return _is_close(rows.reshape(len(wanted), -1)[:, : place.columns], wanted)
        case Int8Rows() | SuperRows():
            assert isinstance(wanted, QuantisedRows)
            return _is_close_int8(place, buffers, wanted)
        case BfloatRows():
            assert isinstance(wanted, BfloatValues)
            return _is_close_bf16(place, buffers, wanted.values)
        case Pages():
            return _is_close(buffers[place.buffer].reshape(wanted.shape), wanted)
        case _:
            raise AssertionError(f"a tuned phase gives {place}")


def _pages_agree(
    place: Operand, buffers: Mapping[str, Array], wanted: QuantisedPages, name: str, node: Node
) -> bool:
    """Within the units that both round to: pairs that lie together have other blocks than NumPy."""
    assert isinstance(place, Pages), f"{name} lies in {place}"
    values = buffers[place.buffer].reshape(wanted.values.shape)
    scales = buffers[place.scales].reshape(wanted.scales.shape)
    got, unit = _numbers(QuantisedPages(values, scales), name)
    meant, meant_unit = (_as_stored(name, x, node) for x in _numbers(wanted, name))
    return bool((np.abs(got - meant) <= HALF * (unit + meant_unit)).all())


def _numbers(pages: QuantisedPages, name: str) -> tuple[Array, Array]:
    """What pages hold as float32, and the unit of each number."""
    scales = pages.scales.astype(np.float32)  # [N, L, K, D_h / 32, P]
    if name == "values":
        scales = scales.swapaxes(3, 4)
    units = np.repeat(scales, I8PAGE.block, axis=4 if name == "values" else 3)
    return pages.values * units, units


def _is_close(got: Array, wanted: Array) -> bool:
    tolerance = TOLERANCE[wanted.dtype.name] * float(np.abs(wanted).max(initial=0))
    return bool((np.abs(got.astype(np.float64) - wanted) <= tolerance).all())  # a NaN is not


def _is_close_int8(
    place: Int8Rows | SuperRows, buffers: Mapping[str, Array], wanted: QuantisedRows
) -> bool:
    size, blocks = wanted.values.size, wanted.scales.size
    values = buffers["scratch_i8"][place.values :][:size].reshape(wanted.values.shape)
    scales = buffers["scratch_f32"][place.scales :][:blocks].reshape(wanted.scales.shape)
    difference = np.abs(values.astype(int) - wanted.values)
    return (
        _is_close(scales, wanted.scales)
        and int(difference.max(initial=0)) <= 1
        and int(np.count_nonzero(difference)) <= ONE_OFF * size
    )


def _is_close_bf16(place: BfloatRows, buffers: Mapping[str, Array], wanted: Array) -> bool:
    pairs = buffers["scratch_i32"][place.base :][: len(wanted) * place.pairs]
    halves = pairs.view(np.uint16).astype(np.uint32).reshape(wanted.shape)
    difference = np.abs((halves << 16).view(np.float32) - wanted)
    within = (difference <= np.abs(wanted) * BF16_STEP + TOLERANCE["float32"]).all()
    return bool(within) and int(np.count_nonzero(difference)) <= ONE_OFF * wanted.size
