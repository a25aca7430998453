"""The step that a phase is measured in: its activations, weights, tokens and pages, made up.

Up to ``DECODE`` tokens are one each of as many sequences, as when decoding; more are a prefill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from inferflux.codegen.artifact.compiled import AttentionCut
from inferflux.codegen.artifact.spans import Spans, cut_attention
from inferflux.ir.graph import Graph, Value
from inferflux.ir.kv_pages import Pages, QuantisedPages
from inferflux.ir.quantised import BLOCK, quantise
from inferflux.ir.types import I8PAGE, TensorType
from inferflux.kernels.attention.space import BLOCK as TOKENS
from inferflux.kernels.attention.space import SPAN

Array = np.ndarray[Any, np.dtype[Any]]

# No phase that is measured by itself merges, so all spans of a token stay with one worker.
ATTENTION_CUT = AttentionCut(SPAN, TOKENS, max_partials=1)
PAGE_SIZE = 16
PAGE_TABLE = "page_table"  # what an op takes that attends to pages
DECODE = 16  # tokens
DEPTH = 512  # tokens in the cache of each sequence that decodes
PATTERN_ROWS = 13 * 16  # of a weight, which repeats after an odd number of panels
WHOLE_SPREAD = 30  # of int8 numbers: four deviations are within
PATTERN_NUMBERS = (1 << 16) - 1  # of pages
_NUMPY: Mapping[str, type[np.generic]] = {"f32": np.float32, "f16": np.float16, "i32": np.int32}


@dataclass(frozen=True, slots=True)
class Workload:
    """So many tokens and rows of logits, and the pages in which the sequences lie."""

    num_tokens: int
    num_rows: int

    @property
    def is_decode(self) -> bool:
        """One token each of many sequences; else many of one."""
        return self.num_tokens <= DECODE

    @property
    def num_sequences(self) -> int:
        return self.num_tokens if self.is_decode else 1

    @property
    def pages_per_sequence(self) -> int:
        return -(-(DEPTH if self.is_decode else self.num_tokens) // PAGE_SIZE)

    @property
    def spans(self) -> Spans:
        """The items of its attention."""
        starts = np.arange(self.num_tokens + 1) if self.is_decode else [0, self.num_tokens]
        return cut_attention(np.array(starts, np.int32), self._positions(), ATTENTION_CUT)

    def inputs(self, graph: Graph, seed: int = 0) -> dict[str, Pages]:
        """What a step takes for the inputs of an isolated graph."""
        random = np.random.default_rng(seed)
        return {value.hint: self._input(value, graph, random) for value in graph.inputs}

    def num_pages(self, graph: Graph) -> int:
        """Pages of the pool: all that are read; of who only appends, those that are written."""
        if reads_pages(graph):
            return self.num_sequences * self.pages_per_sequence
        return self.num_tokens if self.is_decode else self.pages_per_sequence

    def _input(self, value: Value, graph: Graph, random: np.random.Generator) -> Pages:
        match value.hint:
            case "positions":
                return self._positions()
            case "sequences":
                return np.arange(self.num_tokens, dtype=np.int32) * self.is_decode
            case "slots":
                return self._slots()
            case "page_table":
                return self._page_table()
            case _ if len(value.type.shape) == 2:
                return _rows(value.type, {"T": self.num_tokens, "R": self.num_rows}, random)
            case _:
                return self._pages(value, graph, random)

    def _pages(self, value: Value, graph: Graph, random: np.random.Generator) -> Pages:
        """Full ones where they are read; ones to append to are empty."""
        shape = (self.num_pages(graph), *(int(dim) for dim in value.type.shape[1:]))
        make = partial(_numbers, random=random) if reads_pages(graph) else np.zeros
        if value.type.dtype != I8PAGE:
            return make(shape, _NUMPY[value.type.dtype.name])
        blocks = (*shape[:3], math.prod(shape[3:]) // (PAGE_SIZE * I8PAGE.block), PAGE_SIZE)
        return QuantisedPages(make(shape, np.int8), make(blocks, np.float16))

    def _positions(self) -> Array:
        positions = np.arange(self.num_tokens, dtype=np.int32)
        return np.full_like(positions, DEPTH - 1) if self.is_decode else positions

    def _slots(self) -> Array:
        """Tokens that decode append to a page each; a prefill fills page after page."""
        return np.arange(self.num_tokens, dtype=np.int32) * (PAGE_SIZE if self.is_decode else 1)

    def _page_table(self) -> Array:
        pages = np.arange(self.num_sequences * self.pages_per_sequence, dtype=np.int32)
        return np.ascontiguousarray(pages.reshape(-1, self.num_sequences).T)


def reads_pages(graph: Graph) -> bool:
    """Whether an isolated graph attends to pages; one that does not may append to them."""
    return any(value.hint == PAGE_TABLE for value in graph.inputs)


def _rows(type_: TensorType, sizes: Mapping[str, int], random: np.random.Generator) -> Array:
    """Activations that are whole numbers of 1/127 of their largest: int8 holds them exactly."""
    rows, columns = type_.shape
    assert isinstance(rows, str), f"{type_} has rows of a step"
    assert isinstance(columns, int), f"the rows of {type_} are static"
    num_rows = sizes[rows]
    whole = random.integers(-127, 128, (num_rows, columns))
    whole[:, ::BLOCK] = 127
    return (whole * random.uniform(0.005, 0.02, (num_rows, 1))).astype(np.float32)


def _numbers(shape: tuple[int, ...], dtype: type[np.generic], random: np.random.Generator) -> Array:
    """Numbers around zero, in a pattern that repeats: making so many takes time."""
    spread = WHOLE_SPREAD if dtype is np.int8 else 1
    return np.resize(random.normal(0, spread, PATTERN_NUMBERS).astype(dtype), shape)


def file_tensors(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """For every weight of the graph, a tensor as a file holds it: unit variance of products."""
    random = np.random.default_rng(seed)
    return {weight.sources[0]: _tensor(weight, random) for weight in graph.weights}


def _tensor(weight: Value, random: np.random.Generator) -> Array:
    *rest, columns = (int(dim) for dim in weight.type.shape)
    rows = math.prod(rest)
    pattern = random.normal(0, columns**-0.5, (min(rows, PATTERN_ROWS), columns))
    stored = quantise(pattern, weight.type.dtype)
    return np.resize(stored, (rows, stored.shape[-1]))
