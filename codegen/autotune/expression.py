"""The numbers of pieces that families state as text, worked out for numbers known now."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_FUNCTIONS: Mapping[str, Callable[..., int]] = {  # of TIR; all numbers here are natural
    "truncdiv": operator.floordiv,
    "truncmod": operator.mod,
    "min": min,
    "max": max,
}


def evaluate(text: str, names: Mapping[str, int]) -> int:
    """The value of an expression such as ``T.truncdiv(num_tokens + 7, 8) * 12``."""
    return _value(ast.parse(text, mode="eval").body, names)


def _value(node: ast.expr, names: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Attribute(attr=name), args=args):
            return _FUNCTIONS[name](*(_value(arg, names) for arg in args))
        case _:
            raise AssertionError(f"pieces are counted by {ast.unparse(node)}")
