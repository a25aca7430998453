"""A compiled step is its graph, however tokens are batched, cut into steps and shared out."""

from __future__ import annotations

import numpy as np
import pytest

MODELS = {
    # Types mixed by layer, windowed and full attention alternating: three kinds, two KV groups.
    "mixed": {
        "layer_types": ("q4_1", "f16", "q4_1", "q8_0"),
        "window": 20,
        "windowed": (True, False, True, False),
        "heads": 4,
        "kv_heads": 2,
        "head_type": "f16",
        "context_length": 128,
    },
    "tied": {
        "layer_types": ("q4_1", "q4_0"),
        "embedding_type": "q4_1",
        "heads": 3,
        "head_dim": 64,
        "rope_factors": (1.0,) * 20 + (4.0,) * 12,
        "context_length": 128,
    },
    "biased": {
        "architecture": "qwen2",
        "layer_types": ("q4_0", "bf16", "q4_0", "q8_0"),
        "embedding_type": "q4_0",
        "head_type": "bf16",
        "heads": 4,
        "kv_heads": 2,
        "context_length": 128,
    },
    # Types that no kernel reads, which become Q6_K, F16, Q4_0 and BF16; a head of its own.
    "converted": {
        "layer_types": ("iq3_s", "iq2_xs", "tq1_0"),
        "embedding_type": "nvfp4",
        "head_type": "iq1_m",
        "hidden": 256,
        "intermediate": 256,
        "head_dim": 128,
        "context_length": 128,
    },
    # As GGUF's Q4_K_M mixes them, the head tied.
    "k_quants": {
        "layer_types": ("q4_k", "q6_k"),
        "embedding_type": "q6_k",
        "hidden": 256,
        "intermediate": 512,
        "head_dim": 128,
        "context_length": 128,
    },
    # Hidden rows are not whole vectors; what follows them in scratch is not zero for long.
    "narrow": {
        "layer_types": ("f16", "f32"),
        "embedding_type": "f16",
        "hidden": 40,
        "intermediate": 56,
        "heads": 3,
        "context_length": 128,
    },
}
# Steps of (sequence, tokens): prefill, chunks, decode, and ragged mixtures of all three.
SCHEDULE = [
    [(0, 1)],
    [(0, 17)],
    [(1, 5), (0, 1)],
    [(2, 23)],
    [(0, 1), (1, 1), (2, 1)],
    [(3, 9), (0, 1), (2, 9), (1, 1)],
    [(1, 30)],
    [(0, 1), (1, 1), (2, 1), (3, 1)],
]
LOGITS = 4  # which output of a graph
MAX_ROWS = 24
SUMS = 1e-5  # float32 sums in another order, of the largest logit
# An activation that is nearly half a unit of its int8 may be rounded up here and down there: that
# shows in single logits, hardly in their mean.
ROUNDING, MEAN_ROUNDING = 2e-2, 2e-3


def errors(session, graph):
    """How far the logits of a whole schedule are from the interpreter's, of the largest one."""
    found = []
    for work in SCHEDULE:
        rows = range(min(MAX_ROWS, sum(count for _, count in work)))
        outputs, expected = session.compare(work, graph, rows)
        logits = expected[LOGITS]
        found.append(np.abs(outputs.logits - logits).reshape(-1) / np.abs(logits).max())
    return np.concatenate(found)


@pytest.mark.parametrize("name", ["mixed", "tied", "biased", "narrow", "converted"])
def test_float32_steps_are_the_graph_as_imported(tiny_model, target, name):
    model = tiny_model(target, "float32", **MODELS[name])
    assert errors(model.session(), model.imported).max() < SUMS


@pytest.mark.parametrize("name", ["mixed", "tied", "biased", "k_quants"])
def test_default_steps_are_the_fused_graph(tiny_model, target, name):
    model = tiny_model(target, **MODELS[name])
    found = errors(model.session(), model.fused)
    assert found.max() < ROUNDING
    assert found.mean() < MEAN_ROUNDING


def test_what_is_sampled_is_of_the_rows_that_were_asked_for(tiny_model, target):
    model = tiny_model(target, **MODELS["tied"])
    session = model.session()
    for work, rows in (([(0, 9), (1, 4)], [8, 12, 3]), ([(0, 1), (1, 1)], [1]), ([(0, 3)], [])):
        outputs = session.step(work, rows)
        assert outputs.logits.shape == (len(rows), 320)
        np.testing.assert_array_equal(outputs.tokens, outputs.logits.argmax(axis=1))
        shifted = outputs.logits - outputs.logits.max(axis=1, keepdims=True)
        best = -np.log(np.exp(shifted.astype(np.float64)).sum(axis=1))
        np.testing.assert_allclose(outputs.logprobs, best, atol=1e-5)


@pytest.fixture
def tied(tiny_model, target):
    """A model with every row block of its target."""
    row_blocks = (1, 2, 4, 8) if target == "cpu:avx512" else (1, 4)
    return tiny_model(target, row_blocks=row_blocks, **MODELS["tied"])


def token_by_token(session, who, count):
    return np.concatenate([session.step([(who, 1)]).logits for _ in range(count)])


def test_a_rows_logits_are_equal_to_the_bit_however_it_is_batched(tied):
    """Alone, as part of a prefill of any size, and beside two others; in any pages."""
    alone = token_by_token(tied.session(), 0, 23)
    for chunks in ([23], [5, 18], [2, 4, 8, 9], [1, 21, 1]):
        session = tied.session(seed=len(chunks))
        logits = np.concatenate([session.step([(0, count)]).logits for count in chunks])
        np.testing.assert_array_equal(logits, alone, err_msg=str(chunks))
    session = tied.session(seed=9)
    session.step([(1, 7), (2, 2)])
    for row in range(23):
        logits = session.step([(1, 1), (0, 1), (2, 1)]).logits[1]
        np.testing.assert_array_equal(logits, alone[row], err_msg=f"beside two others, {row}")


@pytest.mark.parametrize("num_workers", [2, 3])
def test_the_number_of_workers_changes_nothing(tied, num_workers):
    one, more = tied.session(1), tied.session(num_workers)
    for work in SCHEDULE:
        rows = range(min(MAX_ROWS, sum(count for _, count in work)))
        expected, got = one.step(work, rows), more.step(work, rows)
        np.testing.assert_array_equal(got.logits, expected.logits)
        np.testing.assert_array_equal(got.top_tokens, expected.top_tokens)
