"""Choosing schedules by records: the first table that knows a phase decides, else its family."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from inferflux.codegen.autotune.record import (
    Place,
    Record,
    TuningKey,
    phase_place,
    tuning_key,
)
from inferflux.codegen.autotune.table import Table, parse_table
from inferflux.codegen.autotune.variants import (
    Variant,
    serving,
    step_place,
    variants_key,
)
from inferflux.codegen.select import default_schedule
from inferflux.ir.graph import Graph, Node
from inferflux.kernels.kernel import Kernel, Schedule, StepShape

_SHIPPED = "inferflux.autotune_cache"


@dataclass(frozen=True, slots=True)
class Tuning:
    """Tables in the order in which they are asked."""

    tables: tuple[Table, ...] = ()

    def variants(
        self, graphs: Mapping[str, Graph], variants: Sequence[Variant], target: str
    ) -> tuple[Variant, ...]:
        """Which variants of a step serve how many tokens: as recorded, else as they say."""
        place = step_place(graphs, variants, target)
        for record in self._fresh(place, lambda: variants_key(graphs, variants, target)):
            return serving(variants, record.schedule)
        return tuple(variants)

    @property
    def digest(self) -> str:
        """sha256 of what the tables hold, in order."""
        return hashlib.sha256("".join(table.text() for table in self.tables).encode()).hexdigest()

    def schedule(self, kernel: Kernel, node: Node, shape: StepShape, target: str) -> Schedule:
        """How a phase is cut: as recorded under exactly its key, else by its family's default.

        A record of a schedule that the family's space no longer has is as stale as one of another
        text.
        """
        place = phase_place(node, shape, target)
        for record in self._fresh(place, lambda: tuning_key(kernel, node, shape, target)):
            if record.schedule in kernel.schedules(node, shape):
                return record.schedule
        return default_schedule(kernel, node, shape, target)

    def _fresh(self, place: Place, key: Callable[[], TuningKey]) -> Iterator[Record]:
        """What the tables say of a place, those that hold.  The key is made only if one does."""
        found = [table.records[place] for table in self.tables if place in table.records]
        if found:
            now = key()
            yield from (record for record in found if record.key == now)


def shipped_tuning() -> Tuning:
    """What every build uses: for each target the records of the device that stands for it.

    They are part of the package, as templates are: equal packages build equal artifacts.
    """
    tables = (shipped_table(target, device) for target, device in levels().items())
    return Tuning(tuple(table for table in tables if table is not None))


def levels() -> dict[str, str]:
    """For each target with shipped records: whose stand for its level, as files call the device."""
    read = json.loads(files(_SHIPPED).joinpath("levels.json").read_text())
    return {str(target): str(device) for target, device in sorted(read.items())}


def shipped_table(target: str, device: str) -> Table | None:
    """The shipped records of one target and device; None if there are none."""
    path = files(_SHIPPED).joinpath(folder_of(target), f"{device}.json")
    return parse_table(path.read_text(), str(path)) if path.is_file() else None


def folder_of(target: str) -> str:
    """The folder of a target's records: its name, as every file system takes it."""
    return target.replace(":", "-")


def file_name(device: str) -> str:
    """The file of a device's records.  ``AMD EPYC 9R14`` -> ``amd-epyc-9r14.json``"""
    letters = "".join(c if c.isalnum() else " " for c in device.lower())
    return f"{'-'.join(letters.split())}.json"
