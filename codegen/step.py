"""The text of a compiled step: phases in one function, layers a loop, pieces claimed by workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferflux.codegen.artifact.compiled import StepVariant
from inferflux.codegen.memory import SAMPLE_OUTPUTS, MemoryPlan, scales_of
from inferflux.codegen.phase_body import has_tiles
from inferflux.codegen.phase_function import SCALARS, PhaseFunction, PhaseWriter
from inferflux.codegen.select import Layers, Phase
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets.words.workers import COUNTER_STRIDE
from inferflux.codegen.templates import render
from inferflux.ir.graph import Attr, Graph, Node
from inferflux.ir.ops.repeat import layer_kinds, stacked_attributes
from inferflux.kernels.kernel import StepShape
from inferflux.kernels.linear.tiles import TILE_SHAPES

_DTYPES = {"i32": "int32", "u64": "int32", "f32": "float32", "f16": "float16", "i8page": "int8"}


@dataclass(frozen=True, slots=True)
class StepText:
    """One variant of the step as TVMScript, the functions that it calls, and how it is called."""

    symbol: str
    arithmetic: str
    shape: StepShape
    text: str
    num_phases: int
    functions: tuple[PhaseFunction, ...]

    @property
    def variant(self) -> StepVariant:
        """What a runtime is told of it."""
        return StepVariant(
            self.symbol, self.arithmetic, self.shape.min_tokens, self.shape.max_tokens
        )


def counters(num_phases: int) -> int:
    """Elements of ``sync`` that so many phases take."""
    return num_phases * COUNTER_STRIDE


def step_buffers(graph: Graph) -> dict[str, str]:
    """The step's buffers, in the order of its arguments: name -> element type."""
    buffers = {"weights": "uint8", "scratch_f32": "float32", "scratch_i8": "int8"}
    buffers |= dict.fromkeys(("scratch_i32", "sync", "spans", "merges"), "int32")
    for value in graph.inputs:
        buffers[value.hint.replace(".", "_")] = _DTYPES[value.type.dtype.name]
        if scales := scales_of(value):
            buffers[scales] = "float16"
    outputs = dict(zip(SAMPLE_OUTPUTS, ("int32", "float32", "int32", "float32"), strict=True))
    return buffers | outputs | {"logits": "float32"}


@dataclass(frozen=True, slots=True)
class StepWriter:
    """Writes the step of one graph for one target."""

    graph: Graph
    target: CpuTarget
    memory: MemoryPlan
    arithmetic: str = "i8x32"  # what products are computed in: it names the function

    def write(
        self,
        phases: tuple[Phase | Layers, ...],
        bases: Mapping[Node, tuple[tuple[int, int], ...]],
        shape: StepShape,
    ) -> StepText:
        """Write the variant of one shape.  ``bases``: see ``WeightPlan.layer_bases``."""
        buffers = step_buffers(self.graph)
        symbol = f"step_{self.arithmetic}_{shape.row_block}"
        writer = _CallWriter(PhaseWriter(self.target, self.memory, buffers))
        texts, index = [], 0
        for item in phases:
            if isinstance(item, Phase):
                texts.append(writer.call(item, index, "", {}))
            else:
                texts.append(writer.layers(item, index, bases[item.node]))
            index += _num_phases(item)
        text = render(
            "step.j2",
            {
                "symbol": symbol,
                "row_block": shape.row_block,
                "max_tokens": shape.max_tokens,
                "tile_shapes": TILE_SHAPES[self.arithmetic]
                if has_tiles(self.target, shape)
                else (),
                "handles": [f"{name}_handle: T.handle" for name in buffers],
                "scalars": SCALARS,
                "buffers": buffers,
                "phases": "\n".join(texts),
            },
        )
        functions = tuple(writer.functions.values())
        return StepText(symbol, self.arithmetic, shape, text, index, functions)


@dataclass(frozen=True, slots=True)
class _CallWriter:
    """Writes the calls of phases, and keeps the functions that they call, each once.

    ``begun``: the waits that the stage being written is to end with.
    """

    phases: PhaseWriter
    functions: dict[str, PhaseFunction] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)

    def call(self, phase: Phase, number: int, per_layer: str, stacked: Mapping[str, str]) -> str:
        """A phase's call; of the last of a stage also waits for all that the stage began.

        Args:
            number: which counters are the phase's; in layers, in the first of them.
            per_layer: what a layer adds to that.
        """
        index = f"{number}{per_layer}"
        function, call = self.phases.write(phase, index, stacked)
        self.functions[function.symbol] = function
        lines = [f"# {_title(phase.node)}", _only(phase.when, call)]
        self.begun.append(_only(phase.when, function.wait(index)))
        if phase.ends_stage:
            lines += self.begun
            self.begun.clear()
        return "\n".join(lines)

    def layers(self, layers: Layers, index: int, bases: tuple[tuple[int, int], ...]) -> str:
        stacked = stacked_attributes(layers.node)
        values = {name: _filled(each) for name, each in stacked.items()}
        dtypes = {name: _dtype(each) for name, each in values.items()}
        kinds = []
        for body, (base, stride) in zip(layers.bodies, bases, strict=True):
            phases = [
                self.call(phase, number, f" + layer * {layers.phases_per_layer}", dtypes)
                for number, phase in enumerate(body, start=index)
            ]
            kinds.append({"base": base, "stride": stride, "phases": phases})
        return render(
            "layers.j2",
            {
                "num_layers": layers.num_layers,
                "kind_of_layer": layer_kinds(layers.node),
                "place_in_kind": _places(layer_kinds(layers.node)),
                "stacked": {f"this_{name}": each for name, each in values.items()},
                "kinds": kinds,
            },
        )


def _num_phases(item: Phase | Layers) -> int:
    return 1 if isinstance(item, Phase) else item.phases_per_layer * item.num_layers


def _filled(values: tuple[Attr, ...]) -> tuple[Attr, ...]:
    """Layers of a kind that has no such number hold None, and read none: any number will do."""
    some = next(value for value in values if value is not None)
    return tuple(some if value is None else value for value in values)


def _dtype(values: tuple[Attr, ...]) -> str:
    return "float32" if isinstance(values[0], float) else "int32"


def _places(kinds: tuple[int, ...]) -> tuple[int, ...]:
    """For each layer, how many layers of its kind come before it."""
    return tuple(kinds[:layer].count(kind) for layer, kind in enumerate(kinds))


def _only(when: str | None, statement: str) -> str:
    """A statement under a condition of the step, if there is one."""
    return f"if {when}:\n    {statement}" if when else statement


def _title(node: Node) -> str:
    results = ", ".join(f"{value.hint or value.type}" for value in node.results)
    return f"{results} = {node.op}"
