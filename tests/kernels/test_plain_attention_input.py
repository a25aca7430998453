"""norm_heads, rope, append_keys and append_values, one after the other and all as one node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from inferflux.codegen.select import select
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.kv_pages import QuantisedPages
from inferflux.ir.types import F16, F32, I8PAGE, I32, tensor
from inferflux.kernels.kernel import StepShape

PAGE, NUM_PAGES, CONTEXT, LAYERS, KV_HEADS = 16, 5, 40, 2, 2


@dataclass(frozen=True)
class Case:
    """Heads, what of them turns, and what the pages hold."""

    head_dim: int = 32
    turned: int = 32
    pairs: str = "halves"
    kind: str = "rms"
    is_own_weight: bool = False  # one for each head
    pages: object = F16


CASES = [
    Case(),
    Case(head_dim=80, turned=20, kind="layer", is_own_weight=True, pages=F32),
    Case(head_dim=64, turned=32, pairs="adjacent", pages=I8PAGE),
    Case(head_dim=48, turned=32, is_own_weight=True),
]


def graph_of(case):
    width = KV_HEADS * case.head_dim
    k, v = (Value(tensor(F32, "T", width), name) for name in ("k", "v"))
    positions, slots = Value(tensor(I32, "T"), "positions"), Value(tensor(I32, "T"), "slots.0")
    shape = ("N", LAYERS, KV_HEADS)
    keys = Value(tensor(case.pages, *shape, case.head_dim, PAGE), "k.0")
    values = Value(tensor(case.pages, *shape, PAGE, case.head_dim), "v.0")
    weight_width = width if case.is_own_weight else case.head_dim
    weight = Value(tensor(F32, weight_width), "w", sources=("w",))
    table = ops.rope_table(theta=500.0, head_dim=case.turned, length=CONTEXT)
    normed = ops.norm_heads(k, weight, eps=1e-5, head_dim=case.head_dim, kind=case.kind)
    turned = ops.rope(normed, positions, table, head_dim=case.head_dim, pairs=case.pairs)
    place = {"layer": 1, "head_dim": case.head_dim}
    outputs = (
        turned,
        ops.append_keys(keys, turned, slots, **place),
        ops.append_values(values, v, slots, **place),
    )
    return Graph((k, v, positions, slots, keys, values), outputs, (weight,))


def inputs_of(case, count):
    random = np.random.default_rng(count)
    width, shape = KV_HEADS * case.head_dim, (NUM_PAGES, LAYERS, KV_HEADS)
    return {
        "k": random.normal(0, 2, (count, width)).astype(np.float32),
        "v": random.normal(0, 2, (count, width)).astype(np.float32),
        "positions": random.integers(0, CONTEXT, count).astype(np.int32),
        "slots.0": random.permutation(NUM_PAGES * PAGE)[:count].astype(np.int32),
        "k.0": empty_pages(case, (*shape, case.head_dim, PAGE)),
        "v.0": empty_pages(case, (*shape, PAGE, case.head_dim)),
    }


def empty_pages(case, shape):
    if case.pages is I8PAGE:
        scales = np.zeros((*shape[:3], case.head_dim // 32, PAGE), np.float16)
        return QuantisedPages(np.zeros(shape, np.int8), scales)
    return np.zeros(shape, np.float16 if case.pages is F16 else np.float32)


def fused_graph_of(case):
    """The same as one node, with two query heads of each KV head."""
    width, head_dim = KV_HEADS * case.head_dim, case.head_dim
    plain = graph_of(case)
    k, v, positions, slots, keys, values = plain.inputs
    q = Value(tensor(F32, "T", 2 * width), "q")
    key_norm = plain.weights[0]
    query_width = 2 * width if case.is_own_weight else head_dim
    norms = (Value(tensor(F32, query_width), "wq", sources=("wq",)), key_norm)
    given = norms if case.kind == "layer" or case.is_own_weight else ()
    table = ops.rope_table(theta=500.0, head_dim=case.turned, length=CONTEXT)
    attrs = {"head_dim": head_dim, "pairs": case.pairs, "eps": 1e-5, "kind": case.kind}
    operands = (q, k, v, table, positions, slots, keys, values, *given)
    return Graph((q, *plain.inputs), ops.rope_append(*operands, layer=1, **attrs), given)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_of_them_as_one_node(compile_graph, assert_close, case):
    step = compile_graph(fused_graph_of(case))
    for count in (1, 17):
        queries = np.random.default_rng(1).normal(0, 2, (count, 2 * KV_HEADS * case.head_dim))
        given = inputs_of(case, count) | {"q": queries.astype(np.float32)}
        assert_like(assert_close, case, step(given), step.meaning(given))


@pytest.mark.parametrize("case", CASES[1:3], ids=str)
def test_the_ops_of_an_attention_input_alone(compile_graph, assert_close, case):
    step = compile_graph(graph_of(case))
    for count in (1, 17):
        given = inputs_of(case, count)
        assert_like(assert_close, case, step(given), step.meaning(given))


def assert_like(assert_close, case, got, expected):
    assert_close(got[0], expected[0])
    for pages, meant in zip(got[1:], expected[1:], strict=True):
        if case.pages is not I8PAGE:
            assert_close(pages, meant)
            continue
        assert_close(pages.scales, meant.scales)
        assert np.abs(pages.values.astype(int) - meant.values).max() <= 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case(head_dim=24, turned=24), "op norm_heads with head_dim 24, not a multiple of 16"),
        (
            Case(head_dim=48, pages=I8PAGE),
            "op append_values with head_dim 48, not a multiple of 32",
        ),
    ],
)
def test_parts_of_vectors_are_refused_by_name(case, message):
    with pytest.raises(UnsupportedOnTarget, match=message):
        select(graph_of(case), StepShape(1, 1), "cpu:portable")
