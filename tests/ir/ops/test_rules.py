"""What type rules refuse, and what they say."""

from __future__ import annotations

import pytest

from inferflux.ir import ops
from inferflux.ir.graph import OPS, TypeRuleError, Value
from inferflux.ir.types import BF16, F16, F32, I8X32, I8X256, I32, Q4_0, Q4_1, Q8_0, tensor


def v(dtype, *shape):
    return Value(tensor(dtype, *shape), "v")


X, X8 = v(F32, "T", 64), v(I8X32, "T", 64)
TOKENS, TABLE, PAGES = v(I32, "T"), v(F32, 99, 16), v(I32, "B", "M")
KEYS, VALUES = v(F16, "N", 3, 2, 16, 16), v(F16, "N", 3, 2, 16, 16)
KV = v(F32, "T", 32)
HEADS = {"eps": 0.1, "head_dim": 16}
TURN = {"head_dim": 16, "pairs": "adjacent"}
PLACE = {"layer": 0, "head_dim": 16}
ATTEND = {**PLACE, "scale": 0.25}
WQ, WK = v(F32, 64, 64), v(F32, 32, 64)
QKV = (X, X, X, WQ, WK, WK, TABLE, TOKENS, TOKENS, KEYS, VALUES)

REFUSED = [
    (ops.embed, (X, v(F32, 9, 64)), {}, "tokens is f32[T, 64], must be i32"),
    (ops.embed, (TOKENS, v(F32, 9)), {}, "weight is f32[9], must be rows"),
    (ops.embed, (TOKENS, v(I8X32, 9, 64)), {}, "must be a weight's dtype"),
    (ops.rms_norm, (X, v(F32, 32)), {"eps": 0.1}, "weight f32[32] does not span the rows of"),
    (ops.rms_norm, (X, v(F16, 64)), {"eps": 0.1}, "weight is f16[64], must be f32"),
    (ops.rms_norm, (X, v(F32, 64)), {}, "eps"),
    (ops.rms_norm, (X,), {"eps": 0.1}, "weight"),
    (ops.layer_norm, (X, v(F32, 64), v(F32, 32)), {"eps": 0.1}, "bias f32[32] is not like weight"),
    (ops.norm_heads, (X, v(F32, 32)), HEADS, "weight f32[32] spans neither a head of 16 nor the"),
    (ops.norm_heads, (X, v(F32, 16)), {**HEADS, "kind": "l2"}, "kind is 'l2', must be one of"),
    (ops.norm_heads, (v(F32, "T", 40), v(F32, 16)), HEADS, "x f32[T, 40] is not whole heads of 16"),
    (ops.soft_cap, (X,), {"cap": 0.0}, "cap 0.0 is not positive"),
    (ops.scale, (X,), {}, "by"),
    (ops.quantise, (v(F32, "T", 48),), {}, "x f32[T, 48] is not whole blocks of 32"),
    (ops.quantise, (X,), {"to": "i8x256"}, "x f32[T, 64] is not whole blocks of 256"),
    (ops.quantise, (X,), {"to": "f16"}, "to='f16': rows become i8x32, i8x256, bf16"),
    (ops.linear, (v(I8X256, "T", 256), v(Q8_0, 8, 256)), {}, "needs a weight in blocks of 256"),
    (ops.linear, (X, v(F32, 8, 32)), {}, "rows of x f32[T, 64] do not fit weight f32[8, 32]"),
    (ops.linear, (X8, v(F16, 8, 64)), {}, "needs a quantised weight, not f16[8, 64]"),
    (ops.linear, (X8, v(BF16, 8, 64)), {}, "needs a quantised weight, not bf16[8, 64]"),
    (ops.linear, (X, X8), {}, "its rows must be counted"),
    (ops.linear, (X, v(I8X32, 8, 64)), {}, "i8x32 is for activations"),
    (
        ops.linear,
        (v(F16, "T", 64), v(F16, 8, 64)),
        {},
        "x is f16[T, 64], must be one of f32, bf16, i8x32, i8x256",
    ),
    (ops.add, (X, KV), {}, "operands differ: f32[T, 64] and f32[T, 32]"),
    (ops.multiply, (X, v(F32, "R", 64)), {}, "operands differ"),
    (ops.linear_residual, (X, v(F32, 8, 64), X), {}, "residual f32[T, 64] is not like"),
    (ops.rope, (X, TOKENS, v(F32, 99, 18)), TURN, "table f32[99, 18] is not for heads of 16"),
    (ops.rope, (X, TOKENS, v(F32, 99, 7)), TURN, "table f32[99, 7] is not for heads of 16"),
    (ops.rope, (X, TOKENS, TABLE), {**TURN, "pairs": "odd"}, "pairs is 'odd', must be one of"),
    (ops.rope, (X, v(I32, "R"), TABLE), TURN, "first dimensions differ"),
    (ops.rope, (X, TOKENS, TABLE), {**TURN, "head_dim": 7}, "head_dim 7 is not positive and even"),
    (ops.rope_table, (), {"theta": 0.0, "head_dim": 16, "length": 9}, "theta 0.0 is not positive"),
    (
        ops.rope_table,
        (),
        {"theta": 1e4, "head_dim": 16, "length": 9, "factors": (1.0,)},
        "1 factors for 8 pairs of a head",
    ),
    (
        ops.rope_table,
        (),
        {"theta": 1e4, "head_dim": 4, "length": 9, "factors": (1.0, 0.0)},
        "factors (1.0, 0.0) are not all positive",
    ),
    (
        ops.rope_table,
        (),
        {"theta": 1e4, "head_dim": 4, "length": 9, "long_factors": (1.0, 2.0)},
        "original is None, must be the length from which rows are turned apart",
    ),
    (
        ops.rope_table,
        (),
        {"theta": 1e4, "head_dim": 4, "length": 9, "growth": 0.5, "original": 4},
        "growth 0.5 is below 1",
    ),
    (ops.add_bias, (X, v(F32, 32)), {}, "bias f32[32] does not span the rows of f32[T, 64]"),
    (
        ops.qkv_rope_append,
        (*QKV[:6], v(F32, 99, 8), *QKV[7:]),
        TURN | PLACE,
        "table f32[99, 8] does not turn whole heads of 16",
    ),
    (ops.qkv_rope_append, (*QKV, v(F32, 64)), TURN | PLACE, "1 biases are given, must be none or"),
    (
        ops.qkv_rope_append,
        (*QKV, v(F32, 64), v(F32, 64), v(F32, 32)),
        TURN | PLACE,
        "bias f32[64] does not span the rows of f32[T, 32]",
    ),
    (ops.append_keys, (KEYS, X, TOKENS), PLACE, "hold (heads, head_dim) (2, 16), not (4, 16)"),
    (ops.append_keys, (KEYS, KV, TOKENS), {**PLACE, "layer": 3}, "layer 3 is not in pages"),
    (ops.append_values, (X, KV, TOKENS), PLACE, "pages are f32[T, 64], must have five dimensions"),
    (ops.append_values, (v(I32, "N", 3, 2, 16, 16), KV, TOKENS), PLACE, "must be f16, f32, i8page"),
    (ops.attention, (X, KEYS, VALUES, TOKENS, TOKENS, TOKENS), ATTEND, "must be i32[B, M]"),
    (
        ops.attention,
        (v(F32, "T", 48), KEYS, VALUES, TOKENS, TOKENS, PAGES),
        ATTEND,
        "3 heads do not share 2 evenly",
    ),
    (
        ops.attention,
        (X, KEYS, VALUES, TOKENS, TOKENS, PAGES),
        {**ATTEND, "window": 0},
        "window 0 is not positive",
    ),
    (
        ops.attention,
        (X, KEYS, VALUES, TOKENS, TOKENS, PAGES),
        {**ATTEND, "soft_cap": 0.0},
        "soft_cap 0.0 is not positive",
    ),
    (
        ops.attention,
        (X, KEYS, VALUES, TOKENS, TOKENS, PAGES, v(F32, 2)),
        ATTEND,
        "sinks are f32[2], not f32[4]",
    ),
    (
        ops.attention,
        (X, KEYS, VALUES, TOKENS, TOKENS, PAGES),
        {**ATTEND, "value_dim": 8},
        "hold (heads, head_dim) (2, 16), not (2, 8)",
    ),
    (ops.linear_heads, (X, v(F32, 4, 32, 8)), {}, "do not fit 4 heads of weight f32[4, 32, 8]"),
    (ops.join_heads, (X, KV), {"num_heads": 3}, "are not 3 heads each"),
    (ops.linear_heads, (X, v(I8X32, 2, 8, 32)), {}, "must be a float or quantised"),
    (ops.gate_up, (X, X, v(F32, 8, 64), v(F32, 9, 64)), {}, "differ in shape"),
    (
        ops.gate_up,
        (X, X, v(F32, 8, 64), v(F32, 8, 64)),
        {"activation": "relu"},
        "activation 'relu' is not in ['silu', 'gelu', 'gelu_tanh']",
    ),
    (ops.gate_up_quantise, (X, X, v(F32, 8, 64), v(F32, 8, 64)), {}, "not whole blocks of 32"),
    (ops.silu, (X,), {"eps": 1}, "eps"),
]


@pytest.mark.parametrize(("op", "inputs", "attrs", "message"), REFUSED)
def test_refused_with_op_and_values(op, inputs, attrs, message):
    with pytest.raises(TypeRuleError) as refused:
        op(*inputs, **attrs)
    assert str(refused.value).startswith(f"{op.name}: ")
    assert message in str(refused.value)
    assert refused.value.code == "invalid_graph"


@pytest.mark.parametrize("weight", [Q4_0, Q4_1, Q8_0, BF16, F16, F32], ids=str)
def test_float_rows_meet_every_weight(weight):
    assert str(ops.linear(X, v(weight, 8, 64)).type) == "f32[T, 8]"


@pytest.mark.parametrize("weight", [Q4_0, Q4_1, Q8_0], ids=str)
def test_integer_rows_meet_quantised_weights(weight):
    assert str(ops.linear(X8, v(weight, 8, 64)).type) == "f32[T, 8]"


def test_attributes_left_out_are_filled_in():
    assert ops.attention(X, KEYS, VALUES, TOKENS, TOKENS, PAGES, **ATTEND).producer.attrs == {
        **ATTEND,
        "window": None,
        "value_dim": None,
        "soft_cap": None,
        "alibi": None,
        "alibi_scale": 1.0,
    }


def test_heads_of_values_may_have_another_size():
    wide = v(F16, "N", 3, 2, 16, 32)
    attended = ops.attention(X, KEYS, wide, TOKENS, TOKENS, PAGES, **ATTEND, value_dim=32)
    assert str(attended.type) == "f32[T, 128]"


def test_appended_pages_are_the_next_state_of_the_pages():
    assert ops.append_keys(KEYS, KV, TOKENS, **PLACE).updated is KEYS
    q, keys, values = ops.qkv_rope_append(*QKV, **PLACE, pairs="halves")
    assert (q.updated, keys.updated, values.updated) == (None, KEYS, VALUES)


def test_optional_operands_that_are_left_out_have_no_name():
    biases = v(F32, 64), v(F32, 32), v(F32, 32)
    plain, biased = (
        ops.qkv_rope_append(*QKV, *given, **PLACE, pairs="halves")[0].producer
        for given in ((), biases)
    )
    assert biased.operands == {**plain.operands, "bq": biases[0], "bk": biases[1], "bv": biases[2]}
    assert len(plain.operands) == len(QKV)


def test_only_numbers_a_loop_can_read_may_be_stacked():
    stackable = {name: op.stackable for name, op in OPS.items() if op.stackable}
    assert stackable == {
        "append_keys": {"layer"},
        "append_values": {"layer"},
        "qkv_rope_append": {"layer"},
        "rope_append": {"layer"},
        "attention": {"layer", "scale", "window"},
        "attention_quantise": {"layer", "scale", "window"},
    }
