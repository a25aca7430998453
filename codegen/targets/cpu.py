"""Compiling the text of steps for a CPU: TVMScript in, relocatable objects out.  Needs TVM."""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inferflux.codegen.step import StepText
from inferflux.codegen.target import CpuTarget
from inferflux.codegen.targets import lowering
from inferflux.codegen.targets.script import read_function
from inferflux.codegen.targets.words import TILES, loops, stack, words
from inferflux.codegen.templates import render, source_text
from inferflux.errors import MissingPackages

PAUSE = {"x86_64": "pause", "aarch64": "yield"}
PLAIN = 1  # of TVM's calling conventions: a function is called as it is written, not through TVM
UNBOUNDED = 2**40  # elements of a buffer that a function is handed the address of
# What a step's object exports beside the step, for the threads that run it: pool.ll.j2.
POOL = {"lead": ("board",), "help": ("board", "helper"), "end": ("board", "helpers")}


def compile_steps(
    target: CpuTarget, steps: Sequence[StepText], report: Callable[[str, float], None]
) -> Mapping[str, tuple[bytes, ...]]:
    """For each machine of the target, the objects that together hold all steps; one for one step.

    Text is parsed here while LLVM compiles the last objects in threads.
    """
    _require_tvm()
    units = _units(steps)
    work = [(machine, *unit) for machine in target.machines for unit in units]
    jobs: dict[str, list[Future[bytes]]] = {machine: [] for machine in target.machines}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for number, (machine, title, texts) in enumerate(work):
            report(f"compiling {title} for {machine}", number / len(work))
            module = _parse(texts, target_words(target, machine))
            jobs[machine].append(pool.submit(_object, module, target.machines[machine]))
    return {machine: tuple(job.result() for job in jobs[machine]) for machine in jobs}


def _units(steps: Sequence[StepText]) -> list[tuple[str, dict[str, str]]]:
    """What is compiled together: functions that several steps call, then each step with its own.

    The first has what every target needs once: how threads take part in a step.
    """
    callers = Counter(function.symbol for step in steps for function in step.functions)
    texts = {function.symbol: function.text for step in steps for function in step.functions}
    shared = {symbol: text for symbol, text in texts.items() if callers[symbol] > 1}
    units = [("phases of all steps", shared)] if shared else []
    for step in steps:
        own = {each.symbol: each.text for each in step.functions if each.symbol not in shared}
        units.append((step.symbol, {**own, step.symbol: step.text}))
    title, first = units[0]
    return [(title, first | pool_functions()), *units[1:]]


def pool_functions() -> dict[str, str]:
    """The texts of functions through which Python reaches the pool's code, by name."""
    return {
        name: render("pool.j2", {"name": name, "arguments": arguments})
        for name, arguments in POOL.items()
    }


def _require_tvm() -> None:
    if importlib.util.find_spec("tvm") is None:
        raise MissingPackages("compiling for a CPU", "apache-tvm", "cpu")
    lowering.register()


def target_words(target: CpuTarget, machine: str) -> dict[str, Any]:
    """The names that a step's text is evaluated with."""
    pause = {"pause": PAUSE[machine]}
    functions = render("sync.ll.j2", pause) + loops.DEFINITIONS + stack.DEFINITIONS
    if target.panels:
        functions += source_text("bf16.ll") + TILES[target.tiles].DEFINITIONS
    modules = {"SYNC": functions, "POOL": render("pool.ll.j2", pause)}
    return {**words(target), **modules, "PLAIN": PLAIN, "UNBOUNDED": UNBOUNDED}


def _parse(texts: Mapping[str, str], names: Mapping[str, Any]) -> Any:
    import tvm

    return tvm.IRModule({name: read_function(text, names) for name, text in texts.items()})


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
