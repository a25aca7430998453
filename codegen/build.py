"""From a model file to a compiled model: lower, select, plan, write, compile, pack."""

from __future__ import annotations

import importlib.metadata
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from inferflux.codegen.artifact.compiled import (
    PAGE_SIZE,
    AttentionCut,
    Bytes,
    CompiledModel,
    CompiledTarget,
    CpuStep,
    KVGroup,
    KVStream,
)
from inferflux.codegen.autotune.tuning import Tuning, shipped_tuning
from inferflux.codegen.autotune.variants import variants_of
from inferflux.codegen.facts import model_facts, tokenizer_facts
from inferflux.codegen.forms import Form, lower
from inferflux.codegen.head_sizes import head_size, require_head_sizes
from inferflux.codegen.keys import KernelKey, TargetKey, lines, segment_name
from inferflux.codegen.memory import MAX_WORKERS, ROW_PADDING, padded
from inferflux.codegen.packing import PackedWeights, pack_weights
from inferflux.codegen.phase_function import SCALARS
from inferflux.codegen.select import Layers, Phase, select
from inferflux.codegen.step import StepText, StepWriter, counters, step_buffers
from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.codegen.templates import package_text, source_text, template_text
from inferflux.errors import InvalidArgument
from inferflux.ir import frontend, passes
from inferflux.ir.frontend import ModelConfig, ModelSource
from inferflux.ir.graph import Graph
from inferflux.ir.types import I8PAGE
from inferflux.kernels.attention.space import BLOCK, PARTIALS, SPAN
from inferflux.kernels.kernel import StepShape

LAUNCH = ("step.j2", "layers.j2", "phase.j2", "sync.ll.j2", "pool.j2", "pool.ll.j2", "bf16.ll")
WORDS = "inferflux.codegen.targets.words"

Progress = Callable[[str, float], None]


def compile(  # noqa: A001  the verb of the pipeline
    source: ModelSource,
    targets: Sequence[str] = ("cpu:avx512",),
    numerics: str = "default",
    dump_ir: Path | None = None,
    progress: Progress | None = None,
    tuning: Tuning | None = None,
    kv_dtype: str = "f16",
) -> CompiledModel:
    """Compile a model for targets, the best first.

    Args:
        numerics: "default", or "float32": every product and sum in float32.
        dump_ir: a directory for the IR after each pass.
        progress: called with a stage and the fraction of the whole that is done.
        kv_dtype: what KV pages hold: "f16", or "int8" with a scale for 32 elements of a head.
        tuning: records that schedules are chosen by; None: those that ship, of the target's level.

    Raises:
        InvalidArgument: a target is not known.
        UnsupportedOnTarget: a target cannot run what the model asks.
        ModelFileError: the file is not a model that the front end takes.
    """
    report = progress or (lambda stage, fraction: None)
    tuning = tuning if tuning is not None else shipped_tuning()
    report("reading the graph", 0.0)
    source = frontend.as_computed(source, numerics)
    config = frontend.config(source)
    graphs = lower(source, numerics, [_target(name) for name in targets], dump_ir, kv_dtype)
    weights: dict[str, Bytes] = {}
    packed: dict[str, PackedWeights] = {}
    compiled: dict[str, CompiledTarget] = {}
    for number, name in enumerate(targets):
        share = _Share(report, number / len(targets), 1 / len(targets))
        build = _TargetBuild(source, config, graphs, _target(name), numerics, tuning, share)
        compiled[name] = build.run(weights, packed)
    report("compiled", 1.0)
    return CompiledModel(
        facts=model_facts(source, config, ChainMap(*(each.errors for each in packed.values()))),
        tokenizer=tokenizer_facts(frontend.tokenizer(source)),
        graph=dict.fromkeys(targets, str(next(iter(graphs.values())))),
        targets=compiled,
        weights=weights,
    )


class _Share:
    """The part of a progress report that one target's build moves through."""

    def __init__(self, report: Progress, start: float, width: float) -> None:
        self.report, self.start, self.width = report, start, width

    def __call__(self, stage: str, fraction: float) -> None:
        self.report(stage, self.start + self.width * fraction)


class _TargetBuild:
    """One target's build: what is planned once and used by every variant of the step."""

    def __init__(
        self,
        source: ModelSource,
        config: ModelConfig,
        graphs: Mapping[str, Graph],
        target: CpuTarget,
        numerics: str,
        tuning: Tuning,
        report: _Share,
    ) -> None:
        for graph in graphs.values():
            require_head_sizes(graph, target)
        self.source, self.config = source, config
        self.target, self.numerics, self.report = target, numerics, report
        self.choose = tuning.schedule
        self.variants = tuning.variants(graphs, variants_of(target, graphs), target.name)
        used = {variant.arithmetic for variant in self.variants}
        self.forms = [
            Form(arithmetic, graph, target, config.vocab_size)
            for arithmetic, graph in graphs.items()
            if arithmetic in used
        ]
        self.graph, self.plan = self.forms[0].graph, self.forms[0].plan
        assert all(form.plan.places == self.plan.places for form in self.forms), "one arena for all"

    def run(self, weights: dict[str, Bytes], shared: dict[str, PackedWeights]) -> CompiledTarget:
        """Give the compiled target; its segment of weights is added to ``weights``.

        ``shared`` is what targets before it packed, by arithmetic: all read the same layouts.
        """
        from inferflux.codegen.targets.cpu import compile_steps

        self.report("packing weights", 0.05)
        arithmetic = self.forms[0].arithmetic
        if arithmetic not in shared:
            shared[arithmetic] = pack_weights(self.plan, self.source)
        packed = shared[arithmetic]
        segment = segment_name("panel16", packed.arena)
        weights.setdefault(segment, packed.arena)
        steps, keys = self._write_steps()
        report = self.report
        objects = compile_steps(
            self.target, steps, lambda stage, done: report(stage, 0.1 + 0.9 * done)
        )
        kernel_keys = {name: key.digest for name, key in keys.items()}
        return CompiledTarget(
            name=self.target.name,
            numerics=self.numerics,
            target_key=self._key(kernel_keys).digest,
            features=self.target.features,
            objects=objects,
            sources=self._sources(steps),
            kernel_keys=kernel_keys,
            weights=segment,
            kv_groups=tuple(_kv_groups(self.graph, self.config)),
            step=self._step(steps),
        )

    def _write_steps(self) -> tuple[list[StepText], dict[str, KernelKey]]:
        steps: list[StepText] = []
        keys: dict[str, KernelKey] = {}
        for form in self.forms:
            writer = StepWriter(form.graph, self.target, form.memory, form.arithmetic)
            for shape in self._shapes(form.arithmetic):
                phases = select(form.graph, shape, self.target.name, self.choose)
                step = writer.write(phases, form.plan.layer_bases, shape)
                steps.append(step)
                keys |= {
                    f"{step.symbol}/{number}": _kernel_key(phase, self.target)
                    for number, phase in enumerate(_flat(phases))
                }
        return steps, keys

    def _shapes(self, arithmetic: str) -> Iterator[StepShape]:
        return (each.shape for each in self.variants if each.arithmetic == arithmetic)

    def _sources(self, steps: Sequence[StepText]) -> dict[str, str]:
        """The texts of the steps and of what they call; graphs besides the one for all steps."""
        graphs = {f"{form.arithmetic}.ir": str(form.graph) for form in self.forms[1:]}
        texts = {step.symbol: step.text for step in steps}
        texts |= {each.symbol: each.text for step in steps for each in step.functions}
        return {f"{symbol}.py": text for symbol, text in texts.items()} | graphs

    def _key(self, kernel_keys: Mapping[str, str]) -> TargetKey:
        return TargetKey(
            target=self.target.name,
            features=" ".join(self.target.features),
            numerics=self.numerics,
            passes=" ".join(each.__name__ for phase in passes.PIPELINE for each in phase.passes),
            graph="".join(str(form.graph) for form in self.forms),
            layouts=" ".join(sorted({value.type.layout for value in self.graph.weights})),
            variants="\n".join(map(str, self.variants)),
            kernel_keys=lines(kernel_keys),
            launch="\n".join((*map(source_text, LAUNCH), package_text(WORDS))),
        )

    def _step(self, steps: Sequence[StepText]) -> CpuStep:
        sizes = [form.memory.sizes for form in self.forms]
        return CpuStep(
            arguments=(*step_buffers(self.graph), *SCALARS),
            variants=tuple(step.variant for step in steps),
            scratch_f32=max(size["scratch_f32"] for size in sizes),
            scratch_i8=max(size["scratch_i8"] for size in sizes),
            scratch_i32=max(size["scratch_i32"] for size in sizes),
            sync=counters(max(step.num_phases for step in steps)),
            row_padding=ROW_PADDING,
            logits_stride=padded(self.config.vocab_size),
            max_step_tokens=MAX_STEP_TOKENS,
            max_workers=MAX_WORKERS,
            attention=AttentionCut(SPAN, BLOCK, PARTIALS, _window(self.config)),
        )


def _target(name: str) -> CpuTarget:
    if name not in TARGETS:
        raise InvalidArgument(f"target {name!r} is not known; known: {', '.join(TARGETS)}")
    return TARGETS[name]


def _kernel_key(phase: Phase, target: CpuTarget) -> KernelKey:
    node = phase.node
    return KernelKey(
        op=node.op.name,
        types=" ".join(str(value.type) for value in (*node.inputs, *node.results)),
        attrs=lines({name: str(value) for name, value in node.attrs.items()}),
        schedule=lines({name: str(value) for name, value in phase.schedule.items()}),
        target=target.name,
        toolchain=f"apache-tvm {importlib.metadata.version('apache-tvm')}",
        template=template_text(phase.kernel.template),
    )


def _flat(phases: Sequence[Phase | Layers]) -> Iterator[Phase]:
    for item in phases:
        if isinstance(item, Phase):
            yield item
        else:
            yield from (phase for body in item.bodies for phase in body)


def _window(config: ModelConfig) -> int | None:
    """What the layers that see furthest see: all layers' attention is cut by one list."""
    windows = [group.window for group in config.kv_groups]
    return None if None in windows else max(each for each in windows if each)


def _kv_groups(graph: Graph, config: ModelConfig) -> Iterator[KVGroup]:
    """The pages that the graph's inputs say the engine must keep."""
    dtypes = {"f16": "float16", "f32": "float32", "i8page": "int8"}
    inputs = {value.hint: value.type for value in graph.inputs}
    for index, group in enumerate(config.kv_groups):
        streams = []
        for name in ("k", "v"):
            pages = inputs[f"{name}.{index}"]
            shape = tuple(dim for dim in pages.shape if isinstance(dim, int))
            assert PAGE_SIZE in shape, f"pages of {pages} do not hold {PAGE_SIZE} tokens"
            streams.append(KVStream(name, dtypes[pages.dtype.name], shape))
            if pages.dtype == I8PAGE:
                blocks = (*shape[:2], head_size(pages) // I8PAGE.block, PAGE_SIZE)
                streams.append(KVStream(f"{name}_scale", "float16", blocks))
        yield KVGroup(group.layers, group.window, tuple(streams))
