"""Text of graphs: complete, stable, within its width, and the inverse of parsing."""

from __future__ import annotations

import contextlib
import textwrap

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.literals import attr_pieces, expand_sources, sources_pieces
from inferflux.ir.parse import ParseError, parse, parse_type
from inferflux.ir.passes import run
from inferflux.ir.print import WIDTH
from inferflux.ir.types import DTYPES, F16, F32, Q4_1, Q8_0, TensorType, tensor

LAYERS = [(Q4_1, 4), (Q8_0, None), (Q4_1, 4), (F16, None), (Q4_1, 4), (Q8_0, None)]

names = st.text('abcxyz0123456789._-{}"\\ é', min_size=1, max_size=12)
numbered = st.builds("blk.{}.{}".format, st.integers(0, 12), st.sampled_from(["a", "b.weight"]))
scalars = st.one_of(
    st.integers(-5, 40),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
)
attrs = st.recursive(scalars, lambda inner: st.lists(inner, max_size=9).map(tuple), max_leaves=20)
dims = st.one_of(st.integers(0, 5000), st.sampled_from(["T", "B", "R", "N"]))


@pytest.fixture
def mixed(tiny_llama):
    return tiny_llama([tiny_llama.layer(dtype, window) for dtype, window in LAYERS])


def test_a_graph_reads_like_this():
    x, r = (Value(tensor(F32, "T", 64), name) for name in "xr")
    w = Value(tensor(F32, 64), "w", sources=("norm.weight",))
    total = ops.add(x, r)
    graph = Graph((x, r), (ops.rms_norm(total, w, eps=1e-6), total), (w,))
    assert str(graph) == textwrap.dedent("""\
        graph(
          %x: f32[T, 64], %r: f32[T, 64]
        ) weights(
          %w: f32[64] = "norm.weight"
        ):
          %sum = add(%x, %r) : f32[T, 64]
          %norm = rms_norm(%sum, %w, eps=1e-06) : f32[T, 64]
          return %norm, %sum
    """)


@pytest.mark.parametrize("name", ["graph", "llama", "7b v2.0", "", "weights", "é"])
def test_a_graph_of_any_name_prints_and_parses(name):
    x = Value(tensor(F32, "T", 4), "x")
    text = str(Graph((x,), (x,), name=name))
    assert str(parse(text)) == text


def test_names_are_made_unique_and_fit_to_print():
    x, y = Value(tensor(F32, "T", 4), "a b\n%"), Value(tensor(F32, "T", 4), "a_b__")
    graph = Graph((x, y), (ops.add(x, ops.add(x, y)),))
    assert str(graph) == textwrap.dedent("""\
        graph(%a_b__: f32[T, 4], %a_b___1: f32[T, 4]):
          %sum = add(%a_b__, %a_b___1) : f32[T, 4]
          %sum_1 = add(%a_b__, %sum) : f32[T, 4]
          return %sum_1
    """)


@pytest.mark.parametrize("stage", ["imported", "default", "float32"])
def test_parsing_is_the_inverse_of_printing(mixed, stage):
    graph = mixed.graph if stage == "imported" else run(mixed.graph, numerics=stage)
    text = str(graph)
    parsed = parse(text)
    assert str(parsed) == text
    for old, new in zip(mixed.outputs(graph), mixed.outputs(parsed), strict=True):
        np.testing.assert_array_equal(old, new)


def test_lines_keep_their_width_and_none_trails(mixed):
    for graph in (mixed.graph, run(mixed.graph)):
        for line in str(graph).splitlines():
            assert len(line) <= WIDTH
            assert line == line.rstrip()


def test_two_builds_print_alike(tiny_llama):
    layers = [tiny_llama.layer(dtype, window) for dtype, window in LAYERS]
    first, second = (str(run(tiny_llama(layers).graph)) for _ in range(2))
    assert first == second


def test_line_breaks_mean_nothing(mixed):
    text = str(run(mixed.graph))
    assert str(parse(" ".join(text.split()))) == text


@given(attrs)
def test_every_attribute_survives(attr):
    x = Value(tensor(F32, "T", 32), "x")
    node = ops.repeat.node([x], {"kinds": (0,), "a": (attr,)}, (Graph((x,), (x,)),))
    read = parse(str(Graph((x,), node.results))).outputs[0].producer
    assert repr(read.attrs["a"]) == repr((attr,))


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 30), max_size=40))
def test_runs_are_short_and_exact(equal, ascending):
    attr = (*equal, *sorted(set(ascending)))
    text = " ".join(attr_pieces("a", attr))
    assert len(text) <= len("a=(") + 4 * len(attr) + 1
    x = Value(tensor(F32, "T", 32), "x")
    node = ops.repeat.node([x], {"kinds": (0,), "a": (attr,)}, (Graph((x,), (x,)),))
    assert parse(str(Graph((x,), node.results))).outputs[0].producer.attrs["a"] == (attr,)


def test_thirty_layers_are_named_once():
    sources = [f"blk.{layer}.attn_q.weight" for layer in range(30)]
    assert sources_pieces(sources) == ['"blk.{0..29}.attn_q.weight"']
    assert attr_pieces("kinds", (0,) * 30) == ["kinds=(0*30)"]


def test_every_other_layer_is_as_short():
    sources = [f"blk.{layer}.attn_q.weight" for layer in range(1, 48, 2)]
    assert sources_pieces(sources) == ['"blk.{1..47:2}.attn_q.weight"']
    assert attr_pieces("layers", (0, *range(3, 24, 4))) == ["layers=(0,", "3..23:4)"]


@given(st.lists(st.one_of(names, numbered), min_size=1, max_size=20))
@example(["blk.{1..3}.w", "a{7}"])
def test_every_list_of_tensors_survives(sources):
    quoted = [piece.removesuffix(" +") for piece in sources_pieces(sources)]
    assert [name for text in quoted for name in expand_sources(text)] == sources


@given(
    st.builds(
        TensorType,
        st.sampled_from(sorted(DTYPES.values(), key=str)),
        st.lists(dims, max_size=5).map(tuple),
        st.sampled_from(["", "panel16", "panel16.pairs"]),
    )
)
def test_every_type_survives(type_):
    assert parse_type(str(type_)) == type_


X = "graph(%x: f32[T, 32]):\n  "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("graph(%x: f32[T]", "line 1: ',' expected, found ''"),
        ("graph(%x: f99[T]):\n return %x", "line 1: f99[T] is not a type"),
        ("graph(%x: f32[T-1]):\n return %x", "line 1: 'T-1' is not a dimension"),
        (X + "return %y", "line 2: %y is used before it is defined"),
        (X + "%x = silu(%x) : f32[T, 32]\n return %x", "line 2: %x is defined twice"),
        (X + "%y = slu(%x) : f32[T, 32]\n return %y", "line 2: there is no op slu"),
        (X + "%y = silu(%x) : f32[T, 64]\n return %y", "line 2: silu gives f32[T, 32]"),
        (X + "%y, %z = silu(%x) : f32[T, 32]\n return %y", "line 2: silu gives 1 results"),
        (X + "%y = silu(%x, %x) : f32[T, 32]\n return %y", "line 2: silu: "),
        (X + "%y = silu(%x, eps=1e) : f32[T, 32]\n return %y", "line 2: "),
        (X + "return %x\n§", "line 3: '§' is not part of a graph's text"),
        (X + "return %x return", "line 2: end expected, found 'return'"),
        (X + "%y = silu(%x, eps=" + "9" * 5000 + ")", "line 2: Exceeds the limit"),
        (X + "%y = repeat(kinds=(0*99999999))\n return %y", "line 2: 99999999 times 1 is past"),
        (X + "%y = repeat(kinds=(0..9:2))\n return %y", "line 2: 0..9 has no step of 2"),
        (X + "%y = repeat(kinds=(0..9:0))\n return %y", "line 2: 0..9 has no step of 0"),
        (X + "%y = repeat(kinds=(0..99999999))\n return %y", "line 2: 0..99999999 is not a run"),
    ],
)
def test_what_is_no_graph_is_refused_with_its_line(text, message):
    with pytest.raises(ParseError) as refused:
        parse(text)
    assert str(refused.value).startswith(message)


@given(st.data())
def test_no_text_does_worse_than_be_refused(data):
    x = Value(tensor(F32, "T", 32), "x")
    text = str(Graph((x,), (ops.add(ops.silu(x), x),)))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    mutant = text[:start] + data.draw(st.text('%x():=,.*@+"0a \n', max_size=6)) + text[end:]
    with contextlib.suppress(ParseError):
        parse(mutant)
