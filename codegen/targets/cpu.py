"""Compiling the text of steps for a CPU: TVMScript in, relocatable objects out.  Needs TVM."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inferflux.codegen.step import StepText
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.templates import render
from inferflux.codegen.targets.words import words

PAUSE = {"x86_64": "pause", "aarch64": "yield"}
SPINS = 4000  # looks before a waiting worker gives its core away: about 100 us


def compile_steps(
    target: CpuTarget, steps: Sequence[StepText], report: Callable[[str, float], None]
) -> Mapping[str, bytes]:
    """One object per machine of the target, with every step function in it."""
    import tvm
    from tvm.target import Target

    objects = {}
    for number, (machine, facts) in enumerate(target.machines.items()):
        report(f"compiling {len(steps)} steps for {machine}", number / len(target.machines))
        sync = render("sync.ll.j2", {"spins": SPINS, "pause": PAUSE[machine]})
        names = {**words(vnni=target.vnni, native_half=target.native_half), "SYNC": sync}
        functions = {
            step.symbol: tvm.script.from_source(step.text, extra_vars=names) for step in steps
        }
        library = tvm.compile(tvm.IRModule(functions), target=Target(dict(facts)))
        objects[machine] = _object(library)
    return objects


def _object(library: object) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "step.o"
        library.mod.write_to_file(str(path))  # type: ignore[attr-defined]
        return path.read_bytes()
