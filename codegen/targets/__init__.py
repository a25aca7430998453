"""The targets there are, best first."""

from __future__ import annotations

from inferflux.codegen.target import MAX_STEP_TOKENS, CpuTarget
from inferflux.kernels.kernel import StepShape

_LINUX = "unknown-linux-gnu"
_AVX2 = ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512_vnni")

TARGETS: dict[str, CpuTarget] = {
    target.name: target
    for target in (
        CpuTarget(
            name="cpu:avx512-bf16",
            machines={
                "x86_64": {
                    "kind": "llvm",
                    "mtriple": f"x86_64-{_LINUX}",
                    "mcpu": "x86-64-v4",
                    "mattr": ["+avx512vnni", "+avx512bf16"],
                }
            },
            features=(*_AVX512, "avx512_bf16"),
            row_blocks=(1, 2, 4, 8),
            panels=StepShape(12, MAX_STEP_TOKENS, row_blocks=22, min_tokens=33),
            dots="vpdpbusd.512",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx512",
            machines={
                "x86_64": {
                    "kind": "llvm",
                    "mtriple": f"x86_64-{_LINUX}",
                    "mcpu": "x86-64-v4",
                    "mattr": ["+avx512vnni"],
                }
            },
            features=_AVX512,
            row_blocks=(1, 2, 4, 8),
            dots="vpdpbusd.512",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx2-vnni",
            machines={
                "x86_64": {
                    "kind": "llvm",
                    "mtriple": f"x86_64-{_LINUX}",
                    "mcpu": "x86-64-v3",
                    "mattr": ["+avxvnni"],
                }
            },
            features=(*_AVX2, "avx_vnni"),
            row_blocks=(1, 2, 4),
            dots="vpdpbusd.256",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx2",
            machines={
                "x86_64": {"kind": "llvm", "mtriple": f"x86_64-{_LINUX}", "mcpu": "x86-64-v3"}
            },
            features=_AVX2,
            row_blocks=(1, 2, 4),
            dots="vpmaddubsw",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:neon-i8mm",
            machines={
                "aarch64": {
                    "kind": "llvm",
                    "mtriple": f"aarch64-{_LINUX}",
                    "mcpu": "generic",
                    "mattr": ["+dotprod", "+i8mm"],
                }
            },
            features=("asimd", "asimddp", "i8mm"),
            row_blocks=(1, 2, 4),
            dots="usdot",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:neon",
            machines={
                "aarch64": {
                    "kind": "llvm",
                    "mtriple": f"aarch64-{_LINUX}",
                    "mcpu": "generic",
                    "mattr": ["+dotprod"],
                }
            },
            features=("asimd", "asimddp"),
            row_blocks=(1, 2, 4),
            dots="sdot",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:portable",
            machines={
                "x86_64": {"kind": "llvm", "mtriple": f"x86_64-{_LINUX}", "mcpu": "x86-64"},
                "aarch64": {"kind": "llvm", "mtriple": f"aarch64-{_LINUX}", "mcpu": "generic"},
            },
            features=(),
            row_blocks=(1, 4),
        ),
    )
}
