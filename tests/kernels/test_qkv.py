"""qkv_rope_append against its meaning: products, rotation, and the write into pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.kv_pages import QuantisedPages, read_rows
from inferflux.ir.types import BF16, F16, F32, I8PAGE, I32, Q4_0, Q4_1, Q8_0, tensor

PAGE, NUM_PAGES, CONTEXT = 16, 5, 40
ROWS = (1, 3, 8, 9, 17)


@dataclass(frozen=True)
class Case:
    """The shape of one append; the types of wq, wk and wv."""

    types: tuple[object, object, object]
    row_block: int = 1
    head_dim: int = 32
    heads: int = 1
    kv_heads: int = 1
    hidden: int = 32
    pages: object = F16
    pairs: str = "adjacent"
    layers: int = 1
    is_integer: tuple[bool, bool, bool] = (False, False, False)
    has_biases: bool = False

    def __str__(self) -> str:
        types = " ".join(str(dtype) for dtype in self.types)
        heads = f"{self.heads}/{self.kv_heads} heads of {self.head_dim}"
        biased = ", biased" if self.has_biases else ""
        return f"{types}, {heads}, {self.pairs}, {self.pages} pages, {self.row_block} rows{biased}"


INTEGER = (True, True, True)
CASES = [
    Case((F32, F32, F32), hidden=33, pages=F32, pairs="halves"),
    Case((F16, F16, F16), row_block=4, hidden=7, head_dim=64, heads=3),
    Case((Q4_1, Q8_0, F16), row_block=2, heads=4, kv_heads=2, layers=3),
    Case((Q4_1,) * 3, is_integer=INTEGER, heads=9, kv_heads=3, head_dim=64, hidden=96),
    Case((Q4_1,) * 3, row_block=8, is_integer=INTEGER, head_dim=128, heads=2, pairs="halves"),
    Case((Q8_0,) * 3, row_block=4, is_integer=INTEGER, heads=3, hidden=64, layers=2, pages=F32),
    Case((Q8_0, Q4_1, F16), row_block=2, is_integer=(True, True, False), head_dim=96, pages=F32),
    Case(
        (Q4_0,) * 3, row_block=4, is_integer=INTEGER, head_dim=64, pairs="halves", has_biases=True
    ),
    Case((BF16, Q4_0, BF16), heads=2, kv_heads=2, layers=2, hidden=64, has_biases=True),
]


def graph_of(case):
    x = Value(tensor(F32, "T", case.hidden), "x")
    widths = [count * case.head_dim for count in (case.heads, case.kv_heads, case.kv_heads)]
    weights = tuple(
        Value(tensor(dtype, width, case.hidden), name, sources=(name,))
        for name, dtype, width in zip(("wq", "wk", "wv"), case.types, widths, strict=True)
    )
    biases = tuple(
        Value(tensor(F32, width), name, sources=(name,))
        for name, width in zip(("bq", "bk", "bv"), widths, strict=True)
        if case.has_biases
    )
    quantised = ops.quantise(x) if any(case.is_integer) else x
    given = [quantised if integer else x for integer in case.is_integer]
    positions, slots = Value(tensor(I32, "T"), "positions"), Value(tensor(I32, "T"), "slots.0")
    shape = ("N", case.layers, case.kv_heads)
    keys = Value(tensor(case.pages, *shape, case.head_dim, PAGE), "k.0")
    values = Value(tensor(case.pages, *shape, PAGE, case.head_dim), "v.0")
    table = ops.rope_table(theta=500.0, head_dim=case.head_dim, length=CONTEXT)
    results = ops.qkv_rope_append(
        *(*given, *weights, table, positions, slots, keys, values, *biases),
        layer=case.layers - 1,
        head_dim=case.head_dim,
        pairs=case.pairs,
    )
    return Graph((x, positions, slots, keys, values), results, (*weights, *biases))


def step_of(case, rows):
    random = np.random.default_rng(rows)
    whole = random.integers(-127, 128, (rows, case.hidden))  # quantising these rounds nothing
    whole[:, ::32] = 127
    shape = (NUM_PAGES, case.layers, case.kv_heads, case.head_dim, PAGE)
    dtype = np.float16 if case.pages == F16 else np.float32
    pages = random.normal(0, 1, (2, *shape)).astype(dtype)
    return {
        "x": (whole * random.uniform(0.005, 0.02, (rows, 1))).astype(np.float32),
        "positions": random.integers(0, CONTEXT, rows).astype(np.int32),
        "slots.0": random.permutation(NUM_PAGES * PAGE)[:rows].astype(np.int32),
        "k.0": pages[0],
        "v.0": pages[1].reshape(*shape[:3], PAGE, case.head_dim),
    }


def in_file_order(queries, case):
    """Undo ``panel16.pairs``: queries and keys leave the kernel with their pairs side by side."""
    order = np.arange(case.head_dim // 2).reshape(-1, 16)
    adjacent = case.pairs == "adjacent"
    first = 2 * order if adjacent else order
    second = first + (1 if adjacent else case.head_dim // 2)
    source = np.stack([first, second], axis=1).reshape(-1)
    restored = np.empty_like(queries)
    restored[..., source] = queries
    return restored


@pytest.mark.parametrize("case", CASES, ids=str)
def test_qkv_rope_append(compile_graph, assert_close, case):
    step = compile_graph(graph_of(case), case.row_block)
    for rows in ROWS:
        given = step_of(case, rows)
        queries, keys, values = step(given)
        expected = step.meaning(given)
        heads = queries.reshape(rows, -1, case.head_dim)
        assert_close(in_file_order(heads, case).reshape(rows, -1), expected[0])
        page, offset = divmod(given["slots.0"], PAGE)
        layer = case.layers - 1
        written = in_file_order(keys[page, layer, :, :, offset], case)
        assert_close(written, expected[1][page, layer, :, :, offset])
        assert_close(values, expected[2])


def test_only_the_slots_of_these_tokens_are_written(compile_graph):
    case = Case((Q4_1,) * 3, row_block=4, is_integer=INTEGER, layers=3, kv_heads=2, heads=2)
    step = compile_graph(graph_of(case), case.row_block)
    given = step_of(case, 5)
    _, keys, values = step(given)
    page, offset = divmod(given["slots.0"], PAGE)
    for before, after, axes in (("k.0", keys, (0, 1, 4)), ("v.0", values, (0, 1, 3))):
        changed = np.argwhere(given[before] != after)[:, axes]
        places = {(int(p), 2, int(o)) for p, o in zip(page, offset, strict=True)}
        assert {tuple(int(i) for i in place) for place in changed} == places


@pytest.mark.parametrize("head_dim", [32, 64])
def test_int8_pages_hold_what_float_pages_would_to_half_a_unit(compile_graph, head_dim):
    exact = Case((F32,) * 3, head_dim=head_dim, heads=2, kv_heads=2, layers=2, pages=F32)
    case = replace(exact, pages=I8PAGE)
    given = step_of(exact, 9)
    blocks = (*given["k.0"].shape[:3], head_dim // 32, PAGE)
    empty = {
        name: QuantisedPages(np.zeros(given[name].shape, np.int8), np.ones(blocks, np.float16))
        for name in ("k.0", "v.0")
    }
    _, *floats = compile_graph(graph_of(exact))(given)
    step = compile_graph(graph_of(case))
    _, *quantised = step(given | empty)
    page, offset = divmod(given["slots.0"], PAGE)
    of_keys, of_values = np.s_[page, 1, :, :, offset], np.s_[page, 1, :, offset, :]
    for place, wide, narrow, meant in zip(
        (of_keys, of_values), floats, quantised, step.meaning(given | empty)[1:], strict=True
    ):
        scales = np.repeat(narrow.scales[of_keys].astype(np.float32), 32, axis=-1)
        difference = np.abs(read_rows(narrow, place, of_keys) - wide[place])
        assert (difference <= 0.502 * scales).all()
        assert np.abs(narrow.values[place]).max() == 127
        np.testing.assert_allclose(narrow.scales, meant.scales, rtol=2**-10)
        assert (
            np.abs(
                in_order(narrow.values[place], place is of_keys, case)
                - meant.values[place].astype(int)
            ).max()
            <= 1
        )


def in_order(values, are_keys, case):
    return in_file_order(values, case).astype(int) if are_keys else values.astype(int)
