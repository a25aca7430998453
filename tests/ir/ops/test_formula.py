"""Formulas are read, typed and renamed; what is none is refused with its text."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import TypeRuleError, Value
from inferflux.ir.ops.formula import renamed, value_of
from inferflux.ir.types import F32, Q4_1, tensor

ROWS = Value(tensor(F32, "T", 64), "x")
BIAS, OTHER = Value(tensor(F32, 64), "b"), Value(tensor(F32, "T", 32), "y")


def test_a_formula_means_its_ops():
    x, bias = np.float32([[1, -2], [3, 4]]), np.float32([10, 20])
    value = value_of("scale(add_bias(multiply(a, a), b), by=0.5)", {"a": x, "b": bias})
    np.testing.assert_array_equal(value, [[5.5, 12], [9.5, 18]])


def test_renaming_puts_formulas_in_the_places_of_names():
    text = renamed("add(a, scale(b, by=-0.5))", {"a": "silu(a)", "b": "product"})
    assert text == "add(silu(a), scale(product, by=-0.5))"


def test_a_computed_product_may_be_narrowed():
    weight = Value(tensor(Q4_1, 64, 32), "w")
    then = ops.linear_then(OTHER, weight, BIAS, formula="gelu(add_bias(product, a))", to="i8x32")
    assert str(then.type) == "i8x32[T, 64]"


@pytest.mark.parametrize(
    ("operands", "formula", "message"),
    [
        ((ROWS,), "silu(a", "'silu(a' is no formula"),
        ((ROWS,), "relu(a)", "'relu(a)' is neither an operand nor one of ['add', "),
        ((ROWS,), "silu(b)", "does not read a"),
        ((ROWS,), "add(a, c)", "'c' is neither an operand nor one of"),
        ((ROWS,), "scale(a, by='x')", "'x' is not a number"),
        ((ROWS,), "scale(a)", "scale in 'scale(a)': "),
        ((ROWS, OTHER), "add(a, b)", "add in 'add(a, b)': operands differ"),
        ((ROWS, BIAS), "silu(a)", "formula 'silu(a)' does not read b"),
    ],
)
def test_what_is_no_formula_of_the_operands_is_refused(operands, formula, message):
    with pytest.raises(TypeRuleError) as refused:
        ops.elementwise(*operands, formula=formula)
    assert str(refused.value).startswith("elementwise: ")
    assert message in str(refused.value)
