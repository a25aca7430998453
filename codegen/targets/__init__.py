"""The targets there are, best first."""

from __future__ import annotations

from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.kernels.kernel import StepShape

_LINUX = "unknown-linux-gnu"
_AVX2 = ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512_vnni")


def _machine(name: str, cpu: str, features: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """A machine in LLVM's words: a level of its processors, and what is more than the level."""
    facts: dict[str, object] = {"kind": "llvm", "mtriple": f"{name}-{_LINUX}", "mcpu": cpu}
    return {name: facts | {"mattr": [f"+{each}" for each in features]} if features else facts}


def _x86_64(cpu: str, *features: str) -> dict[str, dict[str, object]]:
    return _machine("x86_64", cpu, features)


def _aarch64(cpu: str, *features: str) -> dict[str, dict[str, object]]:
    return _machine("aarch64", cpu, features)


TARGETS: dict[str, CpuTarget] = {
    target.name: target
    for target in (
        CpuTarget(
            name="cpu:avx512-amx",
            machines=_x86_64(
                "x86-64-v4", "avx512vnni", "avx512bf16", "amx-tile", "amx-bf16", "amx-int8"
            ),
            features=(*_AVX512, "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"),
            row_blocks=(1, 2, 4, 8, 16),
            panels=StepShape(32, MAX_STEP_TOKENS, row_blocks=16, min_tokens=33),
            dots="vpdpbusd.512",
            tables="vpshufb.512",
            tiles="amx",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx512-bf16",
            machines=_x86_64("x86-64-v4", "avx512vnni", "avx512bf16"),
            features=(*_AVX512, "avx512_bf16"),
            row_blocks=(1, 2, 4, 8),
            panels=StepShape(12, MAX_STEP_TOKENS, row_blocks=22, min_tokens=33),
            dots="vpdpbusd.512",
            tables="vpshufb.512",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx512",
            machines=_x86_64("x86-64-v4", "avx512vnni"),
            features=_AVX512,
            row_blocks=(1, 2, 4, 8),
            dots="vpdpbusd.512",
            tables="vpshufb.512",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx2-vnni",
            machines=_x86_64("x86-64-v3", "avxvnni"),
            features=(*_AVX2, "avx_vnni"),
            row_blocks=(1, 2, 4),
            dots="vpdpbusd.256",
            tables="vpshufb.256",
            native_half=True,
            registers=8,
        ),
        CpuTarget(
            name="cpu:avx2",
            machines=_x86_64("x86-64-v3"),
            features=_AVX2,
            row_blocks=(1, 2, 4),
            dots="vpmaddubsw",
            tables="vpshufb.256",
            native_half=True,
            registers=8,
        ),
        CpuTarget(
            name="cpu:neon-i8mm",
            machines=_aarch64("generic", "dotprod", "i8mm"),
            features=("asimd", "asimddp", "i8mm"),
            row_blocks=(1, 2, 4),
            dots="usdot",
            tables="tbl",
            native_half=True,
            registers=8,
        ),
        CpuTarget(
            name="cpu:neon",
            machines=_aarch64("generic", "dotprod"),
            features=("asimd", "asimddp"),
            row_blocks=(1, 2, 4),
            dots="sdot",
            tables="tbl",
            native_half=True,
            registers=8,
        ),
        CpuTarget(
            name="cpu:portable",
            machines={**_x86_64("x86-64"), **_aarch64("generic")},
            features=(),
            row_blocks=(1, 4),
            registers=4,
        ),
    )
}
