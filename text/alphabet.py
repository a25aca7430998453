"""The byte-level alphabet: the 256 printable characters in which BPE vocabularies spell bytes."""

from __future__ import annotations

from typing import Final


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
