"""Compiling the text of steps for a CPU: TVMScript in, relocatable objects out.  Needs TVM."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inferflux.codegen.step import StepText
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import lowering
from inferflux.codegen.targets.words import TILES, loops, words
from inferflux.codegen.templates import render, source_text
from inferflux.errors import MissingPackages

PAUSE = {"x86_64": "pause", "aarch64": "yield"}
# What a step's object exports beside the step, for the threads that run it: pool.ll.j2.
POOL = {"lead": ("board",), "help": ("board", "helper"), "end": ("board", "helpers")}


def compile_steps(
    target: CpuTarget, steps: Sequence[StepText], report: Callable[[str, float], None]
) -> Mapping[str, tuple[bytes, ...]]:
    """For each machine of the target, an object for each step.

    Text is parsed here, the longest first, while LLVM compiles the last ones in threads.
    """
    _require_tvm()
    work = [(machine, step) for machine in target.machines for step in steps]
    work.sort(key=lambda job: -len(job[1].text))
    compiled = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for number, (machine, step) in enumerate(work):
            report(f"compiling {step.symbol} for {machine}", number / len(work))
            module = _parse(step, target_words(target, machine))
            job = pool.submit(_object, module, target.machines[machine])
            compiled[machine, step.symbol] = job
    return {
        machine: tuple(compiled[machine, step.symbol].result() for step in steps)
        for machine in target.machines
    }


def _require_tvm() -> None:
    if importlib.util.find_spec("tvm") is None:
        raise MissingPackages("compiling for a CPU", "apache-tvm", "cpu")
    lowering.register()


def target_words(target: CpuTarget, machine: str) -> dict[str, Any]:
    """The names that a step's text is evaluated with."""
    pause = {"pause": PAUSE[machine]}
    functions = render("sync.ll.j2", pause) + loops.DEFINITIONS
    if target.panels:
        functions += source_text("bf16.ll") + TILES[target.tiles].DEFINITIONS
    return {**words(target), "SYNC": functions, "POOL": render("pool.ll.j2", pause)}


def _parse(step: StepText, names: Mapping[str, Any]) -> Any:
    import tvm

    texts = {step.symbol: step.text} | {
        name: render("pool.j2", {"name": name, "arguments": arguments})
        for name, arguments in POOL.items()
    }
    return tvm.IRModule(
        {name: tvm.script.from_source(text, extra_vars=dict(names)) for name, text in texts.items()}
    )


def _object(module: Any, facts: Mapping[str, object]) -> bytes:
    import tvm
    from tvm.target import Target

    library = tvm.compile(module, target=Target(dict(facts)), tir_pipeline=lowering.NAME)
    return object_code(library)


def object_code(library: Any) -> bytes:
    """What TVM compiled, as a relocatable object."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "step.o"
        library.mod.write_to_file(str(path))
        return path.read_bytes()
