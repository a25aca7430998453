"""Where files of tuning records lie: the user's own, those that ship, one that is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferflux.cli import environment
from inferflux.codegen.artifact.atomic import replacing
from inferflux.codegen.autotune.table import Table, parse_table
from inferflux.codegen.autotune.tuning import (
    Tuning,
    file_name,
    folder_of,
    shipped_table,
    shipped_tuning,
)
from inferflux.errors import InvalidArgument


def records_path(folder: Path | None, target: str, device: str) -> Path:
    """Where a device's records for a target are kept: below ``folder``, or the user's cache."""
    return (folder or _own_folder()) / folder_of(target) / file_name(device)


def read_table(path: Path) -> Table | None:
    """The records in a file; None if there is no file."""
    return parse_table(path.read_text(), str(path)) if path.exists() else None


def write_table(table: Table, path: Path) -> None:
    """Write a file of records, so that a reader sees the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(table.text().encode())


def tuning_for(wanted: str | None, targets: Sequence[str]) -> Tuning:
    """The records a build is to use: those asked for by device or file, before those that ship.

    Raises:
        InvalidArgument: there is no such file, or there are no records of such a device.
    """
    shipped = shipped_tuning()
    if wanted is None:
        return shipped
    return Tuning((*_asked_for(wanted, targets), *shipped.tables))


def _asked_for(wanted: str, targets: Sequence[str]) -> Sequence[Table]:
    if Path(wanted).suffix == ".json":
        table = read_table(Path(wanted))
        if table is None:
            raise InvalidArgument(f"{wanted}: no such file of tuning records")
        return (table,)
    found = (_of_device(target, wanted) for target in targets)
    tables = [table for table in found if table is not None]
    if not tables:
        raise InvalidArgument(
            f"no tuning records of {wanted!r} for {', '.join(targets)}; "
            "name a .json file, or make them there with `inferflux tune`"
        )
    return tables


def _of_device(target: str, device: str) -> Table | None:
    own = read_table(records_path(None, target, device))
    return (
        own if own is not None else shipped_table(target, file_name(device).removesuffix(".json"))
    )


def _own_folder() -> Path:
    return environment.cache_dir() / "autotune"
