"""The CPU runtime says what it needs, and takes no more than that."""

from __future__ import annotations

import sys

import pytest

from inferflux.codegen.artifact.compiled import AttentionCut, CpuStep, StepVariant
from inferflux.engine.determinism import Determinism
from inferflux.engine.runtime import cpu
from inferflux.errors import MissingPackages


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tvm_ffi_orcjit", None)
    with pytest.raises(MissingPackages, match=r"tvm_ffi_orcjit: pip install 'inferflux\[cpu\]'"):
        cpu.load_module((b"",))


def test_torch_cannot_be_imported_only_while_it_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with cpu._torch_hidden(), pytest.raises(ImportError):
        __import__("torch")
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("num_tokens", "default", "batch_invariant"),
    [(1, "one", "one"), (8, "eight", "eight"), (9, "panels", "eight"), (64, "panels", "eight")],
)
def test_only_the_first_variants_arithmetic_is_batch_invariant(
    num_tokens: int, default: str, batch_invariant: str
) -> None:
    variants = (
        StepVariant("one", "i8x32", 1, 4),
        StepVariant("eight", "i8x32", 5, 64),
        StepVariant("panels", "bf16", 9, 64),
    )
    step = CpuStep((), variants, 0, 0, 0, 0, 0, 0, 64, 1, AttentionCut(1, 1, 1))
    for determinism, symbol in zip(Determinism, (default, batch_invariant), strict=True):
        assert cpu.best_variant(step, num_tokens, determinism).symbol == symbol
