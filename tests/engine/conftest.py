"""The fake runner's module, for this folder's tests and for the processes they start."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """tests/engine/fake_runner.py"""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        return importlib.import_module("fake_runner")


@pytest.fixture(scope="session")
def request_of():
    """Makes requests with a test's own words only."""
    from inferflux.engine.messages import Request, SamplingParams

    def make(request_id: str, prompt: list[int], max_tokens: int = 4, **more) -> Request:
        sampling = more.pop("sampling", SamplingParams(temperature=0.0))
        return Request(request_id, prompt, max_tokens, sampling, **more)

    return make
