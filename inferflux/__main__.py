"""`python -m inferflux` is the `inferflux` command."""

from __future__ import annotations

from inferflux.cli.inferflux import main

main()
