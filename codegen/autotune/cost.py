"""What a schedule should cost, by a simple model: only to decide what is measured first.

    piece   = max(bytes / BANDWIDTH, operations / THROUGHPUT) / pieces
    rounds  = ceil(pieces / workers)
    seconds = (rounds * (piece + CLAIM) + piece / 2) * (1 + MISTIMED * |log2(prefetch / IN_FLIGHT)|)

A piece takes what the roofline says (Williams, Waterman and Patterson, CACM 52(4), 2009); the
last round may be not full, and at its end a worker waits for half a piece of another's. What must
be in flight is Little's law: latency * bandwidth.

The constants are those of a server core of 2022. Only their ratios matter, and those to an order of
magnitude: a machine's own come out when it measures.
"""

from __future__ import annotations

import math

from inferflux.codegen.autotune.expression import evaluate
from inferflux.codegen.autotune.task import Task
from inferflux.codegen.autotune.workload import PAGE_TABLE, Workload
from inferflux.codegen.memory import PAGES_RANK
from inferflux.ir.types import TensorType
from inferflux.kernels.kernel import Schedule

BANDWIDTH = 20e9  # bytes/s that one core streams
THROUGHPUT = 200e9  # multiply-adds/s of one core on packed integers
CLAIM = 100e-9  # seconds: two additions to a line that other cores write, too
IN_FLIGHT = 2048  # bytes: 100 ns to memory at BANDWIDTH
MISTIMED = 0.02  # of the time, for a prefetch twice as far as that or half as far


def ordered(task: Task, num_workers: int) -> tuple[Schedule, ...]:
    """The task's schedules, those that should be fastest first."""
    return tuple(sorted(task.space, key=lambda schedule: seconds(task, schedule, num_workers)))


def seconds(task: Task, schedule: Schedule, num_workers: int) -> float:
    """The model's time of one run of the phase so cut."""
    pieces = num_pieces(task, schedule)
    piece = max(bytes_read(task) / BANDWIDTH, multiply_adds(task) / THROUGHPUT) / pieces
    rounds = math.ceil(pieces / num_workers)
    return (rounds * (piece + CLAIM) + piece / 2) * (1 + MISTIMED * _octaves_off(schedule))


def num_pieces(task: Task, schedule: Schedule) -> int:
    """Of a measured step."""
    expression = task.phase.kernel.pieces(task.phase.node, schedule)
    num_items = len(Workload(task.num_tokens, task.num_rows).spans.items)
    counts = {"num_tokens": task.num_tokens, "num_rows": task.num_rows, "num_items": num_items}
    return max(1, evaluate(expression, counts))


def _octaves_off(schedule: Schedule) -> float:
    """0 for schedules that prefetch nothing: then the machine looks ahead."""
    distance = schedule.get("prefetch", 0)
    return abs(math.log2(distance / IN_FLIGHT)) if distance else 0.0


def bytes_read(task: Task) -> int:
    """Of weights, once, and of the pages that tokens attend to."""
    node = task.phase.node
    weights = sum(value.type.nbytes for value in node.inputs if value.type.layout)
    if PAGE_TABLE not in node.op.parameters:
        return weights
    workload = Workload(task.num_tokens, task.num_rows)
    pages = workload.num_sequences * workload.pages_per_sequence
    streams = (value.type for value in node.inputs if len(value.type.shape) == PAGES_RANK)
    return weights + pages * sum(_page_bytes(type_) for type_ in streams)


def _page_bytes(type_: TensorType) -> int:
    """Of one page, one layer."""
    _, _, *page = type_.shape
    return math.prod(int(dim) for dim in page) * type_.dtype.block_bytes // type_.dtype.block


def multiply_adds(task: Task) -> int:
    """Of weights: attention is bound by what it reads."""
    weights = (value.type for value in task.phase.node.inputs if value.type.layout)
    node = task.phase.node
    rows = task.num_rows if node.results[0].type.shape[0] == "R" else task.num_tokens
    return rows * sum(math.prod(int(dim) for dim in type_.shape) for type_ in weights)
