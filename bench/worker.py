"""Our side of a comparison, as a process: ``python -m inferflux.bench.worker ENGINE_CONFIG``."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import IO, Any

import msgspec

import inferflux
from inferflux import engine
from inferflux.bench.measures import Decode, Measure, Prefill
from inferflux.bench.protocol import Bench
from inferflux.codegen import artifact
from inferflux.engine.config import EngineConfig
from inferflux.errors import InferFluxError

_LIBRARIES = ("apache-tvm", "apache-tvm-ffi", "apache-tvm-ffi-orcjit", "numpy")


def main() -> None:
    """Load the engine that the argument describes, then answer requests until stdin ends."""
    answers = _own_stdout()
    config = msgspec.json.decode(
        sys.argv[1], type=EngineConfig, dec_hook=lambda kind, text: kind(text)
    )
    try:
        bench = _load(config)
        _answer(answers, {"versions": versions()})
        measure: Measure | None = None
        for line in sys.stdin.buffer:
            request = msgspec.json.decode(line)
            if "prepare" in request:
                measure = _measure(request["prepare"])
                bench.run(measure)  # warm: pages touched, code mapped
                _answer(answers, {})
            else:
                assert measure is not None, "a run comes after its preparation"
                _answer(answers, {"speed": bench.run(measure)})
    except InferFluxError as error:
        _answer(answers, {"error": str(error)})


def versions() -> dict[str, str]:
    """Of InferFlux, and of the libraries that a step runs on."""
    found = {"inferflux": inferflux.__version__}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _load(config: EngineConfig) -> Bench:
    vocab_size = artifact.load_text(config.artifact).facts.vocab_size
    return Bench(engine.load(config), vocab_size, config.chunk_tokens)


def _measure(asked: dict[str, int]) -> Measure:
    if "prefill" in asked:
        return Prefill(asked["prefill"])
    return Decode(**asked)


def _own_stdout() -> IO[bytes]:
    """The pipe to the parent; whatever else a library prints goes to stderr."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return pipe


def _answer(pipe: IO[bytes], answer: dict[str, Any]) -> None:
    pipe.write(msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
