"""Rules and their driver."""

from __future__ import annotations

import textwrap

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.rewrite import apply, rewrites, substitute
from inferflux.ir.types import F32, tensor


@rewrites(ops.multiply)
def square_of_silu(product, uses):
    """multiply(silu(a), silu(a))  ->  add(a, a), and silu(a)  ->  a: wrong maths, right plumbing"""
    match product.inputs:
        case (Value(op=ops.silu, args=(a,)) as first, second) if first is second:
            return {product.results[0]: ops.add(a, a), first: a}
        case _:
            return None


def value(name):
    return Value(tensor(F32, "T", 32), name)


def test_replaced_values_lose_all_readers_and_the_others_keep_theirs():
    x = value("x")
    act = ops.silu(x)
    graph = Graph((x,), (ops.multiply(act, act), ops.multiply(act, x), ops.silu(act)))
    assert str(apply(graph, (square_of_silu,))) == textwrap.dedent("""\
        graph(%x: f32[T, 32]):
          %sum = add(%x, %x) : f32[T, 32]
          %product = multiply(%x, %x) : f32[T, 32]
          %silu = silu(%x) : f32[T, 32]
          return %sum, %product, %silu
    """)


def test_rules_apply_until_none_matches():
    x = y = value("x")
    for _ in range(5):
        act = ops.silu(y)
        y = ops.multiply(act, act)
    result = apply(Graph((x,), (y,)), (square_of_silu,))
    assert [node.op for node in result.nodes] == [ops.add] * 5


def test_a_graph_no_rule_matches_is_the_same_graph():
    x = value("x")
    graph = Graph((x,), (ops.silu(x),))
    assert apply(graph, (square_of_silu,)) is graph


def test_substitution_keeps_nodes_it_does_not_reach_and_names():
    x, y = value("x"), value("y")
    kept, changed = ops.silu(x), ops.silu(y, hint="changed")
    graph = substitute(Graph((x, y), (kept, changed)), {y: x})
    assert graph.outputs[0] is kept
    assert graph.outputs[1].hint == "changed"
    assert graph.outputs[1].args == (x,)


def test_depth_is_no_limit():
    x = y = value("x")
    for _ in range(5000):
        y = ops.silu(y)
    z = value("z")
    assert len(substitute(Graph((x,), (y,)), {x: z}).nodes) == 5000
