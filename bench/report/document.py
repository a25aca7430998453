"""A table inside a document, between two marks, so that it can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from inferflux.errors import InvalidArgument

BEGIN: Final = "<!-- measured: written by `inferflux report`, not by hand -->"
END: Final = "<!-- end of measured -->"


def put_into(path: Path, text: str) -> None:
    """Replace what stands between the marks.  Raises InvalidArgument where there are none."""
    document = path.read_text()
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidArgument(f"{path} has no lines {BEGIN!r} and {END!r} to write between")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
