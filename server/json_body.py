"""JSON from strangers: bounded in depth, then decoded into a plain object."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from inferflux.errors import InvalidArgument
from inferflux.server.limits import LIMITS

_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class MalformedBody(InvalidArgument):
    """A body is not the JSON object that the route expects."""


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``."""
    check_depth(body)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedBody('the body is not a JSON object; send one, e.g. {"model": ...}')
    return value


def check_depth(body: bytes) -> None:
    """Refuse nesting that no request needs, before any decoder recurses into it."""
    if body.count(b"[") + body.count(b"{") <= LIMITS.json_depth:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        first = found[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > LIMITS.json_depth:
            raise MalformedBody(f"the body nests deeper than {LIMITS.json_depth} levels")
