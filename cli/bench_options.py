"""The options of `inferflux bench`, each explained once, in panels by what they belong to."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from inferflux.cli.bench_lists import Rates, StreamCounts, parse_rates, parse_streams
from inferflux.cli.sizes import Counts, parse_counts, parse_size

DEFAULT_PREFILL = Counts((32, 128, 512))
DEFAULT_STREAMS = StreamCounts((count, None) for count in (1, 4, 8, 16, 32))
DEFAULT_DEPTHS = Counts((128,))
DEFAULT_AT_ONCE = Counts((1, 16))
DEFAULT_CLIENTS = Counts((1, 4, 16))
DEFAULT_RATES = Rates((1.0, 2.0, 4.0))
DEFAULT_KV_BUDGET = 2 << 30
THIS_PYTHON = sys.executable

_offline = partial(typer.Option, rich_help_panel="Offline")
_rival = partial(typer.Option, rich_help_panel="Comparison")
_serving = partial(typer.Option, rich_help_panel="Serving")
_COUNTS = {"parser": parse_counts, "metavar": "N,…"}
_SECONDS = {"min": 0, "metavar": "SECONDS"}


def _shown(default: object) -> dict[str, str]:
    """A default as it is typed: Typer would print a tuple."""
    return {"show_default": str(default)}


Json = Annotated[
    Path | None,
    typer.Option(help="Write the results to this file; `-` is stdout.", allow_dash=True),
]

Prefill = Annotated[Counts, _offline(help="Prompt lengths.", **_COUNTS, **_shown(DEFAULT_PREFILL))]
StreamList = Annotated[
    StreamCounts,
    _offline(
        help="Streams decoded at once; B@N only at depth N.",
        parser=parse_streams,
        metavar="B,B@N,…",
        **_shown(DEFAULT_STREAMS),
    ),
]
Depths = Annotated[
    Counts,
    _offline(
        help="Tokens of each stream before the timed steps.", **_COUNTS, **_shown(DEFAULT_DEPTHS)
    ),
]
Steps = Annotated[int, _offline(help="Decode steps that are timed.", min=1)]
Rounds = Annotated[int, _offline(help="Runs of every measure, after one warm.", min=1)]
KVBudget = Annotated[
    int,
    _offline(
        "--kv-bytes",
        help="A measure whose KV pages take more is left out.",
        parser=parse_size,
        metavar="SIZE",
        show_default="2GB",
    ),
]
Roofline = Annotated[
    bool,
    _offline(
        "--roofline",
        help="Measure every phase by itself, against the measured roofs of this machine.",
    ),
]

Against = Annotated[
    list[str] | None,
    _rival(help="Measure this too, in turns with ours; repeatable.", metavar="llama.cpp|FILE.ifx"),
]
PeerPython = Annotated[
    str,
    _rival(help="The Python that has llama-cpp-python.", metavar="PATH", show_default="this one"),
]
LlamaServer = Annotated[Path | None, _rival(help="Start llama.cpp's server too.", metavar="PATH")]
Neighbours = Annotated[
    int, _rival(help="Measure ours once more, beside N busy loops.", min=0, metavar="N")
]

Serving = Annotated[bool, _serving("--serving", help="Measure a server too, over both doors.")]
Startup = Annotated[
    bool,
    _serving("--startup", help="Measure the time from the start of a server to its first token."),
]
Url = Annotated[
    str | None,
    _serving(
        help="Ask a server of MODEL that runs already, instead of starting one.",
        metavar="http|grpc://HOST:PORT",
    ),
]
AtOnce = Annotated[
    Counts,
    _serving(
        help="Streams decoded at once, as a share of the offline figure.",
        **_COUNTS,
        **_shown(DEFAULT_AT_ONCE),
    ),
]
Clients = Annotated[
    Counts, _serving(help="Clients of closed loops.", **_COUNTS, **_shown(DEFAULT_CLIENTS))
]
RateList = Annotated[
    Rates,
    _serving(
        "--rates",
        help="Requests per second of open loops (Poisson).",
        parser=parse_rates,
        metavar="R,…",
        **_shown(DEFAULT_RATES),
    ),
]
Requests = Annotated[int, _serving(help="Requests of each loop.", min=1)]
PromptTokens = Annotated[int, _serving(help="Tokens of a prompt in a loop.", min=1)]
OutputTokens = Annotated[int, _serving(help="Tokens asked for in a loop.", min=1)]
SloTtft = Annotated[float, _serving(help="TTFT of a good request at most.", **_SECONDS)]
SloTpot = Annotated[float, _serving(help="TPOT of a good request at most.", **_SECONDS)]
