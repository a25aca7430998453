"""The CPU runtime says what it needs, and takes no more than that."""

from __future__ import annotations

import sys

import pytest

from inferflux.engine.runtime import cpu
from inferflux.errors import MissingPackages


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tvm_ffi_orcjit", None)
    with pytest.raises(MissingPackages, match=r"tvm_ffi_orcjit: pip install 'inferflux\[cpu\]'"):
        cpu.load_module(b"")


def test_torch_cannot_be_imported_only_while_it_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with cpu._torch_hidden(), pytest.raises(ImportError):
        __import__("torch")
    assert "torch" not in sys.modules
