"""Formulas: elementwise ops by name, nested over named operands, as one attribute of a fused op.

``add(a, scale(b, by=0.22))`` is a + 0.22 * b.  The grammar is that of Python's calls, so a formula
is read by Python's own parser; what an op means, and what it may be applied to, the op says.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from inferflux.ir.graph import Array, Attr, Op, TypeRuleError, Value, require
from inferflux.ir.ops.elementwise import ELEMENTWISE
from inferflux.ir.types import TensorType

T = TypeVar("T")
Apply = Callable[[Op, Sequence[T], Mapping[str, Attr]], T]


def fold(formula: str, operands: Mapping[str, T], apply: Apply[T]) -> T:
    """The value of a formula, by what each name is and how an op is applied.

    Raises:
        TypeRuleError: it is not a formula, or it names what is not there.
    """
    return _fold(_parsed(formula), operands, apply)


def type_of(formula: str, operands: Mapping[str, TensorType]) -> TensorType:
    """The type of a formula, by the type rules of its ops; every operand must be in it."""

    def apply(op: Op, given: Sequence[TensorType], attrs: Mapping[str, Attr]) -> TensorType:
        try:
            result = op.rule(*given, **attrs)
        except (TypeRuleError, TypeError) as error:  # or a wrong number of them
            raise TypeRuleError(f"{op} in {formula!r}: {error}") from None
        assert isinstance(result, TensorType), f"{op} gives one value"
        return result

    names = {node.id for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)}
    unread = operands.keys() - names
    require(not unread, f"formula {formula!r} does not read {', '.join(sorted(unread))}")
    return fold(formula, operands, apply)


def value_of(formula: str, operands: Mapping[str, Array]) -> Array:
    """The value of a formula on NumPy arrays."""
    return fold(formula, operands, lambda op, given, attrs: op.numpy(*given, **attrs))


def spelled(op: Op, arguments: Sequence[str], attrs: Mapping[str, Attr]) -> str:
    """One application as a formula: of operands' names, or of formulas."""
    numbers = [f"{name}={value!r}" for name, value in attrs.items()]
    return f"{op}({', '.join((*arguments, *numbers))})"


def renamed(formula: str, names: Mapping[str, str]) -> str:
    """The same formula with other formulas in the places of its operands."""
    return fold(formula, names, spelled)


def is_elementwise(value: Value) -> bool:
    """Whether an op that formulas are made of makes ``value``."""
    return value.op is not None and value.op.name in ELEMENTWISE


@lru_cache(maxsize=256)  # every layer of a model has the same few
def _parsed(formula: str) -> ast.AST:
    try:
        return ast.parse(formula, mode="eval").body
    except SyntaxError:
        raise TypeRuleError(f"{formula!r} is no formula") from None


def _fold(node: ast.AST, operands: Mapping[str, T], apply: Apply[T]) -> T:
    match node:
        case ast.Name(id=name) if name in operands:
            return operands[name]
        case ast.Call(func=ast.Name(id=name)) if name in ELEMENTWISE:
            given = [_fold(each, operands, apply) for each in node.args]
            attrs = {str(each.arg): _number(each.value) for each in node.keywords}
            return apply(ELEMENTWISE[name], given, attrs)
        case _:
            text = ast.unparse(node)
            raise TypeRuleError(f"{text!r} is neither an operand nor one of {[*ELEMENTWISE]}")


def _number(node: ast.AST) -> Attr:
    number = ast.literal_eval(node)
    require(isinstance(number, int | float), f"{number!r} is not a number")
    assert isinstance(number, int | float)
    return number
