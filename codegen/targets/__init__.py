"""The targets there are, best first."""

from __future__ import annotations

from inferflux.codegen.target import CpuTarget

_LINUX = "unknown-linux-gnu"

TARGETS: dict[str, CpuTarget] = {
    target.name: target
    for target in (
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
            features=("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512_vnni"),
            row_blocks=(1, 2, 4, 8),
            dots="vpdpbusd",
            native_half=True,
        ),
        CpuTarget(
            name="cpu:avx2",
            machines={
                "x86_64": {"kind": "llvm", "mtriple": f"x86_64-{_LINUX}", "mcpu": "x86-64-v3"}
            },
            features=("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe", "abm"),
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
