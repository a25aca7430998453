"""Objects for foreign machines are built here, and need nothing there but TVM's runtime."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from inferflux import codegen
from inferflux.codegen.targets import TARGETS
from inferflux.errors import InvalidArgument
from inferflux.ir import frontend

EM_X86_64, EM_AARCH64 = 62, 183
SYMBOL_TABLE, UNDEFINED = 2, 0
SDOT, USDOT = 0x4E809400, 0x4E809C00  # Vd.4S, Vn.16B, Vm.16B
THREADS = {"sched_yield", "sem_init", "sem_post", "sem_wait"}
ANY_REGISTERS = 0xFFE0FC00
TO_A_LINE = b"\x48\x83\xe4\xc0"  # and $-64, %rsp


@pytest.fixture(scope="module")
def source(tiny_gguf):
    return frontend.open(tiny_gguf(layer_types=("q4_1",), window=8, windowed=(True,)))


def machine(code: bytes) -> int:
    assert code[:6] == b"\x7fELF\x02\x01", "64 bits, little endian"
    return int.from_bytes(code[18:20], "little")


def symbols(code: bytes) -> Iterator[tuple[str, int]]:
    """(name, index of its section) of every symbol of a 64-bit ELF object."""
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, start + i * size) for i in range(count)]
    for _, kind, _, _, offset, length, link, _, _, entry in sections:
        if kind != SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for at in range(offset, offset + length, entry):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            yield code[names + name : code.index(b"\0", names + name)].decode(), section


@pytest.mark.parametrize("numerics", ["default", "float32"])
def test_portable_objects_of_any_machine_call_tvm_and_threads_alone(source, monkeypatch, numerics):
    narrowed = replace(TARGETS["cpu:portable"], row_blocks=(2,))
    monkeypatch.setitem(TARGETS, narrowed.name, narrowed)
    model = codegen.compile(source, ("cpu:portable",), numerics)
    objects = model.targets["cpu:portable"].objects
    assert {name: machine(codes[0]) for name, codes in objects.items()} == {
        "x86_64": EM_X86_64,
        "aarch64": EM_AARCH64,
    }
    for codes in objects.values():
        assert len(codes) == len(TARGETS["cpu:portable"].row_blocks)
        for code in codes:
            missing = {name for name, section in symbols(code) if section == UNDEFINED and name}
            foreign = {name for name in missing if not name.startswith("TVM")}
            assert foreign <= THREADS


@pytest.mark.parametrize(("target", "dot"), [("cpu:neon", SDOT), ("cpu:neon-i8mm", USDOT)])
def test_neon_objects_multiply_four_bytes_at_once(source, monkeypatch, target, dot):
    monkeypatch.setitem(TARGETS, target, replace(TARGETS[target], row_blocks=(2,)))
    (code,) = codegen.compile(source, (target,)).targets[target].objects["aarch64"]
    assert machine(code) == EM_AARCH64
    words = np.frombuffer(code, "<u4", len(code) // 4)
    assert np.count_nonzero(words & ANY_REGISTERS == dot) > 100


@pytest.mark.parametrize("target", ["cpu:avx2", "cpu:avx512"])
def test_phases_keep_spilled_registers_within_lines_of_the_cache(source, monkeypatch, target):
    narrowed = replace(TARGETS[target], row_blocks=(4,))
    monkeypatch.setitem(TARGETS, target, narrowed)
    ((code,),) = codegen.compile(source, (target,)).targets[target].objects.values()
    phases = [
        name for name, section in symbols(code) if section != UNDEFINED and "_quantise_" in name
    ]
    assert code.count(TO_A_LINE) >= len(phases) > 0


def test_a_target_that_is_not_known_is_refused_with_those_that_are(source):
    with pytest.raises(InvalidArgument, match=r"'cpu:amx' is not known; known: cpu:avx512"):
        codegen.compile(source, ("cpu:amx",))


@pytest.mark.parametrize(
    ("head_dim", "kv_dtype", "refused"),
    [
        (24, "f16", "cpu:portable cannot run heads of 24 in pages; a multiple of 16 it can"),
        (48, "int8", "cpu:portable cannot run heads of 48 in int8 pages; a multiple of 32 it can"),
    ],
)
def test_heads_that_do_not_fit_pages_are_refused_by_name(tiny_gguf, head_dim, kv_dtype, refused):
    source = frontend.open(
        tiny_gguf(layer_types=("f16",), heads=4, head_dim=head_dim, hidden=4 * head_dim)
    )
    with pytest.raises(codegen.UnsupportedOnTarget, match=refused):
        codegen.compile(source, ("cpu:portable",), kv_dtype=kv_dtype)
