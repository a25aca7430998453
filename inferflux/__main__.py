"""The `inferflux` command from its first line; `python -m inferflux` is the same."""

from __future__ import annotations

import contextlib
import sys

from inferflux.engine.launch import Launched, launch


def main() -> None:
    """Entry point of the `inferflux` command.

    An engine takes longer to come up than a command line to be read, so its process starts first.
    """
    launched = _launched() if sys.argv[1:2] == ["serve"] and "--help" not in sys.argv else None
    from inferflux.cli import inferflux  # only now: Typer takes a fifth of a start

    inferflux.main(launched)


def _launched() -> Launched | None:
    with contextlib.suppress(OSError):  # the server tries again, and says what is wrong
        return launch()
    return None


if __name__ == "__main__":
    main()
