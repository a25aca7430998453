"""What a model will need and how fast it should be on this machine, before it is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from inferflux.bench.machine import usable_cores
from inferflux.cli.build import best_target
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
from inferflux.errors import MissingPackages
from inferflux.ir import frontend
from inferflux.ir.frontend import ModelSource
from inferflux.ir.graph import Graph
from inferflux.ir.types import I8PAGE

_F16_BYTES: Final = 2
_GIGA: Final = 1e9
_SCRATCH_BYTES: Final = {"scratch_f32": 4, "scratch_i8": 1, "scratch_i32": 4}


def predict(source: ModelSource, kv_bytes_per_token: int, *, measure: bool) -> dict[str, Any]:
    """``memory`` and ``prediction`` as plain values; ``kv_bytes_per_token`` in float16.

    Raises ``UnsupportedOnTarget`` where the model cannot be compiled for this machine.
    """
    target = TARGETS[best_target()]
    config = frontend.config(source)
    graphs = lower(source, "default", [target])
    for graph in graphs.values():
        require_head_sizes(graph, target)
    return {
        "memory": _memory(graphs, target, config.vocab_size)
        | _pages(kv_bytes_per_token, config.context_length),
        "prediction": _speed(graphs, target, config.context_length, measure=measure),
    }


def _memory(graphs: Mapping[str, Graph], target: CpuTarget, vocab_size: int) -> dict[str, int]:
    forms = [Form(name, graph, target, vocab_size) for name, graph in graphs.items()]
    scratch = max(map(_scratch_bytes, forms))
    return {"weights_packed_bytes": forms[0].plan.nbytes, "scratch_bytes": scratch}


def _scratch_bytes(form: Form) -> int:
    """With room for as many workers as a step can have; what none touches is never given out."""
    return sum(size * form.memory.sizes[name] for name, size in _SCRATCH_BYTES.items())


def _pages(per_token: int, context_length: int) -> dict[str, int]:
    """Keys and values, of one token and of a sequence as long as the context."""
    int8 = per_token // _F16_BYTES * I8PAGE.block_bytes // I8PAGE.block
    return {
        "kv_bytes_per_token_f16": per_token,
        "kv_bytes_per_token_int8": int8,
        "kv_bytes_whole_context_f16": per_token * context_length,
        "kv_bytes_whole_context_int8": int8 * context_length,
    }


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
