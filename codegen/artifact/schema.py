"""A strict codec between frozen dataclasses and JSON values: the annotations are the schema.

Understood are dataclasses, ``tuple[X, ...]``, ``Mapping[str, X]``, ``X | None``, ``str``, ``bool``
and ``int``, of which every one in an artifact counts or names something: 0 <= n < 2**63.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from inferflux.codegen.artifact.errors import ArtifactError

T = TypeVar("T")

_SCALARS = (str, int, bool)


def encode(value: object) -> Any:
    """The JSON value of ``value``."""
    if value is None or isinstance(value, _SCALARS):
        return value
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    raise TypeError(f"{value!r} has no place in an artifact")


def decode(schema: type[T], value: object, where: str) -> T:
    """``value`` as a ``schema``, or ArtifactError naming the member, as in ``targets[0].name``."""
    decoded: T = _decode(schema, value, where)
    return decoded


def _decode(schema: Any, value: object, where: str) -> Any:
    if schema in _SCALARS:
        return _scalar(schema, value, where)
    if is_dataclass(schema):
        return _record(schema, value, where)
    arguments = get_args(schema)
    if get_origin(schema) is tuple:
        return _sequence(arguments[0], value, where)
    if get_origin(schema) is Mapping:
        return _mapping(arguments[1], value, where)
    some, none = arguments
    assert none is NoneType, f"{schema} is not part of the schema language"
    return None if value is None else _decode(some, value, where)


def _scalar(schema: type, value: object, where: str) -> object:
    if not _fits(schema, value):
        raise _mismatch(where, "an int in 0..2**63" if schema is int else schema.__name__, value)
    return value


def _fits(schema: type, value: object) -> bool:
    # type(), not isinstance(): JSON's true is no number
    return type(value) is schema and (type(value) is not int or 0 <= value < 2**63)


def _all_fit(schema: type, values: list[Any]) -> bool:
    """As ``_fits``, of all at once: a vocabulary is long, and a server waits for it."""
    if not {schema}.issuperset(map(type, values)):
        return False
    return schema is not int or not values or (min(values) >= 0 and max(values) < 2**63)


def _record(schema: Any, value: object, where: str) -> Any:
    types = _members(schema)
    if not isinstance(value, dict):
        raise _mismatch(where, "object", value)
    if value.keys() != types.keys():
        missing, unknown = sorted(types.keys() - value.keys()), sorted(value.keys() - types.keys())
        raise ArtifactError(f"{where} lacks members {missing} and has unknown ones {unknown}")
    return schema(**{n: _decode(t, value[n], f"{where}.{n}") for n, t in types.items()})


def _sequence(schema: Any, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _mismatch(where, "array", value)
    if schema in _SCALARS and _all_fit(schema, value):
        return tuple(value)  # a vocabulary is long: spell no names of members that are right
    return tuple(_decode(schema, item, f"{where}[{i}]") for i, item in enumerate(value))


def _mapping(schema: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch(where, "object", value)
    return {name: _decode(schema, item, f"{where}[{name!r}]") for name, item in value.items()}


@cache
def _members(schema: type) -> dict[str, Any]:
    hints = get_type_hints(schema)
    return {field.name: hints[field.name] for field in fields(schema)}


def _mismatch(where: str, wanted: str, value: object) -> ArtifactError:
    found = value if isinstance(value, int) else type(value).__name__
    return ArtifactError(f"{where} is {found}, not {wanted}")
