"""How vocabularies spell bytes: in 256 printable characters, or as text whose spaces are U+2581."""

from __future__ import annotations

import re
from typing import Final

SPACE: Final = "\u2581"
_BYTE_TOKEN: Final = re.compile("<0x([0-9A-Fa-f]{2})>")


def _byte_of_character() -> dict[str, int]:
    """Printable Latin-1 spells itself; the other bytes follow, in order, from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTE_OF_CHARACTER: Final = _byte_of_character()
_LATIN1_OF_CHARACTER: Final = {ord(char): byte for char, byte in _BYTE_OF_CHARACTER.items()}


def token_bytes(token: str) -> bytes:
    """The bytes that ``token`` spells; a token not written in the alphabet stands for itself."""
    if not _BYTE_OF_CHARACTER.keys() >= set(token):
        return token.encode()
    return token.translate(_LATIN1_OF_CHARACTER).encode("latin-1")


def spaced_bytes(token: str) -> bytes:
    """The text of ``token``, whose spaces are spelled U+2581."""
    return token.replace(SPACE, " ").encode()


def byte_of(token: str) -> int | None:
    """Which byte ``<0x41>`` stands for; None: the token has another name."""
    found = _BYTE_TOKEN.fullmatch(token)
    return int(found[1], 16) if found else None
