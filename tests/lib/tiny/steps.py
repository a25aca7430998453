"""Runs a graph on NumPy, step after step, with the pages of several sequences kept between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from inferflux.ir.frontend import SourceTensor
from inferflux.ir.graph import Graph, Value
from inferflux.ir.interpret import interpret

Array = np.ndarray
Step = Sequence[tuple[int, int]]  # the sequences of a step, and how many tokens of each

PAGE, LOGITS = 16, 4  # tokens of a page; which output the logits are


@dataclass(slots=True)
class Decoding:
    """Sequences of tokens that are worked off by steps of any mixture."""

    graph: Graph
    tensors: Mapping[str, SourceTensor]
    prompts: Sequence[Array]  # (T,) each
    done: list[int] = field(init=False)
    states: dict[str, Array] = field(init=False)
    _raw: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        self.done = [0] * len(self.prompts)
        self._raw = {name: tensor.raw for name, tensor in self.tensors.items()}
        self.states = {value.hint: self._zeros(value) for value in self._paged}

    def run(self, steps: Iterable[Step]) -> list[Array]:
        """The logits of every token that was computed, by sequence.  -> (T, V) each"""
        logits: list[list[Array]] = [[] for _ in self.prompts]
        for step in steps:
            rows = self._run(step)
            for sequence, count in step:
                logits[sequence].append(rows[:count])
                rows = rows[count:]
                self.done[sequence] += count
        return [np.concatenate(each) if each else np.empty((0, 0)) for each in logits]

    @property
    def _paged(self) -> list[Value]:
        return [value for value in self.graph.inputs if value.type.shape[0] == "N"]

    @property
    def _pages_each(self) -> int:
        return max(-(-len(prompt) // PAGE) for prompt in self.prompts)

    def _zeros(self, value: Value) -> Array:
        count = self._pages_each * len(self.prompts)
        return np.zeros((count, *(int(dim) for dim in value.type.shape[1:])), np.float32)

    def _run(self, step: Step) -> Array:
        outputs = interpret(self.graph, self._inputs(step), self._raw)
        states = outputs[LOGITS + 1 :]
        assert len(states) == len(self.states)
        self.states = dict(zip(self.states, states, strict=True))
        logits: Array = outputs[LOGITS]
        return logits

    def _inputs(self, step: Step) -> dict[str, Array]:
        spans = [(each, self.done[each], self.done[each] + count) for each, count in step]
        positions = np.concatenate([np.arange(first, last) for _, first, last in spans])
        sequences = np.repeat([each for each, _ in step], [count for _, count in step])
        tables = self._tables()
        slots = tables[sequences, positions // PAGE] * PAGE + positions % PAGE
        inputs = {
            "tokens": np.concatenate([self.prompts[each][a:b] for each, a, b in spans]),
            "positions": positions,
            "sequences": sequences,
            "rows": np.arange(len(positions)),
        }
        inputs = {name: values.astype(np.int32) for name, values in inputs.items()}
        for value in self.graph.inputs:
            if value.hint.startswith("slots."):
                inputs[value.hint] = slots.astype(np.int32)
            elif value.hint.startswith("pages."):
                inputs[value.hint] = tables
        vocab = int(self.graph.outputs[LOGITS].type.shape[1])
        return inputs | self.states | _greedy(len(positions), vocab)

    def _tables(self) -> Array:
        """Pages of all sequences alternate, the last sequence's first.  -> i32[B, M]"""
        count = len(self.prompts)
        order = np.arange(self._pages_each)[None, :] * count
        return (order + np.arange(count)[::-1, None]).astype(np.int32)


def whole(length: int) -> list[Step]:
    return [[(0, length)]]


def chunked(length: int, chunk: int) -> list[Step]:
    return [[(0, min(chunk, length - at))] for at in range(0, length, chunk)]


def batched(lengths: Sequence[int], prefilled: int) -> list[Step]:
    """Sequences that begin one after another, each decoding beside the others until it is done."""
    left = list(lengths)
    steps: list[Step] = []
    for newcomer in range(len(lengths)):
        decoding = [(each, 1) for each in range(newcomer) if left[each]]
        steps.append([*decoding, (newcomer, prefilled)])
        for each, count in steps[-1]:
            left[each] -= count
    while any(left):
        steps.append([(each, 1) for each in reversed(range(len(left))) if left[each]])
        for each, _ in steps[-1]:
            left[each] -= 1
    return steps


def _greedy(rows: int, vocab: int) -> dict[str, Array]:
    return {
        "temperature": np.zeros(rows, np.float32),
        "top_k": np.full(rows, vocab, np.int32),
        "top_p": np.ones(rows, np.float32),
        "min_p": np.zeros(rows, np.float32),
        "seeds": np.zeros(rows, np.uint64),
        "forced": np.full(rows, vocab, np.int32),
        "num_logprobs": np.zeros(rows, np.int32),
    }
