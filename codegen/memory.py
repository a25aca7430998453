"""The memory plan: where every value of a step lives, and how much scratch that takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, field

from inferflux.codegen.stages import stages
from inferflux.codegen.target import UnsupportedOnTarget
from inferflux.codegen.weights import WeightPlan
from inferflux.ir import ops
from inferflux.ir.graph import Graph, Node, Value
from inferflux.ir.ops.repeat import parts
from inferflux.ir.types import BF16, I8PAGE, I8X32, I8X256, I32, INT8_ROWS
from inferflux.kernels import KERNELS
from inferflux.kernels.formats import FORMATS
from inferflux.kernels.storage import (
    LANES,
    UNIT,
    Array,
    BfloatRows,
    FloatRows,
    Int8Rows,
    IntRows,
    Operand,
    Pages,
    SuperRows,
)

MAX_WORKERS = 64
PAGES_RANK = 5  # of pages: N, L, K and the two dimensions of one
ROW_PADDING = 32  # rows past the last: a block of rows computes them and nobody reads them

TILE_SUMS = 2048  # of two units of outputs and 32 rows: what a worker takes from tiles at once

SAMPLE_OUTPUTS = ("out_tokens", "out_logprobs", "top_tokens", "top_logprobs")


@dataclass(slots=True)
class MemoryPlan:
    """Operands by value, and elements of scratch by buffer."""

    operands: dict[Value, Operand] = field(default_factory=dict)
    worker_scratch: str = ""  # where a worker's own part of scratch_f32 begins, as an expression
    worker_panels: str = ""  # and its part of scratch_i32, for unpacked weights
    shared_scratch: int = 0  # where the part that all workers share begins
    sizes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


def plan_memory(
    graph: Graph, weights: WeightPlan, max_tokens: int, vocab_size: int, target: str
) -> MemoryPlan:
    """Give every value of the graph a place; weights and constants have theirs already.

    A value's place is used again when its last reader is done; the residual stream is updated in
    place, so that what a layer carries on lies where it was carried in.

    Raises:
        UnsupportedOnTarget: a layer carries a value on that it did not update in place.
    """
    return _Planner(weights, max_tokens + ROW_PADDING, vocab_size, target).plan(graph)


class _Planner:
    def __init__(self, weights: WeightPlan, rows: int, vocab_size: int, target: str) -> None:
        self.rows = rows
        self.vocab_size = vocab_size
        self.target = target
        self.memory = MemoryPlan(dict(weights.operands))
        self.free: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.homes: dict[Value, Operand] = {}  # of what a layer carries on: where it is to lie
        self.halved: Set[int] = frozenset()

    def plan(self, graph: Graph) -> MemoryPlan:
        self.halved = _met_by_halves(graph)
        for value in graph.inputs:
            self.memory.operands[value] = input_operand(value)
        self._plan_stages(graph, keep=())
        self._plan_scratch(graph)
        return self.memory

    def _plan_scratch(self, graph: Graph) -> None:
        """Behind all values what kernels share, then what each worker has for itself."""
        wanted = [KERNELS[op].scratch(node) for op, node in _kernel_nodes(graph)]
        shared = padded(max((each.shared for each in wanted), default=0))
        own = padded(max([self.vocab_size, TILE_SUMS, *(each.worker for each in wanted)]))
        self.memory.shared_scratch = self.memory.sizes["scratch_f32"]
        start = self.memory.shared_scratch + shared
        self.memory.worker_scratch = f"{start} + worker * {own}"
        self.memory.sizes["scratch_f32"] = start + MAX_WORKERS * own
        start, own = self.memory.sizes["scratch_i32"], self._panel_elements()
        self.memory.worker_panels = f"{start} + worker * {own}"
        self.memory.sizes["scratch_i32"] = start + MAX_WORKERS * own

    def _panel_elements(self) -> int:
        """Of two units of weights as bf16 pairs: what a gate and an up projection unpack."""
        placed = self.memory.operands.values()
        columns = max((rows.columns for rows in placed if isinstance(rows, BfloatRows)), default=0)
        return max(2 * UNIT * columns // 2, TILE_SUMS)

    def _plan_stages(self, graph: Graph, keep: Sequence[Value]) -> None:
        """``keep``: values that outlive the graph's nodes.

        Nodes of a stage run at once: what one of them reads is no other's place to write to.
        """
        order = list(stages(graph))
        last = _last_uses(order)
        kept = {*graph.outputs, *keep}
        for number, stage in enumerate(order):
            reads = Counter(value for node in stage for value in node.inputs)
            dying = {v: n for v, n in reads.items() if last[v] == number and v not in kept}
            for node in stage:
                if node.inputs:
                    self._place_results(node, dying)
            for value in dying:
                self._release(value)

    def _place_results(self, node: Node, dying: dict[Value, int]) -> None:
        """``dying``: what nobody reads after this stage, and how often it does.

        What a result takes the place of is taken out.
        """
        if node.op is ops.repeat:
            self._plan_repeat(node, dying)
        elif node.op is ops.sample:
            for value, name in zip(node.results, SAMPLE_OUTPUTS, strict=True):
                self.memory.operands[value] = Array(name)
        elif overwritten := self._overwritten(node, dying):
            del dying[overwritten]
            self.memory.operands[node.results[0]] = self.memory.operands[overwritten]
            for value in node.results[1:]:
                self._place(value)
        else:
            for value in node.results:
                self._place(value)

    def _overwritten(self, node: Node, dying: Mapping[Value, int]) -> Value | None:
        """An operand whose place the result takes, of several the one where a layer wants it."""
        kernel, (result, *_) = KERNELS.get(node.op.name), node.results
        names = kernel.overwrites if kernel else ()
        read = [node.operands[name] for name in names if name in node.operands]
        fitting = [value for value in read if dying.get(value) == 1 and value.type == result.type]
        home = self.homes.get(result)
        return min(fitting, key=lambda value: self.memory.operands[value] != home, default=None)

    def _plan_repeat(self, node: Node, dying: dict[Value, int]) -> None:
        """Kinds of layers are planned from one state, so that what they agree on lies alike."""
        carried, invariants = parts(node).carried, parts(node).invariants
        free, sizes, most = deepcopy(self.free), self.memory.sizes, self.memory.sizes.copy()
        for body in node.bodies:
            self.free, self.memory.sizes = deepcopy(free), sizes.copy()
            for inner, outer in zip(body.inputs, (*carried, *invariants), strict=True):
                self.memory.operands[inner] = self.memory.operands[outer]
            for inner, outer in zip(body.outputs, carried, strict=True):
                self.homes[inner] = self.memory.operands[outer]
            self._plan_stages(body, keep=body.inputs[len(carried) :])
            for inner, outer in zip(body.outputs, carried, strict=True):
                if self.memory.operands[inner] != self.memory.operands[outer]:
                    raise UnsupportedOnTarget(
                        self.target,
                        f"layers that carry {outer.type} on without updating it in place",
                    )
            for buffer, size in self.memory.sizes.items():
                most[buffer] = max(size, most[buffer])
        self.memory.sizes = most
        for result, outer in zip(node.results, carried, strict=True):
            self.memory.operands[result] = self.memory.operands[outer]
            dying.pop(outer, None)

    def _place(self, value: Value) -> None:
        if value.updated is not None:  # pages that an op appended to
            self.memory.operands[value] = self.memory.operands[value.updated]
            return
        width = value.type.shape[-1]
        assert isinstance(width, int), f"the rows of {value.type} are static"
        if value.type.dtype == I32:
            base = self._take("scratch_i32", self._ints_of_a_row(value))
            self.memory.operands[value] = IntRows(width, base)
        elif value.type.dtype == BF16:
            self.memory.operands[value] = BfloatRows(width, self._take("scratch_i32", width // 2))
        elif value.type.dtype == I8X256:
            self.memory.operands[value] = SuperRows(
                columns=width,
                values=self._take("scratch_i8", width),
                scales=self._take("scratch_f32", width // 256),
                sums=self._take("scratch_i32", width // 64),
                half_sums=(
                    self._take("scratch_i32", width // 32) if width in self.halved else None
                ),
            )
        elif value.type.dtype == I8X32:
            blocks = width // 32
            self.memory.operands[value] = Int8Rows(
                columns=width,
                values=self._take("scratch_i8", width),
                scales=self._take("scratch_f32", blocks),
                scaled_sums=self._take("scratch_f32", blocks),
                corrections=self._take("scratch_i32", blocks),
                half_corrections=(
                    (self._take("scratch_i32", blocks), self._take("scratch_i32", blocks))
                    if width in self.halved
                    else None
                ),
            )
        elif width == self.vocab_size and value.type.shape[0] == "R":
            self.memory.operands[value] = FloatRows(width, 0, padded(width), "logits")
        else:
            base = self._take("scratch_f32", padded(width))
            self.memory.operands[value] = FloatRows(width, base, padded(width))

    def _take(self, buffer: str, per_row: int) -> int:
        elements = self._elements(per_row)
        waiting = self.free[buffer, elements]
        if waiting:  # the first: what layers agree on is to lie alike, whatever else was freed
            waiting.sort(reverse=True)
            return waiting.pop()
        start = self.memory.sizes[buffer]
        self.memory.sizes[buffer] = start + elements
        return start

    def _give(self, buffer: str, per_row: int, start: int) -> None:
        self.free[buffer, self._elements(per_row)].append(start)

    def _ints_of_a_row(self, value: Value) -> int:
        """What a value of integers takes: so many for each token, or as many in all."""
        rows, width = value.type.shape
        assert isinstance(width, int), f"the rows of {value.type} are static"
        return width if isinstance(rows, str) else -(-rows * width // self.rows)

    def _elements(self, per_row: int) -> int:
        """Of all rows: whole cache lines, whatever the element."""
        return -(-self.rows * per_row // 64) * 64

    def _release(self, value: Value) -> None:
        match self.memory.operands.get(value):
            case Int8Rows(columns=columns) as rows:
                self._give("scratch_i8", columns, rows.values)
                self._give("scratch_f32", columns // 32, rows.scales)
                self._give("scratch_f32", columns // 32, rows.scaled_sums)
                self._give("scratch_i32", columns // 32, rows.corrections)
                for each in rows.half_corrections or ():
                    self._give("scratch_i32", columns // 32, each)
            case SuperRows(columns=columns) as rows:
                self._give("scratch_i8", columns, rows.values)
                self._give("scratch_f32", columns // 256, rows.scales)
                self._give("scratch_i32", columns // 64, rows.sums)
                if rows.half_sums is not None:
                    self._give("scratch_i32", columns // 32, rows.half_sums)
            case BfloatRows(columns=columns) as rows:
                self._give("scratch_i32", columns // 2, rows.base)
            case IntRows() as rows:
                self._give("scratch_i32", self._ints_of_a_row(value), rows.base)
            case FloatRows(buffer="scratch_f32") as rows:
                self._give("scratch_f32", rows.stride, rows.base)
            case _:
                return


def _kernel_nodes(graph: Graph) -> Iterator[tuple[str, Node]]:
    """Every node that a kernel runs, those of layers too, by the name of its op."""
    for node in graph.nodes:
        if node.op.name in KERNELS:
            yield node.op.name, node
        for body in node.bodies:
            yield from _kernel_nodes(body)


def _met_by_halves(graph: Graph) -> Set[int]:
    """Widths of int8 rows that a weight reads whose scales are of half a block.

    All rows so wide keep what that takes, so that kinds of layers have equal phases before it.
    """
    found: set[int] = set()
    for _, node in _kernel_nodes(graph):
        formats = [FORMATS.get(value.type.dtype.name) for value in node.inputs]
        if any(each is not None and each.halves > 1 for each in formats):
            rows = (value.type for value in node.inputs if value.type.dtype in INT8_ROWS)
            found.update(int(each.shape[-1]) for each in rows)
    return found


def _last_uses(order: Sequence[Sequence[Node]]) -> Mapping[Value, int]:
    """The last stage that reads a value."""
    return {
        value: number
        for number, stage in enumerate(order)
        for node in stage
        for value in node.inputs
    }


def input_operand(value: Value) -> Operand:
    """A graph input is an argument of the step: pages of a pool, or an array."""
    name = value.hint.replace(".", "_")
    if len(value.type.shape) == PAGES_RANK:
        layers, heads, *page = (dim for dim in value.type.shape if isinstance(dim, int))
        return Pages(name, layers, heads, page[0] * page[1] // LANES, scales_of(value))
    return Array(name)


def scales_of(pages: Value) -> str:
    """The argument that holds the scales of quantised pages, "k_scale_0" for "k.0"; else none."""
    stream, _, group = pages.hint.partition(".")
    return f"{stream}_scale_{group}" if pages.type.dtype == I8PAGE else ""


def padded(width: int) -> int:
    """Floats from one row of ``width`` to the next: whole units, as products write them."""
    return -(-width // UNIT) * UNIT
