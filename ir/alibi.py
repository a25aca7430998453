"""ALiBi: a score loses what its head's slope says for each token of distance."""

from __future__ import annotations

import math


def alibi_slopes(num_heads: int, max_bias: float) -> tuple[float, ...]:
    """The slopes of the heads, steepest first.

    For a power of two, 2**(-max_bias * (h + 1) / H); other numbers go on with every second slope of
    twice as many heads: Press, Smith, Lewis, "Train Short, Test Long", ICLR 2022.
    """
    power = 1 << int(math.log2(num_heads))
    first = [2 ** (-max_bias * (head + 1) / power) for head in range(power)]
    more = [2 ** (-max_bias * (2 * head + 1) / (2 * power)) for head in range(num_heads - power)]
    return (*first, *more)
