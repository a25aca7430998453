"""The default model, compiled by this checkout: once a session for each target and numerics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from inferflux import codegen
from inferflux.cli.build import best_target
from inferflux.codegen import artifact
from inferflux.ir import frontend

CompiledDefault = Callable[..., Path]


@pytest.fixture(scope="session")
def compiled_default(
    default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> CompiledDefault:
    """``compiled_default(numerics="float32", target="cpu:portable") -> Path`` of the artifact.

    Compiled anew in every session, so that no stale artifact is ever tested.
    """
    folder = tmp_path_factory.mktemp("artifacts")

    @cache
    def compiled(numerics: str = "default", target: str | None = None) -> Path:
        target = target or best_target()
        path = folder / f"{target.replace(':', '-')}-{numerics}.ifx"
        model = codegen.compile(frontend.open(default_model), targets=(target,), numerics=numerics)
        artifact.save(model, path)
        return path

    return compiled
