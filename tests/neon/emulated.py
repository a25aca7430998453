"""An AArch64 machine that qemu plays: objects linked with a C harness, run on files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tvm_ffi.libinfo

Array = np.ndarray[Any, np.dtype[Any]]

HARNESS = Path(__file__).with_name("harness.c")
COMPILER = "aarch64-linux-gnu-gcc"
QEMU = ("qemu-aarch64", "-cpu", "max")
TYPE_CODES = {"i": 0, "u": 1, "f": 2}  # DLPack's


class Emulated:
    """What a test asks of a machine: its name, its features, and to load an object's function."""

    name = "aarch64"
    features = frozenset({"aarch64", "asimd", "asimddp", "i8mm"})

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()

    def load(self, code: bytes, symbol: str) -> Callable[..., None]:
        """A function of NumPy arrays, which it changes in place, and of integers."""
        base = self._directory / f"{symbol}_{next(self._numbers)}"
        base.with_suffix(".o").write_bytes(code)
        includes = [f"-I{path}" for path in tvm_ffi.libinfo.include_paths()]
        link = [COMPILER, "-static", *includes, f"-DKERNEL=__tvm_ffi_{symbol}", str(HARNESS)]
        _run(*link, str(base.with_suffix(".o")), "-lpthread", "-o", str(base))

        def call(*arguments: Array | int) -> None:
            given, taken = base.with_suffix(".in"), base.with_suffix(".out")
            given.write_bytes(b"".join(_written(arguments)))
            _run(*QEMU, str(base), str(given), str(taken))
            _read(taken.read_bytes(), arguments)

        return call


def _written(arguments: tuple[Array | int, ...]) -> Iterator[bytes]:
    """The file that harness.c reads."""
    yield np.int64(len(arguments)).tobytes()
    for argument in arguments:
        yield np.array(_described(argument), np.int64).tobytes()
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument.tobytes()


def _described(argument: Array | int) -> tuple[int, ...]:
    if not isinstance(argument, np.ndarray):
        return 0, argument, 0, 0, 0
    dtype = argument.dtype
    return 1, argument.size, TYPE_CODES[dtype.kind], dtype.itemsize * 8, 1


def _read(after: bytes, arguments: tuple[Array | int, ...]) -> None:
    start = 0
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            argument[:] = np.frombuffer(after, argument.dtype, argument.size, start)
            start += argument.nbytes
    assert start == len(after), f"{len(after)} bytes came back, not {start}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stderr}"
