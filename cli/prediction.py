"""What a model will need and how fast it should be on this machine, before it is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from inferflux.bench.machine import usable_cores
from inferflux.cli.build import best_target
from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.codegen.forms import Form, lower
from inferflux.codegen.head_sizes import require_head_sizes
from inferflux.codegen.roofline.prediction import (
    DECODE_DEPTH,
    DECODE_SHARE,
    PREFILL_SHARE,
    PREFILL_TOKENS,
    predict_speed,
)
from inferflux.codegen.roofline.work import step_work
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import TARGETS
from inferflux.engine.retention import Retention
from inferflux.errors import MissingPackages
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelConfig, ModelSource
from inferflux.ir.frontend.facts import LayerGroup
from inferflux.ir.graph import Graph
from inferflux.ir.types import I8PAGE

_F16_BYTES: Final = 2
_GIGA: Final = 1e9
_SCRATCH_BYTES: Final = {"scratch_f32": 4, "scratch_i8": 1, "scratch_i32": 4}


def predict(
    source: ModelSource, kv_bytes_per_token: Sequence[int], *, measure: bool
) -> dict[str, Any]:
    """``memory`` and ``prediction`` as plain values; ``kv_bytes_per_token`` by group, in float16.

    Raises ``UnsupportedOnTarget`` where the model cannot be compiled for this machine.
    """
    target = TARGETS[best_target()]
    config = frontend.config(source)
    graphs = lower(source, "default", [target])
    for graph in graphs.values():
        require_head_sizes(graph, target)
    return {
        "memory": _memory(graphs, target, config.vocab_size) | _pages(kv_bytes_per_token, config),
        "prediction": _speed(graphs, target, config.context_length, measure=measure),
    }


def _memory(graphs: Mapping[str, Graph], target: CpuTarget, vocab_size: int) -> dict[str, int]:
    forms = [Form(name, graph, target, vocab_size) for name, graph in graphs.items()]
    scratch = max(map(_scratch_bytes, forms))
    return {"weights_packed_bytes": forms[0].plan.nbytes, "scratch_bytes": scratch}


def _scratch_bytes(form: Form) -> int:
    """With room for as many workers as a step can have; what none touches is never given out."""
    return sum(size * form.memory.sizes[name] for name, size in _SCRATCH_BYTES.items())


def _pages(per_token: Sequence[int], config: ModelConfig) -> dict[str, int]:
    """Keys and values, of one token and of a sequence as long as the context."""
    whole = sum(
        each * _kept_tokens(group, config.context_length)
        for each, group in zip(per_token, config.kv_groups, strict=True)
    )
    return {
        "kv_bytes_per_token_f16": sum(per_token),
        "kv_bytes_per_token_int8": _in_int8(sum(per_token)),
        "kv_bytes_whole_context_f16": whole,
        "kv_bytes_whole_context_int8": _in_int8(whole),
    }


def _kept_tokens(group: LayerGroup, context_length: int) -> int:
    """At the end of the context: of a window, the pages that it touches at most."""
    pages = Retention(group.window).most_pages(context_length, chunk_tokens=1)
    return min(context_length, pages * PAGE_SIZE)


def _in_int8(f16_bytes: int) -> int:
    return f16_bytes // _F16_BYTES * I8PAGE.block_bytes // I8PAGE.block


def _speed(
    graphs: Mapping[str, Graph], target: CpuTarget, context_length: int, *, measure: bool
) -> dict[str, Any]:
    from inferflux.cli.roofs import roofs_of_this_machine

    num_workers = usable_cores()
    first = next(iter(graphs.values()))
    bytes_read = sum(work.bytes_read for work in step_work(first, 1, 1))
    try:
        roofs = roofs_of_this_machine(target, num_workers, bytes_read, again=measure)
    except MissingPackages as error:
        return {"none": str(error)}
    speed = predict_speed(graphs, roofs, context_length)
    return {
        "decode_tokens_per_second": _rounded(speed.decode),
        "prefill_tokens_per_second": _rounded(speed.prefill),
        "target": target.name,
        "workers": num_workers,
        "roof_read_gb_per_second": _rounded(roofs.read / _GIGA),
        "roof_gmac_per_second": {
            name: _rounded(speed / _GIGA) for name, speed in roofs.computing.items()
        },
        "basis": (
            "what the graph would take at the roofs measured on this machine; of that speed "
            f"{DECODE_SHARE} for one stream at depth {DECODE_DEPTH} and {PREFILL_SHARE} for a "
            f"prompt of {PREFILL_TOKENS}, which the default model reached where it was measured"
            + ("; tiles have no roof of their own: prompts may be faster" if target.tiles else "")
        ),
    }


def _rounded(speed: float) -> float:
    """Three digits: a prediction has no more."""
    return float(f"{speed:.3g}")
