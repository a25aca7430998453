"""llama.cpp through its Python binding: where it is looked for, and how it may be set."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from inferflux.bench.errors import PeerUnavailable
from inferflux.bench.side import Choices, WorkerSide
from inferflux.errors import InvalidArgument

NAME: Final = "llama.cpp"
_WORKER: Final = Path(__file__).with_name("llama_worker.py")
_INSTALL: Final = (
    "install it there: CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python"
    " llama-cpp-python"
)
_CHOICES: Final = Choices(
    alone={"flash_attention": (True, False)}, shared={"unified_kv": (True, False)}
)


def llama_side(python: str, model: Path, threads: int) -> WorkerSide:
    """Start llama.cpp on a model file, in the interpreter that has it."""
    if model.suffix != ".gguf":
        raise InvalidArgument(f"{NAME} reads only .gguf files, not {model}; name the model file")
    require_binding(python)
    return WorkerSide(NAME, [python, str(_WORKER), str(model), str(threads)], _CHOICES)


def require_binding(python: str) -> None:
    """Say how to install the binding before anything is measured."""
    try:
        ran = subprocess.run(
            [python, "-c", "import llama_cpp"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise PeerUnavailable(f"{python} cannot be run: {error.strerror}") from error
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerUnavailable(f"{python} has no llama_cpp ({reason}); {_INSTALL}")
