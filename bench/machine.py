"""The machine a figure was measured on: no figure is printed without it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Final

import msgspec

# Instructions that a kernel of some target uses, as Linux names them on x86 and on ARM.
_FEATURES: Final = re.compile(r"avx2|fma|f16c|avx_vnni|avx512\w+|amx_\w+|asimddp|i8mm|bf16|sve")


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What decides speed, as the operating system names it."""

    cpu: str
    cores: int  # that this process may use
    memory_bytes: int
    last_cache_bytes: int | None  # of the outermost cache, as one core sees it
    features: list[str]
    system: str

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.system}"


def this_machine() -> Machine:
    cpuinfo = _read(Path("/proc/cpuinfo"))
    return Machine(
        cpu=_field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        last_cache_bytes=_last_cache_bytes(),
        features=sorted(set(filter(_FEATURES.fullmatch, _flags(cpuinfo)))),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def usable_cores() -> int:
    """Cores this process may run on; a container or taskset may have taken some away."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _flags(cpuinfo: str) -> list[str]:
    return (_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split()


def _field(cpuinfo: str, name: str) -> str | None:
    """The value of the first line of that name."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), None)


def _last_cache_bytes() -> int | None:
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    text = _read(caches[-1]).strip() if caches else ""
    return int(text[:-1]) * 1024 if text.endswith("K") and text[:-1].isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
