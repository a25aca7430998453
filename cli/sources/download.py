"""Downloading a file so that it may break off: it goes on where it was, if it still is that file.

Ranges and validators as in RFC 9110, 13 and 14: `Range` with `If-Range`, checked in the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.error import HTTPError

from inferflux.cli.sizes import format_size
from inferflux.cli.sources.http import Headers, Interrupted, open_url, without_secrets
from inferflux.cli.sources.partial import Origin, Partial, identity_of
from inferflux.cli.sources.source import (
    FetchedFile,
    Progress,
    PullFailed,
    PullInterrupted,
    RetryPolicy,
)

_CHUNK: Final = 1 << 18
_ENOUGH: Final = 1 << 20  # bytes after which an attempt was not in vain
_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to download; what is known of it is held against what the server says."""

    url: str
    nbytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a key
    kept: str | None = None  # the validator of the one the store has: it is not wanted again


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file and the validator it had."""

    file: FetchedFile
    validator: str


def download(
    remote: Remote, place: Path, policy: RetryPolicy, progress: Progress
) -> Downloaded | None:
    """Put a file at ``place``, whole; None if it is still the one that is ``kept``.

    Raises ``PullInterrupted``, and keeps what came, where trying again does not help.
    """
    with Partial(place) as partial:
        attempt = 0
        while True:
            before = partial.size
            try:
                return _attempt(remote, partial, policy, progress)
            except Interrupted as error:
                attempt = 1 if partial.size - before >= _ENOUGH else attempt + 1
                if attempt >= policy.attempts:
                    raise PullInterrupted(_lost(remote, partial, attempt, error)) from error
                policy.wait(attempt, error.retry_after)


def _attempt(
    remote: Remote, partial: Partial, policy: RetryPolicy, progress: Progress
) -> Downloaded | None:
    with closing(open_url(remote.url, _headers(remote, partial), policy.timeout)) as answer:
        if answer.status == 304:
            return _unchanged(remote, partial)
        _line_up(remote, partial, answer)
        assert partial.origin is not None
        assert isinstance(answer, HTTPResponse)
        length = partial.origin.length
        partial.require_room(length - partial.size)
        stage = f"download {partial.place.name} ({format_size(length)})"
        for chunk in _body(answer, length - partial.size):
            partial.append(chunk)
            progress(stage, partial.size / length)
        if partial.size < length:
            raise Interrupted(f"it broke off after {partial.size} of {length} bytes")
    return Downloaded(partial.finish(), partial.origin.validator)


def _headers(remote: Remote, partial: Partial) -> dict[str, str]:
    headers = dict(remote.headers)
    if partial.origin is not None and not partial.origin.can_go_on(remote.url):
        partial.drop()
    if partial.origin is not None and partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        headers["If-Range"] = partial.origin.validator
    elif partial.origin is not None:
        headers |= _unless(partial.origin.validator)
    elif remote.kept:
        headers |= _unless(remote.kept)
    return headers


def _unless(validator: str) -> dict[str, str]:
    """The condition that a file is another than the one with this validator."""
    name = "If-None-Match" if validator.startswith('"') else "If-Modified-Since"
    return {name: validator}


def _unchanged(remote: Remote, partial: Partial) -> Downloaded | None:
    """What a 304 says: the whole file that an earlier pull left, or the one that is kept."""
    whole = partial.finished()
    if whole is not None and partial.origin is not None:
        return Downloaded(whole, partial.origin.validator)
    if partial.origin is None and remote.kept:
        return None
    partial.drop()
    raise Interrupted("the server says that nothing changed, unasked")


def _line_up(remote: Remote, partial: Partial, answer: HTTPResponse | HTTPError) -> None:
    """Bring the partial file to where the answer's body begins, or refuse the answer."""
    if answer.status == 416:
        partial.drop()
        raise Interrupted("the server has no such range of bytes")
    _require_plain(remote, answer.headers)
    if answer.status == 200:
        partial.restart(_origin(remote, answer.headers))
    elif not _goes_on(partial, answer.headers):
        partial.drop()
        raise Interrupted("the server went on with other bytes than were asked for")


def _goes_on(partial: Partial, headers: Headers) -> bool:
    """Whether a partial answer has just the bytes that are missing, of the same file."""
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or partial.origin is None:
        return False
    first, last, length = map(int, match.groups())
    same = _validator(headers) in ("", partial.origin.validator)
    return same and (first, last + 1, length) == (partial.size, length, partial.origin.length)


def _require_plain(remote: Remote, headers: Headers) -> None:
    encoding = headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise PullFailed(f"{without_secrets(remote.url)} comes encoded as {encoding!r}, unasked")


def _origin(remote: Remote, headers: Headers) -> Origin:
    announced = headers.get("Content-Length", "")
    length = int(announced) if announced.isdecimal() and len(announced) < 19 else remote.nbytes
    where = without_secrets(remote.url)
    if length is None:
        raise PullFailed(f"{where}: the server does not say how long it is")
    if remote.nbytes is not None and length != remote.nbytes:
        raise PullFailed(f"{where} is announced with {length} bytes, expected {remote.nbytes}")
    if length == 0:
        raise PullFailed(f"{where} is empty")
    return Origin(identity_of(remote.url), _validator(headers), length)


def _validator(headers: Headers) -> str:
    """What `If-Range` may hold: a strong entity tag, else the date of the last change."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _body(answer: HTTPResponse, left: int) -> Iterator[bytes]:
    """The body as it comes, never more than ``left`` bytes of it."""
    while left:
        try:
            chunk = answer.read1(min(_CHUNK, left))
        except (OSError, HTTPException) as error:
            raise Interrupted(str(error) or type(error).__name__) from error
        if not chunk:
            return
        left -= len(chunk)
        yield chunk


def _lost(remote: Remote, partial: Partial, attempts: int, error: Interrupted) -> str:
    kept = f"{partial.size} bytes are kept and the next pull goes on from there"
    return (
        f"{without_secrets(remote.url)}: {error}; gave up after {attempts} attempts in a row; "
        f"{kept if partial.size else 'nothing came, pull again later'}"
    )
