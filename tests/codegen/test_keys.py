"""A key changes with each of its factors and with nothing else, and says which one changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from inferflux.codegen.keys import (
    KernelKey,
    Key,
    TargetKey,
    cache_key,
    explain_miss,
    lines,
    segment_name,
)

KERNEL = KernelKey(
    op="linear",
    types="f32[T, 64], q4_1[96, 64]",
    attrs="",
    schedule="rows=16",
    target="cpu:avx512",
    toolchain="tvm 0.27",
    template="for row:\n  dot\n  store\n",
)
TARGET = TargetKey(
    target="cpu:avx512",
    features="avx512f",
    numerics="default",
    passes="fold, fuse",
    graph="graph():\n  return %0\n",
    layouts="rows16",
    variants="i8x32_1: 1 to 1 tokens",
    kernel_keys=lines({"1 head": "bb", "0 embed": "aa"}),
    launch="def step():",
)
CACHE = cache_key("00" * 32, ("cpu:avx512", "cpu:portable"), "default", "tvm 0.27")


@pytest.mark.parametrize("key", [KERNEL, TARGET, CACHE])
def test_every_factor_changes_the_digest(key: Key) -> None:
    changed = {dataclasses.replace(key, **{name: "x"}).digest for name in key.factors}
    assert len(changed | {key.digest}) == len(key.factors) + 1


def test_equal_factors_give_equal_digests() -> None:
    assert dataclasses.replace(KERNEL).digest == KERNEL.digest
    assert KERNEL.digest.startswith("5be85a74359d579b"), (
        "stable across versions of Python and machines"
    )


def test_text_does_not_flow_from_one_factor_to_the_next() -> None:
    one = dataclasses.replace(KERNEL, op="ab", types="c")
    two = dataclasses.replace(KERNEL, op="a", types="bc")
    assert one.digest != two.digest


def test_a_miss_names_the_first_factor_that_differs() -> None:
    new = dataclasses.replace(TARGET, numerics="float32", layouts="rows8")
    assert explain_miss(TARGET.factors, new.factors) == "numerics changed: 'default' -> 'float32'"


def test_a_miss_in_a_text_names_the_line() -> None:
    new = dataclasses.replace(KERNEL, template="for row:\n  fma\n  store\n")
    assert explain_miss(KERNEL.factors, new.factors) == (
        "template changed in line 2: 'dot' -> 'fma'"
    )
    longer = dataclasses.replace(TARGET, kernel_keys=TARGET.kernel_keys + "\n2 sample: cc")
    assert explain_miss(TARGET.factors, longer.factors) == (
        "kernel_keys changed in line 3: no line -> '2 sample: cc'"
    )


def test_a_miss_shows_long_values_short() -> None:
    new = dataclasses.replace(KERNEL, types="f32[T]" * 1000)
    assert len(explain_miss(KERNEL.factors, new.factors)) < 200


def test_factors_that_come_and_go_are_named() -> None:
    assert explain_miss({}, {"numerics": "default"}) == "numerics changed: it is new"
    assert explain_miss({"numerics": "default"}, {}) == "numerics changed: it is gone"
    assert explain_miss(TARGET.factors, TARGET.factors) == "no key factor differs"


def test_the_order_of_a_mapping_is_no_factor() -> None:
    assert lines({"a": "1", "b": "2"}) == lines({"b": "2", "a": "1"}) == "a: 1\nb: 2"


def test_a_segment_is_named_by_layout_and_content() -> None:
    content = np.arange(64, dtype=np.uint8)
    names = {
        segment_name("rows16", content),
        segment_name("rows8", content),
        segment_name("rows16", content[::-1].copy()),
    }
    assert len(names) == 3
    assert segment_name("rows16", content.copy()) in names
