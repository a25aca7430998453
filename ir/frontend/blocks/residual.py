"""How attention and feed-forward stand around the residual stream, and where their norms are."""

from __future__ import annotations

from dataclasses import dataclass

# The names of norms are those that a GGUF gives them.


@dataclass(frozen=True, slots=True)
class Residual:
    """The norms before and after each of the two; an empty name: there is none.

    In parallel both read the stream before either has added to it, through one norm if it has one
    name.
    """

    before_attention: str = "attn_norm"
    before_feed_forward: str = "ffn_norm"
    after_attention: str = ""
    after_feed_forward: str = ""
    is_parallel: bool = False


NORMS_BEFORE = Residual()
NORMS_AFTER = Residual("", "", "post_attention_norm", "post_ffw_norm")
NORMS_AROUND = Residual(after_attention="post_attention_norm", after_feed_forward="post_ffw_norm")
PARALLEL = Residual(before_feed_forward="attn_norm", is_parallel=True)
PARALLEL_TWO_NORMS = Residual(is_parallel=True)
