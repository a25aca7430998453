"""Models in several GGUF files, NAME-00001-of-00003.gguf: all parts of one, in order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from inferflux.ir.frontend.gguf.errors import GGUFError
from inferflux.ir.frontend.gguf.part import Part, read_part
from inferflux.ir.frontend.limits import MAX_PARTS, MAX_TENSORS
from inferflux.ir.frontend.source import SourceTensor

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_NO, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"


def siblings(path: Path) -> tuple[Path, ...]:
    """The files that the name of a part says there are, itself among them; else the file alone."""
    match = _NAME.fullmatch(path.name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]) <= MAX_PARTS:
        return (path,)
    names = (
        f"{match['stem']}-{number:05}-of-{match['count']}.gguf"
        for number in range(1, int(match["count"]) + 1)
    )
    return tuple(path.with_name(name) for name in names)


def read_parts(given: Part) -> tuple[Part, ...]:
    """All parts of the model that ``given`` is one of, in order.

    Raises GGUFError where one is missing, is another model's, or says other things than the first.
    """
    count = _stated(given, _COUNT, MAX_PARTS, default=1)
    if count <= 1:
        return (given,)
    paths = siblings(given.path)
    if len(paths) != count:
        problem = (
            f"is {count}, but the name is not that of a part of {count}, as in "
            f"NAME-00001-of-{count:05}.gguf; without it the others cannot be found"
        )
        raise _wrong(given, _COUNT, problem)
    parts = tuple(given if path == given.path else _read(path, given) for path in paths)
    for index, part in enumerate(parts):
        _check(part, index, parts)
    return parts


def join(parts: tuple[Part, ...]) -> dict[str, SourceTensor]:
    """The tensors of all parts, of which each holds some."""
    tensors: dict[str, SourceTensor] = {}
    for part in parts:
        for name, tensor in part.tensors.items():
            if name in tensors:
                problem = f"is in {tensors[name].origin.path.name} too"
                at = tensor.origin.entry_offset
                raise GGUFError(part.path, f"tensor {name!r}", at, problem)
            tensors[name] = tensor
    if len(parts) > 1 and len(tensors) != (stated := _stated(parts[0], _TENSORS, MAX_TENSORS)):
        raise _wrong(parts[0], _TENSORS, f"is {stated}, but the parts hold {len(tensors)}")
    return tensors


def model_metadata(part: Part) -> dict[str, object]:
    """What the first part says of the model, and not of the files."""
    stated = part.metadata.values
    return {key: value for key, value in stated.items() if not key.startswith("split.")}


def _read(path: Path, given: Part) -> Part:
    if not path.exists():
        problem = f"does not exist; {given.path.name} is a part of the same model: get it too"
        raise GGUFError(path, "file", None, problem)
    return read_part(path)


def _check(part: Part, index: int, parts: tuple[Part, ...]) -> None:
    first = parts[0].metadata.values
    for key, expected in ((_NO, index), (_COUNT, len(parts)), (_TENSORS, first.get(_TENSORS))):
        stated = part.metadata.values.get(key)
        if not _same(stated, expected):
            is_what = "is missing" if stated is None else f"is {stated!r}"
            raise _wrong(part, key, f"{is_what}, must be {expected!r}")
    for key, value in model_metadata(part).items():
        if key not in first or not _same(value, first[key]):
            raise _wrong(part, key, f"is not what {parts[0].path.name} says; is it a foreign part?")


def _same(value: object, other: object) -> bool:
    if isinstance(value, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(value, other)
    return type(value) is type(other) and value == other


def _stated(part: Part, key: str, most: int, default: int | None = None) -> int:
    value = part.metadata.values.get(key, default)
    if type(value) is not int or not 0 <= value <= most:
        shown = "an array" if isinstance(value, np.ndarray | tuple) else repr(value)
        raise _wrong(part, key, f"is {shown}, must be a whole number up to {most}")
    return value


def _wrong(part: Part, key: str, problem: str) -> GGUFError:
    return GGUFError(part.path, f"metadata {key!r}", part.metadata.offsets.get(key), problem)
