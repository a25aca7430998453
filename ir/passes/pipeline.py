"""The order of the passes, and the loop that runs, checks and dumps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferflux.ir.graph import Graph
from inferflux.ir.passes.canonicalise import canonicalise
from inferflux.ir.passes.choose_layouts import choose_layouts
from inferflux.ir.passes.config import Pass, PassConfig
from inferflux.ir.passes.fuse_elementwise import fuse_elementwise
from inferflux.ir.passes.fuse_gate_up import fuse_gate_up
from inferflux.ir.passes.fuse_qkv import fuse_qkv
from inferflux.ir.passes.fuse_quantise import fuse_quantise
from inferflux.ir.passes.fuse_residual import fuse_residual
from inferflux.ir.passes.fuse_rope_append import fuse_rope_append
from inferflux.ir.passes.narrow_pages import narrow_pages
from inferflux.ir.passes.quantise_activations import quantise_activations
from inferflux.ir.passes.roll import roll
from inferflux.ir.passes.widen_pages import widen_pages
from inferflux.ir.verify import verify as verify_graph


@dataclass(frozen=True, slots=True)
class Phase:
    """Passes with one aim."""

    name: str
    passes: tuple[Pass, ...]


PIPELINE = (
    Phase("canonicalise", (canonicalise,)),
    Phase("numerics", (widen_pages, narrow_pages, quantise_activations)),
    Phase(
        "fuse",
        (
            fuse_qkv,
            fuse_rope_append,
            fuse_gate_up,
            fuse_residual,
            fuse_elementwise,
            fuse_quantise,
        ),
    ),
    Phase("roll", (roll,)),
    Phase("place", (choose_layouts,)),
)


def run(
    graph: Graph,
    pipeline: Sequence[Phase] = PIPELINE,
    *,
    numerics: str = "default",
    activations: str = "i8x32",
    kv_dtype: str = "f16",
    verify: bool = False,
    dump: Path | None = None,
) -> Graph:
    """The graph after every pass.  ``verify`` checks it each time, ``dump`` writes NN-<pass>.ir."""
    config = PassConfig(numerics, activations, kv_dtype)
    passes = [each for phase in pipeline for each in phase.passes]
    _settle(graph, 0, "import", verify, dump)
    for number, each in enumerate(passes, start=1):
        graph = each(graph, config)
        _settle(graph, number, each.__name__, verify, dump)
    return graph


def _settle(graph: Graph, number: int, name: str, verify: bool, dump: Path | None) -> None:
    if dump:
        dump.mkdir(parents=True, exist_ok=True)
        (dump / f"{number:02}-{name}.ir").write_text(str(graph))
    if verify:
        verify_graph(graph)
