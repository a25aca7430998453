"""A phase as a function of its own, which steps call: equal phases are written and compiled once.

What tells a phase from another that does the same is handed over: the counters that its pieces are
claimed from, where its weights begin, the numbers of its layer. So kinds of layers share what they
agree on, and variants of a step what does not depend on how many rows are computed together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from inferflux.codegen.artifact.canonical import canonical_json
from inferflux.codegen.memory import MemoryPlan
from inferflux.codegen.phase_body import phase_body
from inferflux.codegen.select import Phase
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.templates import render
from inferflux.ir.graph import Node, Stacked, Value
from inferflux.kernels.storage import Weight

SCALARS = ("num_tokens", "num_rows", "max_pages", "num_items", "num_merges", "worker")
DIGITS = 12  # of sha256, in a function's name
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class PhaseFunction:
    """What every worker calls to take part in a phase.  Equal symbols, equal texts.

    ``pieces``: how many are to be waited for, an expression of the step.
    """

    symbol: str
    text: str
    pieces: str
    buffers: tuple[str, ...]
    numbers: tuple[str, ...]

    def call(self, index: str, places: Mapping[str, str]) -> str:
        """The statement that calls it.

        Args:
            index: which counters are the phase's.
            places: numbers that the step has no name for.
        """
        pointers = [f"{name}.data" for name in self.buffers]
        numbers = [places.get(name, name) for name in self.numbers]
        given = ", ".join([*pointers, index, *numbers])
        return f'T.evaluate(T.call_extern("int32", "{self.symbol}", {given}))'

    def wait(self, index: str) -> str:
        """The statement that waits until all of its pieces are done."""
        return f"T.evaluate(wait(sync, {index}, {self.pieces}))"


def phase_function(
    name: str,
    signature: str,
    buffers: Mapping[str, str],
    numbers: Mapping[str, str],
    pieces: str,
    body: str,
) -> PhaseFunction:
    """A function of ``buffers`` and ``numbers``, of which it takes those that it speaks of.

    Args:
        pieces: their number, an expression.
        body: what one of them is, as text.
    """
    words = {"sync", *_WORD.findall(pieces), *_WORD.findall(body)}
    factors = {
        "signature": signature,
        "buffers": {each: dtype for each, dtype in buffers.items() if each in words},
        "numbers": {each: dtype for each, dtype in numbers.items() if each in words},
        "pieces": pieces,
        "body": body,
    }
    symbol = f"{name}_{hashlib.sha256(canonical_json(factors)).hexdigest()[:DIGITS]}"
    text = render("phase.j2", {"symbol": symbol, **factors})
    return PhaseFunction(symbol, text, pieces, tuple(factors["buffers"]), tuple(factors["numbers"]))


@dataclass(frozen=True, slots=True)
class PhaseWriter:
    """Writes the phases of one graph for one target.  ``buffers``: the step's, with their types."""

    target: CpuTarget
    memory: MemoryPlan
    buffers: Mapping[str, str]

    def write(
        self, phase: Phase, index: str, stacked: Mapping[str, str]
    ) -> tuple[PhaseFunction, str]:
        """The function of a phase, and a call of it.

        Args:
            index: which counters are the phase's, as an expression of the step.
            stacked: types of the attributes that differ by layer: the step calls them ``this_*``.
        """
        weights = dict(self._weights(phase.node))
        handed = {value: replace(at, base=f"at_{name}") for value, (name, at) in weights.items()}
        memory = replace(
            self.memory,
            operands={**self.memory.operands, **handed},
            worker_scratch="own_scratch",
        )
        names, layer = _names(phase.node)
        places = {f"at_{name}": at.base for name, at in weights.values()}
        numbers = dict.fromkeys((*SCALARS, "own_scratch"), "int32")
        numbers |= {text: stacked.get(name, "int32") for name, text in names.items()}
        numbers |= dict.fromkeys(places, "int64")
        function = phase_function(
            phase.node.op.name,
            _signature(phase.node),
            self.buffers,
            numbers,
            phase.kernel.pieces(phase.node, phase.schedule),
            phase_body(phase, self.target, memory, names),
        )
        given = {**places, **layer, "own_scratch": self.memory.worker_scratch}
        return function, function.call(index, given)

    def _weights(self, node: Node) -> Iterator[tuple[Value, tuple[str, Weight]]]:
        """The weights and constants of a node, each by what its op calls it and where it lies."""
        for name, value in node.operands.items():
            at = self.memory.operands[value]
            if isinstance(at, Weight):
                yield value, (name, at)


def _names(node: Node) -> tuple[dict[str, str], dict[str, str]]:
    """What is handed over of a node's attributes; and the layer, where it is the same for all.

    Then its kind has one layer, whose phases are to equal those of other kinds all the same.
    """
    stacked = (value.name for value in node.attrs.values() if isinstance(value, Stacked))
    names = {name: f"this_{name}" for name in stacked}
    layer = node.attrs.get("layer")
    if not isinstance(layer, int):
        return names, {}
    return {**names, "layer": "this_layer"}, {"this_layer": str(layer)}


def _signature(node: Node) -> str:
    given, results = (
        ", ".join(str(value.type) for value in values) for values in (node.inputs, node.results)
    )
    return f"{node.op}: {given} -> {results}"
