"""quantization_config of config.json, read strictly: a key that is not known is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields

_AT = "quantization_config"


class Settings:
    """The members of the object at ``path`` in it."""

    __slots__ = ("_config", "_prefix")

    def __init__(self, config: Fields, path: str = "") -> None:
        self._config = config
        self._prefix = f"{_AT}.{path}"

    def require_known(
        self,
        keys: Collection[str],
        apart: Collection[str] = (),
        neutral: Mapping[str, tuple[object, ...]] | None = None,
    ) -> None:
        """``keys`` are read, ``apart`` change no value, ``neutral`` must be as they are here."""
        neutral = neutral or {}
        for key, value in self._config.values.items():
            if not key.startswith(self._prefix):
                continue
            name = key.removeprefix(self._prefix)
            if name in neutral:
                if value not in neutral[name]:
                    known = " or ".join(map(repr, neutral[name]))
                    problem = f"is {value!r}, only {known} is supported"
                    raise self._config.unsupported(key, problem)
            elif name not in keys and name.partition(".")[0] not in apart:
                problem = "is not a known parameter; it may change the weights"
                raise self._config.unsupported(key, problem)

    def choice(self, name: str, known: Collection[str], default: str | None = None) -> str:
        key = f"{self._prefix}{name}"
        value = self._config.text(key, default)
        if value not in known:
            problem = f"is {value!r}, only {' or '.join(map(repr, known))} is supported"
            raise self._config.unsupported(key, problem)
        return value

    def flag(self, name: str, default: bool) -> bool:
        return self._config.flag(f"{self._prefix}{name}", default)

    def bits(self, known: Collection[int], name: str = "bits") -> int:
        key = f"{self._prefix}{name}"
        bits = self._config.whole(key, 1, 64)
        if bits not in known:
            problem = f"is {bits}, only {' or '.join(map(str, known))} is supported"
            raise self._config.unsupported(key, problem)
        return bits

    def group_size(self) -> int | None:
        """Columns of a row that share a scale; None, written -1: all of them."""
        key = f"{self._prefix}group_size"
        size = self._config.whole(key, -1, MAX_SIZE, default=-1)
        if size == 0:
            raise self._config.wrong(key, "is 0, must be -1 or above 0")
        return None if size < 0 else size

    def tile(self, name: str) -> tuple[int, int] | None:
        """Rows and columns that share a scale; None if it is not stated."""
        key = f"{self._prefix}{name}"
        if not self._config.has(key):
            return None
        tile = self._config.wholes(key)
        if len(tile) != 2 or not all(1 <= size <= MAX_SIZE for size in tile):
            raise self._config.wrong(key, f"is {list(tile)}, must be rows and columns above 0")
        return tile[0], tile[1]

    def only_member(self, name: str) -> str:
        """The path of the one object in another."""
        start = f"{self._prefix}{name}."
        keys = [key for key in self._config.values if key.startswith(start)]
        members = {key.removeprefix(start).partition(".")[0] for key in keys}
        if len(members) != 1:
            problem = f"has {len(members)} members, only one is supported"
            raise self._config.unsupported(f"{self._prefix}{name}", problem)
        return f"{name}.{members.pop()}"
