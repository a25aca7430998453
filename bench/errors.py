"""What can go wrong while measuring."""

from __future__ import annotations

from inferflux.errors import InferFluxError


class BenchFailed(InferFluxError):
    """An engine did not do the work that a figure would have claimed."""

    code = "bench_failed"


class PeerUnavailable(InferFluxError):
    """The engine to compare with is not installed where it was looked for."""

    code = "peer_unavailable"
