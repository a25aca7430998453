"""The roofs of this machine, measured when they are first asked for; the best seen are kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from inferflux.cli import environment
from inferflux.cli.device import ThisMachine
from inferflux.codegen.artifact.atomic import replacing
from inferflux.codegen.roofline.roofs import Roofs, quick_roofs
from inferflux.codegen.target import CpuTarget

_LEAST: Final = 16 << 20  # bytes read
_MOST: Final = 256 << 20  # past the largest of caches but few


def roofs_of_this_machine(
    target: CpuTarget, num_workers: int, nbytes: int, *, again: bool = False
) -> Roofs:
    """The roofs for a model that reads ``nbytes`` a step; ``again``: measure though they are known.

    A roof is the most that was ever seen: neighbours make a measurement lower, never higher.
    """
    device = ThisMachine(num_workers)
    read_bytes = _rounded(nbytes)
    machine = f"{device.facts.name}, {num_workers} workers, {target.name}, {read_bytes} bytes"
    path = environment.cache_dir() / "roofs.json"
    known = _read(path)
    if again or machine not in known:
        measured = quick_roofs(target, device, read_bytes)
        known[machine] = _higher(known.get(machine, measured), measured)
        _write(path, known)
    return known[machine]


def _higher(one: Roofs, other: Roofs) -> Roofs:
    computing = {
        name: max(one.computing.get(name, 0.0), speed) for name, speed in other.computing.items()
    }
    return Roofs(max(one.read, other.read), computing)


def _rounded(nbytes: int) -> int:
    """Up to a power of two, so that models of a size share what was measured."""
    return min(max(1 << (nbytes - 1).bit_length(), _LEAST), _MOST)


def _write(path: Path, known: dict[str, Roofs]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {machine: asdict(roofs) for machine, roofs in known.items()}
    with replacing(path) as file:
        file.write(json.dumps(facts, indent=1).encode())


def _read(path: Path) -> dict[str, Roofs]:
    """What is known, or nothing if the file is absent or damaged: measuring is always right."""
    try:
        loaded = json.loads(path.read_bytes())
        return {
            machine: Roofs(
                float(roofs["read"]),
                {name: float(speed) for name, speed in roofs["computing"].items()},
            )
            for machine, roofs in loaded.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
