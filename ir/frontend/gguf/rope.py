"""How a GGUF says that rotations are scaled: by its keys, and by tensors of factors."""

from __future__ import annotations

from inferflux.ir.frontend.facts import Rope
from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.source import ModelSource
from inferflux.ir.frontend.typed import Fields
from inferflux.ir.frontend.weights import Weights

FACTORS = "rope_freqs.weight"


def rope_facts(source: ModelSource, size: int, tensors: tuple[str, ...]) -> Rope:
    """Of the first ``size`` elements of a head; ``tensors`` are those the architecture may have."""
    fields = Fields.of(source)
    factors: tuple[float, ...] = ()
    if FACTORS in tensors and FACTORS in source.tensors:
        factors = Weights(source).factors(FACTORS, size // 2)
    return Rope(fields.positive(fields.own("rope.freq_base"), 10000.0), size, factors)


def rotated_size(source: ModelSource, head_dim: int) -> int:
    """How many elements of a head are turned."""
    fields = Fields.of(source)
    key = fields.own("rope.dimension_count")
    size = fields.whole(key, 2, MAX_SIZE, default=head_dim)
    if size > head_dim or size % 2:
        raise fields.wrong(key, f"is {size}: of {head_dim} elements of a head pairs are turned")
    return size
