"""Phase bodies run for real: rendered, wrapped in a loop over pieces, compiled and called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

Array = np.ndarray[Any, np.dtype[Any]]
RunPiece = Callable[..., None]

AVX512 = {"kind": "llvm", "mcpu": "x86-64-v4", "mattr": ["+avx512vnni"]}
PORTABLE = {"kind": "llvm", "mcpu": "x86-64"}


@dataclass(frozen=True)
class CpuTarget:
    """A target the tests compile for: its name, LLVM's view of it, whether it converts halves."""

    name: str
    llvm: Mapping[str, object]
    has_f16c: bool


@pytest.fixture(
    params=[CpuTarget("avx512", AVX512, True), CpuTarget("portable", PORTABLE, False)],
    ids=lambda target: target.name,
)
def cpu_target(request: pytest.FixtureRequest) -> CpuTarget:
    """Both x86 targets; AVX-512 is skipped where the machine lacks it."""
    target: CpuTarget = request.param
    if target.name == "avx512" and "avx512_vnni" not in _cpu_flags():
        pytest.skip("this machine has no AVX-512 VNNI")
    return target


@pytest.fixture(scope="session")
def templates() -> Environment:
    return Environment(
        loader=PackageLoader("inferflux.kernels", package_path=""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


@pytest.fixture
def run_piece(templates: Environment, cpu_target: CpuTarget) -> RunPiece:
    """Run a phase body over ``pieces`` pieces on NumPy arrays, changing them in place.

    ``body`` is template text; its buffers are the names of ``arrays``.
    """

    def run(body: str, pieces: int, arrays: Mapping[str, Array], **values: object) -> None:
        rendered = templates.from_string(body).render(**values)
        compiled = compile_body(rendered, arrays, cpu_target)
        compiled(arrays, pieces)

    return run


@pytest.fixture
def compile_piece(templates: Environment, cpu_target: CpuTarget) -> Callable[..., Compiled]:
    """Compile once to run many times: ``compile_piece(body, arrays, **values)(arrays, pieces)``."""

    def build(body: str, arrays: Mapping[str, Array], **values: object) -> Compiled:
        return compile_body(templates.from_string(body).render(**values), arrays, cpu_target)

    return build


class Compiled:
    """A compiled phase body, as a function of its arrays and the number of pieces."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __call__(self, arrays: Mapping[str, Array], pieces: int) -> None:
        import tvm

        given = [_aligned(array) for array in arrays.values()]
        self._library["phase"](*(tvm.runtime.from_dlpack(a) for a in given), pieces)
        for array, copy in zip(arrays.values(), given, strict=True):
            array.reshape(-1)[:] = copy

    def calls(self) -> set[str]:
        """Names the machine code calls."""
        assembly = self._library.mod.inspect_source("asm")
        return set(re.findall(r"\b(?:callq?|bl)\s+(\w+)", assembly))


def compile_body(body: str, arrays: Mapping[str, Array], target: CpuTarget) -> Compiled:
    import tvm
    from tvm.script import tirx
    from tvm.target import Target

    function = tvm.script.from_source(_function_text(body, arrays), extra_vars={"T": tirx})
    module = tvm.IRModule({"phase": function})
    return Compiled(tvm.compile(module, target=Target(dict(target.llvm))))


def _function_text(body: str, arrays: Mapping[str, Array]) -> str:
    buffers = ", ".join(
        f'{name}: T.Buffer(({array.size},), "{array.dtype}")' for name, array in arrays.items()
    )
    indented = re.sub(r"^(?=.)", " " * 8, body, flags=re.MULTILINE)
    return (
        "@T.prim_func(s_tir=True)\n"
        f"def phase({buffers}, pieces: T.int32):\n"
        '    T.func_attr({"global_symbol": "phase", "tirx.noalias": True})\n'
        "    for piece in T.serial(pieces):\n"
        "        worker: T.let = T.int32(0)\n"
        f"{indented}\n"
    )


def _aligned(array: Array) -> Array:
    """A flat copy on a 64-byte boundary, which DLPack arguments must have."""
    room = np.zeros(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.reshape(-1)
    return copy


def _cpu_flags() -> set[str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(found.group(1).split()) if found else set()
