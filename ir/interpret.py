"""Runs any graph on NumPy, node by node: the float32 oracle of everything that is compiled.

Weights are found by the names their tensors have in the file, so one mapping of tensors serves a
graph as imported, fused or rolled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from inferflux.errors import InferFluxError
from inferflux.ir.graph import Array, Attr, Graph, Node, Stacked, Value
from inferflux.ir.kv_pages import Pages
from inferflux.ir.quantised import WeightRows, dequantise
from inferflux.ir.types import FLOATS

Env = dict[Value, Any]
Given = TypeVar("Given")


class MissingInput(InferFluxError):
    """An input or a weight that a graph needs was not given to the interpreter."""

    code = "missing_input"


def interpret(
    graph: Graph, inputs: Mapping[str, Pages], tensors: Mapping[str, Array]
) -> tuple[Any, ...]:
    """The outputs of ``graph``.  ``inputs`` by name; ``tensors`` as bytes, by name in the file."""
    given = [_find(inputs, value.hint, "input") for value in graph.inputs]
    return evaluate(graph, given, [_load(weight, tensors) for weight in graph.weights])


def evaluate(
    graph: Graph,
    inputs: Sequence[Any],
    weights: Sequence[Any],
    stacked: Mapping[str, Attr] | None = None,
) -> tuple[Any, ...]:
    """The outputs, given all operands; ``stacked`` is what ``@name`` attributes stand for."""
    env: Env = dict(zip(graph.inputs, inputs, strict=True))
    env.update(zip(graph.weights, weights, strict=True))
    for node in graph.nodes:
        env.update(zip(node.results, _apply(node, env, stacked or {}), strict=True))
    return tuple(env[value] for value in graph.outputs)


def _apply(node: Node, env: Env, stacked: Mapping[str, Attr]) -> tuple[Any, ...]:
    attrs: dict[str, Any] = {name: _resolve(attr, stacked) for name, attr in node.attrs.items()}
    if node.bodies:
        attrs["bodies"] = node.bodies
    results = node.op.numpy(*(env[value] for value in node.inputs), **attrs)
    return results if len(node.results) > 1 else (results,)


def _resolve(attr: Attr, stacked: Mapping[str, Attr]) -> Attr:
    return stacked[attr.name] if isinstance(attr, Stacked) else attr


def _load(weight: Value, tensors: Mapping[str, Array]) -> Array | WeightRows:
    """A weight from its tensors in the file: one, or one for each layer of its kind."""
    parts = [_find(tensors, source, "tensor") for source in weight.sources]
    shape = tuple(int(dim) for dim in weight.type.shape)
    raw = np.concatenate([np.asarray(part).view(np.uint8).reshape(-1) for part in parts])
    dtype = weight.type.dtype
    if dtype in FLOATS:
        return dequantise(raw, dtype, shape)
    row_bytes = shape[-1] // dtype.block * dtype.block_bytes
    return WeightRows(dtype, raw.reshape(*shape[:-1], row_bytes))


def _find(named: Mapping[str, Given], name: str, what: str) -> Given:
    try:
        return named[name]
    except KeyError:
        raise MissingInput(f"{what} {name!r} is not given; there are {sorted(named)}") from None
