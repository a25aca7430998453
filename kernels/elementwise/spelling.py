"""A formula as TVMScript: sums and products as expressions, functions as statements before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferflux.ir.graph import Attr, Op
from inferflux.ir.ops.formula import fold
from inferflux.kernels.storage import FloatRows, Operand, Vector

_INLINE = {
    "add": "({0} + {1})",
    "add_bias": "({0} + {1})",
    "multiply": "({0} * {1})",
    "scale": "({0} * splat(T.float32({by})))",
}
# What reads its operand several times.
_STATED = {
    "silu": "silu({0})",
    "gelu": "gelu({0})",
    "gelu_tanh": "gelu_tanh({0})",
    "soft_cap": "tanh({0} * splat(T.float32({inverse}))) * splat(T.float32({cap}))",
}


def spelling(
    formula: str, operands: Mapping[str, Operand], result: str, row: str, column: str, product: str
) -> str:
    """Lines that leave 16 values in ``result[lanes(0)]``, a buffer of that name.

    ``product`` is how the template spells what a formula is of, if it is of a product.
    """
    lines: list[str] = []

    def state(text: str) -> str:
        name = f"{result}_{len(lines) // 2}"
        lines.extend(_stored(name, text))
        return f"{name}[lanes(0)]"

    def apply(op: Op, given: Sequence[str], attrs: Mapping[str, Attr]) -> str:
        if op.name in _INLINE:
            return _INLINE[op.name].format(*given, **attrs)
        if cap := attrs.get("cap"):
            assert isinstance(cap, int | float)
            attrs = {"cap": float(cap), "inverse": 1 / cap}
        return state(_STATED[op.name].format(*given, **attrs))

    leaves = {name: _loaded(operand, row, column) for name, operand in operands.items()}
    value = fold(formula, {"product": product, **leaves}, apply)
    return "\n".join([*lines, *_stored(result, value)])


def _stored(name: str, text: str) -> list[str]:
    return [f'{name} = T.alloc_buffer((16,), "float32")', f"{name}[lanes(0)] = {text}"]


def _loaded(operand: Operand, row: str, column: str) -> str:
    if isinstance(operand, Vector):
        return operand.vector(column)
    assert isinstance(operand, FloatRows), f"formulas are of rows and vectors, not of {operand}"
    return operand.vector(row, column)
