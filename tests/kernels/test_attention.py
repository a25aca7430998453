"""attention and attention_quantise against their meaning: heads, windows, sequences, pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import Graph, Value
from inferflux.ir.kv_pages import QuantisedPages
from inferflux.ir.types import F16, F32, I8PAGE, I32, tensor
from inferflux.kernels.attention.space import parameters, tiles
from inferflux.kernels.kernel import StepShape
from inferflux.kernels.storage import FloatRows, Pages

PAGE = 16


@dataclass(frozen=True)
class Case:
    """The shape of one attention.  ``group``: query heads of a KV head."""

    head_dim: int = 32
    kv_heads: int = 1
    group: int = 1
    pages: object = F16
    window: int | None = None
    op: object = ops.attention
    layers: int = 1
    scale: float = 0.15
    value_dim: int | None = None
    soft_cap: float | None = None
    alibi: float | None = None
    alibi_scale: float = 1.0
    has_sinks: bool = False

    def __str__(self) -> str:
        heads = f"{self.kv_heads}x{self.group} heads of {self.head_dim}"
        kinds = ("window", "value_dim", "soft_cap", "alibi")
        given = [f" {kind} {getattr(self, kind)}" for kind in kinds if getattr(self, kind)]
        sinks = " sinks" if self.has_sinks else ""
        return f"{self.op.name} {heads}, {self.pages} pages{''.join(given)}{sinks}"


CASES = [
    Case(),
    Case(head_dim=64, kv_heads=3, group=3, window=5, op=ops.attention_quantise),
    Case(head_dim=128, kv_heads=2, group=4, pages=F32, op=ops.attention_quantise),
    Case(head_dim=128, group=3, window=16),
    Case(head_dim=32, kv_heads=2, group=3, pages=F32, window=1),
    Case(head_dim=64, group=4, window=17, layers=3),
    Case(head_dim=32, kv_heads=5, group=4, layers=2, op=ops.attention_quantise),
    Case(head_dim=96, kv_heads=2, pages=F32, window=100),
    Case(head_dim=64, kv_heads=3, group=3, pages=I8PAGE, layers=2),
    Case(head_dim=128, group=7, pages=I8PAGE, window=33),
    Case(head_dim=80, kv_heads=3, group=11, scale=0.4, soft_cap=1.5),
    Case(
        head_dim=64,
        group=6,
        window=20,
        alibi=8.0,
        alibi_scale=0.5,
        has_sinks=True,
        op=ops.attention_quantise,
    ),
    Case(head_dim=96, value_dim=64, group=16, pages=I8PAGE, soft_cap=2.0),
]


KINDS = [
    {},
    {"window": 37, "has_sinks": True},
    {"soft_cap": 2.0, "window": 20},
    {"alibi": 8.0, "alibi_scale": 0.3},
    {"op": ops.attention_quantise, "has_sinks": True, "soft_cap": 1.0},
]
SIZES = [(size, size) for size in (64, 80, 96, 112, 128, 192, 256)] + [(192, 128), (576, 512)]
WIDE = [  # every size with every type of page and every kind, over groups of 1..16, and Falcon's 71
    Case(size, 1 + (number + turn) % 2, group, pages, scale=size**-0.5, value_dim=value_dim, **kind)
    for number, (size, value_dim) in enumerate(SIZES)
    for turn, (group, kind) in enumerate(zip((1, 4, 16, 71, 12), KINDS, strict=True))
    for pages in (F16, F32, I8PAGE)
    if (size % 32 == 0 or pages != I8PAGE) and (value_dim % 32 == 0 or "op" not in kind)
    if (number + turn + [F16, F32, I8PAGE].index(pages)) % 3 == 0 or group == 71
]


def graph_of(case):
    width = case.kv_heads * case.group * case.head_dim
    token_inputs = [Value(tensor(I32, "T"), name) for name in ("positions", "sequences")]
    shape = ("N", case.layers, case.kv_heads)
    sinks = Value(tensor(F32, case.kv_heads * case.group), "sinks", sources=("sinks",))
    weights = (sinks,) if case.has_sinks else ()
    inputs = (
        Value(tensor(F32, "T", width), "q"),
        Value(tensor(case.pages, *shape, case.head_dim, PAGE), "k.0"),
        Value(tensor(case.pages, *shape, PAGE, case.value_dim or case.head_dim), "v.0"),
        *token_inputs,
        Value(tensor(I32, "B", "M"), "pages.0"),
    )
    attended = case.op(
        *inputs,
        *weights,
        layer=case.layers - 1,
        head_dim=case.head_dim,
        scale=case.scale,
        window=case.window,
        value_dim=case.value_dim,
        soft_cap=case.soft_cap,
        alibi=case.alibi,
        alibi_scale=case.alibi_scale,
    )
    return Graph(inputs, (attended,), weights)


def step_of(case, sequences, seed=0):
    """Tokens of sequences given as (old tokens, new tokens), over pages in a random order."""
    random = np.random.default_rng(seed)
    lengths = [old + new for old, new in sequences]
    longest = -(-max(lengths) // PAGE)
    num_pages = longest * len(sequences) + 2
    table = random.permutation(num_pages)[: longest * len(sequences)].reshape(len(sequences), -1)
    positions = np.concatenate([np.arange(old, old + new) for old, new in sequences])
    shape = (num_pages, case.layers, case.kv_heads, case.head_dim, PAGE)
    width = case.kv_heads * case.group * case.head_dim
    values_shape = (*shape[:3], PAGE, case.value_dim or case.head_dim)
    return {
        "q": random.normal(0, 1, (len(positions), width)).astype(np.float32),
        "k.0": pages_of(case, shape, case.head_dim, random),
        "v.0": pages_of(case, values_shape, case.value_dim or case.head_dim, random),
        "positions": positions.astype(np.int32),
        "sequences": np.repeat(range(len(sequences)), [n for _, n in sequences]).astype(np.int32),
        "pages.0": table.astype(np.int32),
    }


def pages_of(case, shape, head_dim, random):
    if case.pages == I8PAGE:
        blocks = (*shape[:3], head_dim // 32, PAGE)
        values = random.integers(-127, 128, shape).astype(np.int8)
        return QuantisedPages(values, random.uniform(0.004, 0.02, blocks).astype(np.float16))
    return random.normal(0, 1, shape).astype({F16: np.float16, F32: np.float32}[case.pages])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attention(compile_graph, assert_close, case):
    step = compile_graph(graph_of(case))
    for sequences in (
        [(0, 1)],
        [(0, 18)],
        [(15, 1), (16, 1), (31, 1)],
        [(40, 3), (0, 5), (100, 1), (14, 4)],
    ):
        given = step_of(case, sequences, seed=len(sequences))
        assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.oracle
@pytest.mark.parametrize("case", WIDE, ids=str)
def test_every_size_page_and_kind_together(compile_graph, assert_close, case):
    step = compile_graph(graph_of(case))
    for sequences in ([(40, 3), (0, 5), (100, 1), (14, 4)], [(600, 1), (250, 9)]):
        given = step_of(case, sequences)
        assert_close(step(given)[0], step.meaning(given)[0])


def test_what_lies_outside_the_window_or_behind_the_token_is_not_read(compile_graph):
    case = Case(window=20)
    step = compile_graph(graph_of(case))
    given = step_of(case, [(40, 1)])
    expected = step(given)[0]
    table = given["pages.0"][0]
    nowhere = next(page for page in range(len(given["k.0"])) if page not in table)
    for pages in (given["k.0"], given["v.0"]):
        pages[nowhere] = np.nan
    for position in (*range(41 - case.window), *range(41, 48)):
        page, offset = table[position // PAGE], position % PAGE
        given["k.0"][page, :, :, :, offset] = 1000
        given["v.0"][page, :, :, offset] = np.nan if position > 40 else 1000
    table[0] = nowhere  # all of the first page is outside of the window: it may have been freed
    np.testing.assert_array_equal(step(given)[0], expected)


@pytest.mark.parametrize("scale", [1e-4, 300.0])
def test_scores_may_all_but_tie_or_differ_by_thousands(compile_graph, assert_close, scale):
    case = Case(scale=scale)
    step = compile_graph(graph_of(case))
    given = step_of(case, [(60, 4)])
    assert_close(step(given)[0], step.meaning(given)[0])


def test_a_token_attends_alike_alone_and_in_any_batch(compile_graph):
    case = Case(head_dim=64, kv_heads=2, group=3)
    step = compile_graph(graph_of(case))
    given = step_of(case, [(20, 1), (0, 9), (35, 2)])
    together = step(given)[0]
    for token in range(12):
        one = {name: given[name][[token]] for name in ("q", "positions", "sequences")}
        np.testing.assert_array_equal(step(given | one)[0][0], together[token])


LONG = [(600, 1), (250, 20), (1023, 2), (0, 3)]  # over several spans of 256 keys


@pytest.mark.parametrize(
    "case",
    [CASES[2], CASES[3], CASES[8], Case(head_dim=64, window=400, group=2, has_sinks=True)],
    ids=str,
)
def test_contexts_of_many_spans(compile_graph, assert_close, case):
    step = compile_graph(graph_of(case))
    given = step_of(case, LONG)
    assert_close(step(given)[0], step.meaning(given)[0])


@pytest.mark.parametrize("window", [None, 300])
def test_who_walks_through_the_spans_changes_nothing(compile_graph, window):
    case = Case(head_dim=64, kv_heads=2, group=3, window=window)
    step = compile_graph(graph_of(case))
    given = step_of(case, LONG)
    shared = step(given)[0]
    step.cut = replace(step.cut, max_partials=1)  # room for no result: all stay with one worker
    np.testing.assert_array_equal(step(given)[0], shared)


@pytest.mark.parametrize(("window", "pages"), [(None, F16), (70, F16), (None, I8PAGE)], ids=str)
def test_a_prompt_attends_alike_however_it_is_chunked(compile_graph, window, pages):
    case = Case(head_dim=64, kv_heads=2, group=3, window=window, pages=pages)
    step = compile_graph(graph_of(case))
    given = step_of(case, [(245, 32)])
    whole = step(given)[0]
    for chunk in (1, 3, 8, 17):
        parts = [slice(start, start + chunk) for start in range(0, 32, chunk)]
        chunks = (
            step(given | {name: given[name][part] for name in ("q", "positions", "sequences")})[0]
            for part in parts
        )
        np.testing.assert_array_equal(np.concatenate(list(chunks)), whole)


@pytest.mark.parametrize("window", [None, 20])
def test_what_a_later_token_of_the_block_sees_does_not_touch_an_earlier_one(compile_graph, window):
    case = Case(head_dim=64, group=3, window=window)
    step = compile_graph(graph_of(case))
    given = step_of(case, [(40, 2)])
    expected = step(given)[0][0]
    page, offset = divmod(41, PAGE)
    for name, place in (("k.0", np.s_[:, :, :, offset]), ("v.0", np.s_[:, :, offset])):
        given[name][given["pages.0"][0, page]][place] = np.nan
    np.testing.assert_array_equal(step(given)[0][0], expected)


@pytest.mark.parametrize("head_dim", [16, 32, 64, 256])
@pytest.mark.parametrize("group", [1, 2, 8, 16])
def test_no_buffer_of_a_tile_takes_a_kilobyte(head_dim, group):
    node = graph_of(Case(head_dim=head_dim, group=group)).outputs[0].producer
    q = FloatRows(group * head_dim, 0, group * head_dim)
    operands = {"q": q, **dict.fromkeys(("keys", "values"), Pages("k", 1, 1, head_dim))}
    for schedule in tiles(node, StepShape(1, 512)):
        for tile in parameters(operands, schedule)["tiles"]:
            assert max(tile["rows"], tile["columns"], tile["pages"]) * 64 < 1024
