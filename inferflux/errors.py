"""The root of every error InferFlux raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class InferFluxError(Exception):
    """Something a user, a file or a peer did that cannot be honoured.

    The message says what, where and what to do, with values. ``code`` is stable and is what
    clients and scripts match on; subclasses live where they are raised.
    """

    code: ClassVar[str] = "internal"


class MissingPackages(InferFluxError):
    """An optional package that this work needs is not installed."""

    code = "missing_packages"

    def __init__(self, work: str, package: str, extra: str) -> None:
        super().__init__(f"{work} needs {package}: pip install 'inferflux[{extra}]'")


class InvalidArgument(InferFluxError):
    """A value the caller chose is outside what is allowed."""

    code = "invalid_argument"
