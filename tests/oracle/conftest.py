"""The modules of this folder, which no package holds, as fixtures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"oracle_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up there
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def divergence() -> ModuleType:
    return module("divergence")


@pytest.fixture(scope="session")
def decoders() -> ModuleType:
    """Imports torch and transformers: only for tests marked ``oracle``."""
    return module("decoders")
