"""A file of tuning records, of one target on one device: sorted JSON that a person can review."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from inferflux.codegen.autotune.record import Place, Record, TuningKey
from inferflux.errors import InferFluxError

_KEY_NAMES = tuple(field.name for field in fields(TuningKey) if field.name != "target")
_OTHER_NAMES = tuple(field.name for field in fields(Record) if field.name != "key")


class InvalidRecords(InferFluxError):
    """A file that should hold tuning records does not."""

    code = "invalid_tuning_records"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Where records were measured."""

    name: str  # of the processor, as the machine says it
    num_workers: int


@dataclass(frozen=True, slots=True)
class Table:
    """Records by what they are about, at most one for each."""

    target: str
    device: DeviceFacts
    records: Mapping[Place, Record]

    def find(self, key: TuningKey) -> Record | None:
        """What is recorded about the key's phase, whether it still holds or not."""
        return self.records.get(key.place)

    def fresh(self, key: TuningKey) -> Record | None:
        """What is recorded under exactly this key."""
        record = self.find(key)
        return record if record is not None and record.key == key else None

    def with_record(self, record: Record) -> Table:
        """The table with one record more, in the place of an older one about the same phase."""
        return replace(self, records={**self.records, record.key.place: record})

    def text(self) -> str:
        """The file's text: sorted by phase, a line for each fact."""
        described = {
            "target": self.target,
            "device": asdict(self.device),
            "records": [_described(self.records[place]) for place in sorted(self.records)],
        }
        return json.dumps(described, indent=1) + "\n"


def parse_table(text: str, where: str) -> Table:
    """Read a file's text.

    Raises:
        InvalidRecords: it is no JSON, or says other things than a table does.
    """
    try:
        described = json.loads(text)
        target = str(described["target"])
        device = DeviceFacts(
            str(described["device"]["name"]), int(described["device"]["num_workers"])
        )
        records = [_record(entry, target) for entry in described["records"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRecords(
            f"{where}: no tuning records ({type(error).__name__}: {error}); "
            "write them anew with `inferflux tune`"
        ) from error
    return Table(target, device, _by_place(records))


def _by_place(records: Iterable[Record]) -> dict[Place, Record]:
    return {record.key.place: record for record in records}


def _described(record: Record) -> dict[str, Any]:
    about = {name: getattr(record.key, name) for name in _KEY_NAMES}
    found = {name: getattr(record, name) for name in _OTHER_NAMES}
    return about | found | {"schedule": dict(sorted(record.schedule.items()))}


def _record(entry: Mapping[str, Any], target: str) -> Record:
    key = TuningKey(target=target, **{name: str(entry[name]) for name in _KEY_NAMES})
    schedule = {str(name): int(value) for name, value in entry["schedule"].items()}
    return Record(
        key=key,
        schedule=schedule,
        num_tokens=int(entry["num_tokens"]),
        num_candidates=int(entry["num_candidates"]),
        num_measurements=int(entry["num_measurements"]),
        median_us=float(entry["median_us"]),
        spread=float(entry["spread"]),
        default_us=float(entry["default_us"]),
    )
