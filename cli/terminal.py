"""Text from a file or a model, made safe to show: a terminal obeys control characters."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with every control character but line ends and tabs spelled out, e.g. ``\\x1b``."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _spelled(character)
        for character in text
    )


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()
