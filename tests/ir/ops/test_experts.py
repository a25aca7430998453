"""What routing and experts mean, against the plainest way to compute it, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from inferflux.ir import ops
from inferflux.ir.graph import TypeRuleError, Value
from inferflux.ir.quantised import WeightRows, quantise_rows, round_bf16
from inferflux.ir.quantised.activations import BfloatRows
from inferflux.ir.types import F32, I32, Q8_0, tensor

TOKENS, EXPERTS, USED, HIDDEN, WIDTH = 5, 6, 2, 64, 32
random = np.random.default_rng(3)


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


def v(dtype, *shape):
    return Value(tensor(dtype, *shape), "v")


def test_shares_of_a_normalised_softmax_are_the_softmax_of_the_chosen():
    logits = floats(4, 9)
    chosen, shares = ops.route.numpy(logits, num_used=3)
    np.testing.assert_array_equal(chosen, np.argsort(-logits, axis=1)[:, :3])
    powers = np.exp(np.take_along_axis(logits, chosen, axis=1))
    np.testing.assert_allclose(shares, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)


def test_shares_that_are_not_normalised_are_of_the_whole_softmax():
    _, shares = ops.route.numpy(np.zeros((1, 8), np.float32), num_used=2, normalised=False)
    np.testing.assert_allclose(shares, [[1 / 8, 1 / 8]], rtol=1e-6)


def test_a_bias_chooses_and_has_no_part_in_the_shares():
    logits, bias = np.array([[0, 1, 2, 3]], np.float32), np.array([9, 0, 0, 0], np.float32)
    route = {"num_used": 2, "scoring": "sigmoid", "normalised": False, "scale": 2.5}
    chosen, shares = ops.route.numpy(logits, bias, **route)
    np.testing.assert_array_equal(chosen, [[0, 3]])
    np.testing.assert_allclose(shares, 2.5 / (1 + np.exp([[0, -3]])), rtol=1e-6)


@pytest.mark.parametrize(("group_best", "expected"), [(1, [0, 4]), (2, [3, 2])])
def test_experts_come_from_the_groups_whose_best_add_up_to_most(group_best, expected):
    """By their best, groups 0 and 2; by their two best, groups 1 and 0."""
    scores = np.array([[0.9, 0.1, 0.7, 0.75, 0.8, 0.2]], np.float32)
    groups = {"num_groups": 3, "num_used_groups": 1 if group_best == 2 else 2}
    logits = np.log(scores / (1 - scores))
    chosen, _ = ops.route.numpy(
        logits, num_used=2, scoring="sigmoid", group_best=group_best, **groups
    )
    np.testing.assert_array_equal(chosen, [expected])


def test_of_equal_experts_the_first_is_chosen():
    chosen, _ = ops.route.numpy(np.ones((1, 5), np.float32), num_used=3)
    np.testing.assert_array_equal(chosen, [[0, 1, 2]])


def test_groups_list_the_used_experts_and_where_their_slots_are():
    chosen = np.array([[4, 1], [1, 2], [4, 2]], np.int32)
    slots, groups = ops.group_by_expert.numpy(chosen, num_experts=5)
    np.testing.assert_array_equal(slots.reshape(-1), [1, 2, 3, 5, 0, 4])
    np.testing.assert_array_equal(groups[:3], [[1, 0, 2], [2, 2, 4], [4, 4, 6]])
    assert not groups[3:].any()


def routed():
    chosen, shares = ops.route.numpy(floats(TOKENS, EXPERTS), num_used=USED)
    return chosen, shares, *ops.group_by_expert.numpy(chosen, num_experts=EXPERTS)


def silu(x):
    return x / (1 + np.exp(-x))


def clamped_swiglu(gate, up):
    gate, up = np.minimum(gate, 7), np.clip(up, -7, 7)
    return gate / (1 + np.exp(-1.702 * gate)) * (up + 1)


JOINS = {"silu": lambda gate, up: silu(gate) * up, "clamped_swiglu": clamped_swiglu}


@pytest.mark.parametrize("activation", JOINS)
def test_a_layer_of_experts_is_what_each_token_computes_for_itself(activation):
    chosen, shares, slots, groups = routed()
    x, down = floats(TOKENS, HIDDEN), floats(EXPERTS, HIDDEN, WIDTH)
    gate, up = 2 * floats(EXPERTS, WIDTH, HIDDEN), floats(EXPERTS, WIDTH, HIDDEN)
    biases = floats(EXPERTS, WIDTH), floats(EXPERTS, WIDTH)
    inner = ops.expert_gate_up.numpy(x, slots, groups, gate, up, *biases, activation=activation)
    products = ops.expert_linear.numpy(inner, slots, groups, down)
    out = ops.combine.numpy(products, shares)
    for token in range(TOKENS):
        expected = np.zeros(HIDDEN)
        for expert, share in zip(chosen[token], shares[token], strict=True):
            gates = gate[expert] @ x[token] + biases[0][expert]
            ups = up[expert] @ x[token] + biases[1][expert]
            expected += share * (down[expert] @ JOINS[activation](gates, ups))
        np.testing.assert_allclose(out[token], expected, rtol=1e-3, atol=1e-3)


def test_narrow_rows_meet_the_weights_of_their_own_expert():
    *_, slots, groups = routed()
    x, weight = floats(TOKENS, HIDDEN), floats(EXPERTS, WIDTH, HIDDEN)
    narrow = BfloatRows(round_bf16(x))
    by_bf16 = ops.expert_linear.numpy(narrow, slots, groups, weight)
    plain = ops.expert_linear.numpy(narrow.values, slots, groups, round_bf16(weight))
    np.testing.assert_allclose(by_bf16, plain, rtol=1e-5, atol=1e-4)
    raw = random.integers(0, 256, (EXPERTS, WIDTH, HIDDEN // 32, 34)).astype(np.uint8)
    raw[..., :2] = np.array([0.01], "<f2").view(np.uint8)
    blocks = WeightRows(Q8_0, raw.reshape(EXPERTS, WIDTH, -1))
    rows = quantise_rows(x)
    out = ops.expert_linear.numpy(rows, slots, groups, blocks).reshape(-1, WIDTH)
    for expert, first, end in groups:
        for slot in slots.reshape(-1)[first:end]:
            token = slot // USED
            one = type(rows)(rows.values[token : token + 1], rows.scales[token : token + 1])
            np.testing.assert_allclose(out[slot], ops.linear.numpy(one, blocks[expert])[0], 1e-6)


def test_a_gated_row_is_scaled_by_the_logistic_of_its_gate():
    x, gate = floats(3, 4), floats(3, 1)
    np.testing.assert_allclose(ops.gate_rows.numpy(x, gate), x / (1 + np.exp(-gate)), rtol=1e-6)


X, SLOTS, GROUPS, W = v(F32, "T", 64), v(I32, "T", 2), v(I32, 6, 3), v(F32, 6, 32, 64)
REFUSED = [
    (ops.route, (X,), {"num_used": 65}, "num_used 65 experts of 64"),
    (ops.route, (X,), {"num_used": 2, "scoring": "tanh"}, "scoring 'tanh' is not in"),
    (ops.route, (X,), {"num_used": 2, "num_groups": 3}, "64 experts are not 3 equal groups"),
    (ops.route, (X, v(F32, 63)), {"num_used": 2}, "is not one number for 64 experts"),
    (ops.group_by_expert, (X,), {"num_experts": 6}, "must be i32"),
    (ops.expert_linear, (X, SLOTS, v(I32, 5, 3), W), {}, "are not those of 6 experts"),
    (ops.expert_linear, (v(F32, "T", 96), SLOTS, GROUPS, W), {}, "do not fit weight f32[6, 32"),
    (ops.expert_linear, (X, SLOTS, GROUPS, v(F32, 32, 64)), {}, "a matrix for each expert"),
    (ops.expert_linear, (X, SLOTS, GROUPS, W, v(F32, 6, 64)), {}, "bias f32[6, 64] does not fit"),
    (ops.expert_gate_up, (X, SLOTS, GROUPS, W, v(F32, 6, 64, 64)), {}, "differ in shape"),
    (ops.combine, (v(F32, "T", 65), v(F32, "T", 2)), {}, "are not 2 for each row"),
    (ops.combine_residual, (X, v(F32, "T", 2), X), {}, "residual f32[T, 64] is not like the sum"),
    (ops.gate_rows, (X, v(F32, "T", 2)), {}, "is not one number for each row"),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "message"), REFUSED)
def test_a_rule_says_what_it_refuses(op, operands, attrs, message):
    with pytest.raises(TypeRuleError) as error:
        op(*operands, **attrs)
    assert f"{op.name}: " in str(error.value)
    assert message in str(error.value)
