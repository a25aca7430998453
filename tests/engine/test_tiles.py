"""Asking for AMX: a refusal is an error with a way out, before any tile is touched."""

from __future__ import annotations

import ctypes
import platform
from types import SimpleNamespace

import pytest

from inferflux.engine.runtime.tiles import TilesDenied, request_tiles


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The system calls that are made; each is answered as ``answer`` says."""
    calls: list[tuple[int, ...]] = []

    def answer(status: int) -> list[tuple[int, ...]]:
        def syscall(*arguments: int) -> int:
            calls.append(arguments)
            return status

        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syscall=syscall))
        return calls

    return answer


def test_linux_is_asked_for_tile_data(asked, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    calls = asked(0)
    request_tiles()
    assert calls == [(158, 0x1023, 18)]


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_without_leave_no_tile_is_used(asked, monkeypatch, system):
    monkeypatch.setattr(platform, "system", lambda: system)
    asked(-1)
    with pytest.raises(TilesDenied, match="choose --target cpu:avx512"):
        request_tiles()
