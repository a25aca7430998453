"""The options of `inferflux bench`, each explained once, in panels by what they belong to."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from inferflux.cli.sizes import Counts, parse_counts, parse_size

_OFFLINE = "Offline"
_RIVALS = "Comparison"
_SERVING = "Serving"


class Rates(tuple[float, ...]):
    """Several rates that one option takes, printed as they are written: ``0.5,2``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(f"{rate:g}" for rate in self)


def parse_rates(text: str | Rates) -> Rates:
    """``"0.5,2"`` is (0.5, 2.0); an empty text is no rates at all."""
    if isinstance(text, Rates):
        return text
    try:
        rates = Rates(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        rates = Rates((0.0,))
    if not all(0 < rate < math.inf for rate in rates):
        raise typer.BadParameter(f"{text!r} is no list of rates; write for example 0.5,2")
    return rates


class StreamCounts(tuple[tuple[int, int | None], ...]):
    """Numbers of streams, each with its depth if it has one of its own: ``1,4,1@7936``."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(
            f"{count}" if depth is None else f"{count}@{depth}" for count, depth in self
        )


def parse_streams(text: str | StreamCounts) -> StreamCounts:
    """``"1,4,1@7936"``: 1 and 4 streams at every depth, and 1 at a depth of 7936."""
    if isinstance(text, StreamCounts):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return StreamCounts(map(_parse_streams, parts))


def _parse_streams(part: str) -> tuple[int, int | None]:
    count, at, depth = part.partition("@")
    numbers = [count, depth] if at else [count]
    if not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise typer.BadParameter(f"{part!r} is no number of streams; write for example 4 or 4@2048")
    return int(count), int(depth) if at else None


Json = Annotated[
    Path | None,
    typer.Option(help="Write the results to this file; `-` is stdout.", allow_dash=True),
]
Prefill = Annotated[
    Counts,
    typer.Option(
        parser=parse_counts,
        metavar="N,…",
        show_default="32,128,512",
        help="Prompt lengths.",
        rich_help_panel=_OFFLINE,
    ),
]
StreamList = Annotated[
    StreamCounts,
    typer.Option(
        parser=parse_streams,
        metavar="B,B@N,…",
        show_default="1,4,8,16,32",
        help="Streams decoded at once; B@N only at depth N.",
        rich_help_panel=_OFFLINE,
    ),
]
Depths = Annotated[
    Counts,
    typer.Option(
        parser=parse_counts,
        metavar="N,…",
        show_default="128",
        help="Tokens of each stream before the timed steps.",
        rich_help_panel=_OFFLINE,
    ),
]
Steps = Annotated[
    int, typer.Option(min=1, help="Decode steps that are timed.", rich_help_panel=_OFFLINE)
]
Rounds = Annotated[
    int,
    typer.Option(min=1, help="Runs of every measure, after one warm.", rich_help_panel=_OFFLINE),
]
KVBudget = Annotated[
    int,
    typer.Option(
        "--kv-bytes",
        parser=parse_size,
        metavar="SIZE",
        show_default="2GB",
        help="A measure whose KV pages take more is left out.",
        rich_help_panel=_OFFLINE,
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="llama.cpp|FILE.ifx",
        help="Measure this too, in turns with ours; repeatable.",
        rich_help_panel=_RIVALS,
    ),
]
PeerPython = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        show_default="this one",
        help="The Python that has llama-cpp-python.",
        rich_help_panel=_RIVALS,
    ),
]
Serving = Annotated[
    bool,
    typer.Option(
        "--serving", help="Measure a server too, over both doors.", rich_help_panel=_SERVING
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="http|grpc://HOST:PORT",
        help="Ask a server of MODEL that runs already, instead of starting one.",
        rich_help_panel=_SERVING,
    ),
]
AtOnce = Annotated[
    Counts,
    typer.Option(
        parser=parse_counts,
        metavar="B,…",
        show_default="1,16",
        help="Streams decoded at once, as a share of the offline figure.",
        rich_help_panel=_SERVING,
    ),
]
Clients = Annotated[
    Counts,
    typer.Option(
        parser=parse_counts,
        metavar="N,…",
        show_default="1,4,16",
        help="Clients of closed loops.",
        rich_help_panel=_SERVING,
    ),
]
RateList = Annotated[
    Rates,
    typer.Option(
        "--rates",
        parser=parse_rates,
        metavar="R,…",
        show_default="1,2,4",
        help="Requests per second of open loops (Poisson).",
        rich_help_panel=_SERVING,
    ),
]
Requests = Annotated[
    int, typer.Option(min=1, help="Requests of each loop.", rich_help_panel=_SERVING)
]
PromptTokens = Annotated[
    int, typer.Option(min=1, help="Tokens of a prompt in a loop.", rich_help_panel=_SERVING)
]
OutputTokens = Annotated[
    int, typer.Option(min=1, help="Tokens asked for in a loop.", rich_help_panel=_SERVING)
]
SloTtft = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="TTFT of a good request at most.", rich_help_panel=_SERVING
    ),
]
SloTpot = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="TPOT of a good request at most.", rich_help_panel=_SERVING
    ),
]
Startup = Annotated[
    bool,
    typer.Option(
        "--startup",
        help="Measure the time from the start of a server to its first token.",
        rich_help_panel=_SERVING,
    ),
]
Roofline = Annotated[
    bool,
    typer.Option(
        "--roofline",
        help="Measure every phase by itself, against the measured roofs of this machine.",
        rich_help_panel=_OFFLINE,
    ),
]
Neighbours = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Measure ours once more, beside N busy loops.",
        rich_help_panel=_RIVALS,
    ),
]
LlamaServer = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Start llama.cpp's server too.", rich_help_panel=_RIVALS),
]

DEFAULT_PREFILL = Counts((32, 128, 512))
DEFAULT_STREAMS = StreamCounts((count, None) for count in (1, 4, 8, 16, 32))
DEFAULT_DEPTHS = Counts((128,))
DEFAULT_AT_ONCE = Counts((1, 16))
DEFAULT_CLIENTS = Counts((1, 4, 16))
DEFAULT_RATES = Rates((1.0, 2.0, 4.0))
DEFAULT_KV_BUDGET = 2 << 30
THIS_PYTHON = sys.executable
