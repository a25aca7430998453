"""Typed reading of a model's metadata: a value is what its key promises, or the key is named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inferflux.ir.frontend.source import ModelFileError, ModelSource, UnsupportedModel


class Fields:
    """Values by key, as one file states them.  A missing one without a default is an error."""

    __slots__ = ("_prefix", "_word", "offsets", "path", "values")

    def __init__(
        self,
        path: Path,
        values: Mapping[str, object],
        offsets: Mapping[str, int],
        word: str = "metadata",
        prefix: str = "",
    ) -> None:
        self.path, self.values, self.offsets = path, values, offsets
        self._word = word  # the format's own, for a key
        self._prefix = prefix  # of the keys that an architecture has to itself

    @classmethod
    def of(cls, source: ModelSource) -> Fields:
        """The metadata of a model."""
        return cls(source.path, source.metadata, source.offsets, prefix=f"{source.architecture}.")

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, f"is {_spell(value)}, must be a whole number")
        if not least <= value <= most:
            raise self.wrong(key, f"is {value}, must be {least}..{most}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"is {_spell(value)}, must be a bool")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"is {_spell(value)}, must be a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._value(key, None)
        if not isinstance(value, tuple):
            raise self.wrong(key, f"is {_spell(value)}, must be an array of strings")
        if not all(isinstance(each, str) for each in value):
            raise self.wrong(key, "holds other values than strings")
        return value

    def within(self, key: str, least: float, most: float, default: float | None = None) -> float:
        value = self._positive(key, default)
        if not least <= value <= most:
            raise self.wrong(key, f"is {value}, must be {least:g}..{most:g}")
        return value

    def all_within(self, key: str, least: float, most: float) -> tuple[float, ...]:
        value = self._value(key, None)
        numbers = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(numbers, list | tuple) or any(
            isinstance(each, bool) or not isinstance(each, int | float) for each in numbers
        ):
            raise self.wrong(key, f"is {_spell(value)}, must be an array of numbers")
        if not all(least <= each <= most for each in numbers):
            problem = f"spans {min(numbers)}..{max(numbers)}, all must be {least:g}..{most:g}"
            raise self.wrong(key, problem)
        return tuple(float(each) for each in numbers)

    def wholes(self, key: str) -> tuple[int, ...]:
        value = self._value(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
            raise self.wrong(key, f"is {_spell(value)}, must be an array of whole numbers")
        return tuple(value.tolist())

    def numbers(self, key: str) -> np.ndarray:
        value = self._value(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            raise self.wrong(key, f"is {_spell(value)}, must be an array of numbers")
        return value

    def flags(self, key: str) -> tuple[bool, ...]:
        value = self._value(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "b":
            raise self.wrong(key, f"is {_spell(value)}, must be an array of bools")
        return tuple(value.tolist())

    def own(self, name: str) -> str:
        """The key under which the architecture states ``name``: ``llama.block_count``."""
        return f"{self._prefix}{name}"

    def has(self, key: str) -> bool:
        return key in self.values

    def is_null(self, key: str) -> bool:
        """It stands there, and has no value: only JSON has such keys."""
        return key in self.offsets and key not in self.values

    def wrong(self, key: str, problem: str) -> ModelFileError:
        """The file contradicts its format or itself."""
        return ModelFileError(self.path, f"{self._word} {key!r}", self._place(key), problem)

    def unsupported(self, key: str, problem: str) -> UnsupportedModel:
        """The file is sound and asks for what is not built."""
        return UnsupportedModel(self.path, f"{self._word} {key!r}", self._place(key), problem)

    def _positive(self, key: str, default: float | None = None) -> float:
        """A finite number above 0; one stored as float32 is given as it was written, 1e-05."""
        value = self._value(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(key, f"is {_spell(value)}, must be a number")
        if not math.isfinite(value) or value <= 0:
            raise self.wrong(key, f"is {value}, must be above 0 and finite")
        return _as_written(float(value))

    def _place(self, key: str) -> int | None:
        """Where a key's value stands, or the nearest one around it whose place is known."""
        around = key
        while key in self.values and around and around not in self.offsets:
            around, _, _ = around.rpartition(".")
        return self.offsets.get(around)

    def _value(self, key: str, default: object) -> object:
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing; the model cannot be built without it")
        return value


def _as_written(value: float) -> float:
    """The shortest decimal of a value that was stored as float32; other values as they are."""
    with np.errstate(over="ignore"):
        narrow = np.float32(value)
    return float(str(narrow)) if float(narrow) == value else value


def _spell(value: object) -> str:
    """A value as an error shows it: arrays and long texts by their size."""
    match value:
        case tuple() | np.ndarray():
            return f"an array of {len(value)}"
        case str() if len(value) > 40:
            return f"a string of {len(value)} characters"
        case _:
            return repr(value)
