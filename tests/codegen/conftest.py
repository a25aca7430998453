"""Tiny models compiled whole, and steps given to them and to the interpreter alike."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferflux import codegen
from inferflux.codegen.artifact.compiled import CompiledModel
from inferflux.codegen.artifact.machine import machine_features
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.engine.runtime.cpu import CpuRunner
from inferflux.engine.step import SamplingRows, StepInputs, StepOutputs
from inferflux.ir import frontend, passes
from inferflux.ir.graph import Graph
from inferflux.ir.interpret import interpret

Array = np.ndarray[Any, np.dtype[Any]]
Work = Sequence[tuple[int, int]]  # of each sequence in the step: which, and how many tokens

PAGE = 16
LOGITS = 4  # which output of a graph; pages follow, by group
MAX_SEQUENCES = 4
MAX_ROWS = 24


@dataclass(frozen=True)
class TinyModel:
    """A compiled model, the graph it was compiled from, and the graph as imported."""

    compiled: CompiledModel
    target: str
    fused: Graph
    imported: Graph
    tensors: dict[str, Array]

    def session(self, num_workers: int = 1, seed: int = 0) -> Session:
        return Session(self, num_workers, seed)


class Session:
    """Sequences of made-up tokens that go through a model step by step, in pages in any order."""

    def __init__(self, model: TinyModel, num_workers: int, seed: int) -> None:
        target = model.compiled.targets[model.target]
        facts = model.compiled.facts
        self.model = model
        self.tokens = np.random.default_rng(7).integers(
            0, facts.vocab_size, (MAX_SEQUENCES, facts.context_length)
        )
        shuffle = np.random.default_rng(seed)
        pages = MAX_SEQUENCES * -(-facts.context_length // PAGE)
        self._tables = [
            shuffle.permutation(pages).reshape(MAX_SEQUENCES, -1).astype(np.int32)
            for _ in target.kv_groups
        ]
        self._done = [0] * MAX_SEQUENCES
        self._runner = CpuRunner(
            facts,
            target,
            model.compiled.weights[target.weights],
            num_workers=num_workers,
            num_pages=(pages,) * len(target.kv_groups),
            max_sequences=MAX_SEQUENCES,
            max_logit_rows=MAX_ROWS,
        )
        self._pages = {
            f"{stream.name}.{number}": np.zeros((pages, *stream.shape), stream.dtype)
            for number, group in enumerate(target.kv_groups)
            for stream in group.streams
        }

    def step(self, work: Work, rows: Sequence[int] | None = None) -> StepOutputs:
        """Run the next tokens of some sequences; logits of ``rows``, by default of all."""
        inputs = self._inputs(work, rows)
        self._advance(work)
        return self._runner.forward(inputs)

    def compare(
        self, work: Work, graph: Graph, rows: Sequence[int] | None = None
    ) -> tuple[StepOutputs, tuple[Array, ...]]:
        """Run a step compiled and interpreted: (outputs, what the graph gives)."""
        inputs = self._inputs(work, rows)
        self._advance(work)
        outputs = self._runner.forward(inputs)
        expected = interpret(graph, self._named(inputs), self.model.tensors)
        self._pages = dict(zip(self._pages, expected[LOGITS + 1 :], strict=True))
        return outputs, expected

    def _inputs(self, work: Work, rows: Sequence[int] | None) -> StepInputs:
        spans = [(who, self._done[who], self._done[who] + count) for who, count in work]
        positions = np.concatenate([np.arange(first, end) for _, first, end in spans])
        sequences = np.repeat(np.arange(len(work)), [count for _, count in work])
        tables = tuple(table[[who for who, _ in work]] for table in self._tables)
        chosen = range(len(positions)) if rows is None else rows
        return StepInputs(
            tokens=np.concatenate([self.tokens[who, first:end] for who, first, end in spans]),
            positions=positions.astype(np.int32),
            sequence_starts=np.cumsum([0, *(count for _, count in work)]).astype(np.int32),
            slot_mapping=tuple(
                table[sequences, positions // PAGE] * PAGE + positions % PAGE for table in tables
            ),
            page_tables=tables,
            logit_rows=np.array(chosen, np.int32),
            sampling=_greedy(len(chosen), self.model.compiled.facts.vocab_size),
            wants_logits=True,
        )

    def _advance(self, work: Work) -> None:
        for who, count in work:
            self._done[who] += count

    def _named(self, inputs: StepInputs) -> dict[str, Array]:
        lengths = np.diff(inputs.sequence_starts)
        sampling = inputs.sampling
        given = {name: getattr(sampling, name) for name in sampling.__slots__ if name != "seed"}
        groups = range(len(inputs.page_tables))
        return {
            "tokens": inputs.tokens,
            "positions": inputs.positions,
            "sequences": np.repeat(np.arange(len(lengths)), lengths),
            "rows": inputs.logit_rows,
            "seeds": sampling.seed,
            **given,
            **{f"slots.{group}": inputs.slot_mapping[group] for group in groups},
            **{f"pages.{group}": inputs.page_tables[group] for group in groups},
            **self._pages,
        }


@pytest.fixture(scope="session")
def tiny_model(tiny_gguf: Callable[..., Path]) -> Callable[..., TinyModel]:
    """``tiny_model(target, numerics, row_blocks, **fields of TinyDecoder)``, compiled once each."""
    made: dict[str, TinyModel] = {}

    def build(
        target: str, numerics: str = "default", row_blocks: Sequence[int] = (1, 4), **fields: Any
    ) -> TinyModel:
        key = repr((target, numerics, row_blocks, sorted(fields.items())))
        if key not in made:
            source = frontend.as_computed(frontend.open(tiny_gguf(**fields)), numerics)
            imported = frontend.build(source)
            made[key] = TinyModel(
                _compile(source, target, numerics, row_blocks),
                target,
                passes.run(imported, numerics=numerics),
                imported,
                {name: tensor.raw for name, tensor in source.tensors.items()},
            )
        return made[key]

    return build


def _runs_here(target: CpuTarget) -> bool:
    here = machine_features()
    return here >= {*target.features} and not here.isdisjoint(target.machines)


_TARGETS = [target for target in TARGETS.values() if _runs_here(target) and not target.panels]


@pytest.fixture(params=[target.name for target in _TARGETS])
def target(request: pytest.FixtureRequest) -> str:
    """The name of every target this machine can run; those with bf16 add a variant to another's."""
    name: str = request.param
    if not _runs_here(TARGETS[name]):  # asked for by its name
        pytest.skip(f"this machine cannot run {name}")
    return name


def _compile(
    source: frontend.ModelSource, target: str, numerics: str, row_blocks: Sequence[int]
) -> CompiledModel:
    """For this machine alone, and with these row blocks only: compiling takes longer than tests."""
    facts = TARGETS[target]
    here = {platform.machine(): facts.machines[platform.machine()]}
    narrowed = replace(facts, machines=here, row_blocks=tuple(row_blocks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TARGETS, target, narrowed)
        return codegen.compile(source, (target,), numerics)


def _greedy(rows: int, vocab_size: int) -> SamplingRows:
    return SamplingRows(
        temperature=np.zeros(rows, np.float32),
        top_k=np.full(rows, vocab_size, np.int32),
        top_p=np.ones(rows, np.float32),
        min_p=np.zeros(rows, np.float32),
        seed=np.zeros(rows, np.uint64),
        forced=np.full(rows, vocab_size, np.int32),
        num_logprobs=np.full(rows, 5, np.int32),
    )
