"""The engine as a whole, on a runner whose tokens depend on every page it reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.errors import ContextLengthExceeded, EngineFailed, QueueFull, RequestRejected
from inferflux.engine.messages import FinishReason, SamplingParams
from inferflux.errors import InferFluxError, InvalidArgument


def steps(engine, limit=1000):
    """What each step gives, until nothing is left."""
    for _ in range(limit):
        if not engine.has_work:
            return
        yield engine.step()
    raise AssertionError("the engine does not come to an end")


def run(engine):
    """Step until nothing is left; all outputs by request id."""
    outputs: dict[str, list] = {}
    for step in steps(engine):
        for output in step:
            outputs.setdefault(output.request_id, []).append(output)
    return outputs


def tokens_of(outputs):
    return [token for output in outputs for token in output.tokens]


def reason_of(outputs):
    assert [o.finish_reason for o in outputs[:-1]] == [None] * (len(outputs) - 1)
    return outputs[-1].finish_reason


prompts = st.lists(st.integers(0, 48), min_size=1, max_size=60)


@given(st.lists(prompts, min_size=1, max_size=12), st.integers(1, 30), st.integers(1, 2))
def test_batched_equals_alone(fake, request_of, batch, max_tokens, num_groups):
    engine = fake.engine(fake.FakeRunner(num_groups=num_groups))
    for index, prompt in enumerate(batch):
        engine.add(request_of(str(index), prompt, max_tokens))
    outputs = run(engine)
    for index, prompt in enumerate(batch):
        assert tokens_of(outputs[str(index)]) == fake.generated(prompt, max_tokens)


def test_every_group_has_page_tables_of_its_own(fake, request_of):
    runner = fake.FakeRunner(num_groups=2)
    engine = fake.engine(runner)
    engine._kv.pools[1].reserve(5)  # from here on the groups' pages differ
    engine.add(request_of("a", [1] * 20, 10))
    engine.step()
    assert [tables.tolist() for tables in runner.steps[0].page_tables] == [[[0, 1]], [[5, 6]]]
    assert [slots[-1] for slots in runner.steps[0].slot_mapping] == [16 + 3, 6 * 16 + 3]


@given(prompts, st.integers(9, 64))
def test_chunked_prefill_equals_whole(fake, request_of, prompt, chunk_tokens):
    engine = fake.engine(chunk_tokens=chunk_tokens)
    engine.add(request_of("a", prompt))
    assert tokens_of(run(engine)["a"]) == fake.generated(prompt, 4)


def test_a_seed_fixes_the_tokens_whatever_runs_beside(fake, request_of):
    sampling = SamplingParams(temperature=1.0, seed=2**64 - 1)
    engine = fake.engine()
    engine.add(request_of("other", [1, 2, 3], 20))
    engine.step()
    engine.add(request_of("a", [5, 6, 7], 12, sampling=sampling))
    assert tokens_of(run(engine)["a"]) == fake.generated([5, 6, 7], 12, 1.0, 2**64 - 1)


def test_a_temperature_too_low_to_divide_by_is_greedy(fake, request_of):
    runner = fake.FakeRunner()
    engine = fake.engine(runner)
    engine.add(request_of("a", [1, 2], 3, sampling=SamplingParams(temperature=1e-40)))
    assert tokens_of(run(engine)["a"]) == fake.generated([1, 2], 3)
    assert not any(step.sampling.temperature.any() for step in runner.steps)


def test_a_long_prompt_is_read_in_chunks_while_a_stream_gains_a_token_a_step(fake, request_of):
    engine = fake.engine(chunk_tokens=16)
    engine.add(request_of("stream", [1], 60))
    engine.step()
    engine.add(request_of("long", [2] * 100, 1))
    steps = []
    while not any("long" in step for step in steps):
        steps.append({output.request_id: output for output in engine.step()})
    assert all(len(step["stream"].tokens) == 1 for step in steps)
    assert len(steps) == 7  # 15 tokens of the prompt beside one of the stream


def test_no_step_is_larger_than_a_chunk(fake, request_of):
    runner = fake.FakeRunner()
    engine = fake.engine(runner, chunk_tokens=16)
    for index in range(12):
        engine.add(request_of(str(index), [index] * 40, 10))
    run(engine)
    assert max(len(step.tokens) for step in runner.steps) == 16


def test_prompts_are_served_in_the_order_of_arrival(fake, request_of):
    engine = fake.engine(fake.FakeRunner(num_pages=8), max_sequences=2)
    lengths = [100, 20, 1, 60, 3]  # some do not fit beside each other
    for index, length in enumerate(lengths):
        engine.add(request_of(str(index), [index] * length, 8))
    starts: list[str] = []
    for step in steps(engine):
        starts += [o.request_id for o in step if o.request_id not in starts]
    assert starts == sorted(starts)


def test_short_chats_run_beside_each_other_however_long_they_may_become(fake, request_of):
    engine = fake.engine(
        fake.FakeRunner(num_pages=728), max_sequences=16, context_length=8192, chunk_tokens=48
    )
    names = [str(index) for index in range(16)]
    for name in names:
        engine.add(request_of(name, [int(name)] * 40, 8192))  # 512 pages, were they all taken
    for _ in range(24):  # 640 tokens of prompts beside up to 16 streams
        engine.step()
    for _ in range(40):
        assert [o.request_id for o in engine.step() if o.tokens] == names
    for name in names:
        engine.abort(name)
    assert engine.stats().free_pages == 728


def test_a_paused_sequence_continues_as_if_it_had_not_paused(fake, request_of):
    runner = fake.FakeRunner(num_pages=10)
    engine = fake.engine(runner)
    for index in range(4):
        engine.add(request_of(str(index), [index] * 20, 100))
    outputs = run(engine)
    assert sum(len(step.sequence_starts) - 1 < 4 for step in runner.steps) > 100
    for index in range(4):
        assert tokens_of(outputs[str(index)]) == fake.generated([index] * 20, 100)


def test_a_paused_sequence_can_be_aborted_and_expires(fake, request_of):
    now = [100.0]
    engine = fake.engine(fake.FakeRunner(num_pages=9), clock=lambda: now[0])
    engine.add(request_of("oldest", [1] * 20, 100))
    engine.add(request_of("paused", [2] * 10, 100))
    engine.add(request_of("overdue", [3] * 10, 100, deadline=200.0))
    for _ in range(12):
        engine.step()
    assert [o.request_id for o in engine.step()] == ["oldest"]
    engine.abort("paused")
    now[0] = 200.0
    outputs = {o.request_id: o.finish_reason for o in engine.step()}
    assert outputs == {"paused": FinishReason.ABORT, "overdue": FinishReason.ABORT, "oldest": None}
    assert engine.stats().free_pages == 9 - 3
    run(engine)
    assert engine.stats().free_pages == 9


def test_a_request_whose_first_chunk_is_not_granted_is_not_overtaken(fake, request_of):
    engine = fake.engine(fake.FakeRunner(num_pages=9), chunk_tokens=64)
    engine.add(request_of("oldest", [1] * 20, 100))
    engine.step()
    engine.add(request_of("long", [2] * 20, 4))  # two pages, and one more is all that may be taken
    engine.add(request_of("short", [3], 4))
    engine.step()
    assert engine.stats().num_waiting == 2
    starts: list[str] = []
    for step in steps(engine):
        starts += [o.request_id for o in step if o.request_id not in starts]
    assert starts == ["oldest", "long", "short"]


def test_max_tokens_ends_with_length(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1, 2], 5))
    outputs = run(engine)["a"]
    assert len(tokens_of(outputs)) == 5
    assert reason_of(outputs) is FinishReason.LENGTH


def test_a_full_context_ends_with_length(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1] * 120, 5000))
    outputs = run(engine)["a"]
    assert len(tokens_of(outputs)) == fake.CONTEXT_LENGTH - 120
    assert reason_of(outputs) is FinishReason.LENGTH


def test_a_stop_token_is_the_last_token(fake, request_of):
    expected = fake.generated([1, 2, 3], 20)
    engine = fake.engine()
    engine.add(request_of("a", [1, 2, 3], 20, stop_token_ids=[expected[7]]))
    outputs = run(engine)["a"]
    assert tokens_of(outputs) == expected[: expected.index(expected[7]) + 1]
    assert reason_of(outputs) is FinishReason.STOP


def test_logprobs_are_of_the_token_and_its_best_rivals(fake, request_of):
    engine = fake.engine()
    sampling = SamplingParams(temperature=0.0, logprobs=3)
    engine.add(request_of("a", [4, 5], 2, sampling=sampling))
    [first, second] = [row for output in run(engine)["a"] for row in output.logprobs]
    expected = fake.log_softmax(fake.logits_after(np.array([4, 5])))
    assert first.logprob == pytest.approx(expected.max())
    assert first.top_tokens == np.argsort(-expected)[:3].tolist()
    assert first.top_tokens[0] == first.token
    assert len(second.top_logprobs) == 3


@given(prompts, st.integers(0, 2), st.integers(1, 16))
def test_prompt_logprobs_cover_every_token_but_the_first(
    fake, request_of, prompt, max_tokens, max_logit_rows
):
    runner = fake.FakeRunner(max_logit_rows=max_logit_rows)
    engine = fake.engine(runner, max_sequences=1)
    engine.add(request_of("a", prompt, max_tokens, prompt_logprobs=2))
    outputs = run(engine)["a"]
    rows = [row for output in outputs for row in output.prompt_logprobs or []]
    assert [row.token for row in rows] == prompt[1:]
    for end, row in enumerate(rows, start=1):
        expected = fake.log_softmax(fake.logits_after(np.array(prompt[:end])))
        assert row.logprob == pytest.approx(expected[prompt[end]])
        assert row.top_tokens == np.argsort(-expected)[:2].tolist()
    assert tokens_of(outputs) == fake.generated(prompt, max_tokens)


def test_max_tokens_0_only_reads_the_prompt(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1] * 100, 0))
    [output] = run(engine)["a"]
    assert (output.tokens, output.finish_reason) == ([], FinishReason.LENGTH)


@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_abort_frees_every_page_before_the_next_step(fake, request_of, steps):
    engine = fake.engine(chunk_tokens=32)
    engine.add(request_of("a", [1] * 90, 20))
    for _ in range(steps):
        engine.step()
    engine.abort("a")
    assert engine.stats().free_pages == engine.stats().total_pages
    assert [o.finish_reason for o in engine.step()] == [FinishReason.ABORT]
    assert not engine.has_work


def test_abort_of_an_unknown_request_is_no_error(fake):
    engine = fake.engine()
    engine.abort("never seen")
    assert not engine.has_work


def test_a_deadline_ends_running_and_waiting_requests(fake, request_of):
    now = [100.0]
    engine = fake.engine(max_sequences=1, clock=lambda: now[0])
    engine.add(request_of("running", [1], 50, deadline=101.0))
    engine.add(request_of("waiting", [1], 50, deadline=101.0))
    engine.step()
    now[0] = 101.0
    outputs = {o.request_id: o.finish_reason for o in engine.step()}
    assert outputs == {"running": FinishReason.ABORT, "waiting": FinishReason.ABORT}
    assert engine.stats().free_pages == engine.stats().total_pages


def test_the_queue_is_bounded_and_the_surplus_refused_at_once(fake, request_of):
    engine = fake.engine(max_sequences=4, max_waiting=32)
    refused = 0
    for index in range(100):
        try:
            engine.add(request_of(str(index), [1], 2))
        except QueueFull:
            refused += 1
    assert refused == 100 - 36
    assert len(run(engine)) == 36


def test_a_prompt_beyond_the_context_is_refused_with_numbers(fake, request_of):
    with pytest.raises(ContextLengthExceeded, match=r"prompt has 128 tokens.*context 128"):
        fake.engine().add(request_of("a", [1] * 128, 1))


def test_a_request_that_can_never_fit_is_refused_with_numbers(fake, request_of):
    engine = fake.engine(fake.FakeRunner(num_pages=4))
    with pytest.raises(RequestRejected, match=r"60 prompt tokens and max_tokens 5 .* 5 .* 4"):
        engine.add(request_of("a", [1] * 60, 5))
    engine.add(request_of("b", [1] * 60, 4))


def test_an_id_that_is_in_use_is_refused(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1]))
    with pytest.raises(RequestRejected, match="'a' is in use"):
        engine.add(request_of("a", [1]))


def test_an_aborted_id_is_free_once_its_ending_was_told(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1]))
    engine.abort("a")
    with pytest.raises(RequestRejected, match="in use"):
        engine.add(request_of("a", [2]))
    engine.step()
    engine.add(request_of("a", [2]))
    assert tokens_of(run(engine)["a"]) == fake.generated([2], 4)


def test_a_refused_step_ends_its_requests_and_no_others(fake, request_of):
    runner = fake.FakeRunner()
    engine = fake.engine(runner, max_sequences=1)
    engine.add(request_of("a", [1]))
    engine.add(request_of("b", [2]))
    runner.error = InferFluxError("the step was refused")
    [output] = engine.step()
    assert (output.request_id, output.finish_reason) == ("a", FinishReason.ERROR)
    assert (output.error, output.error_code) == ("the step was refused", "internal")
    assert engine.stats().free_pages == engine.stats().total_pages
    runner.error = None
    assert tokens_of(run(engine)["b"]) == fake.generated([2], 4)


def test_a_draining_engine_finishes_what_it_has(fake, request_of):
    engine = fake.engine(max_sequences=1)
    engine.add(request_of("a", [1]))
    engine.add(request_of("b", [2]))
    engine.drain()
    with pytest.raises(EngineFailed, match="draining"):
        engine.add(request_of("c", [3]))
    assert {name: reason_of(o) for name, o in run(engine).items()} == {
        "a": FinishReason.LENGTH,
        "b": FinishReason.LENGTH,
    }


def test_more_sequences_than_a_step_has_rows_are_refused(fake):
    with pytest.raises(InvalidArgument, match=r"max_sequences is 8.*room for 7"):
        fake.engine(fake.FakeRunner(max_logit_rows=7), max_sequences=8)


def test_a_long_stream_holds_no_more_of_a_windowed_group_than_its_window(fake, request_of):
    runner = fake.FakeRunner(num_pages=64, windows=(None, 40))
    runner.pools[1] = runner.pools[1][: 5 * PAGE_SIZE]  # 39 tokens and 16 more, wherever they begin
    engine = fake.engine(runner, max_sequences=2, chunk_tokens=16, context_length=900)
    engine.add(request_of("a", [1, 2, 3], 800))
    most = 0
    tokens: list[int] = []
    while engine.has_work:
        for output in engine.step():
            tokens += output.tokens
        pools = engine._kv.pools
        most = max(most, pools[1].num_pages - pools[1].num_free)
    assert tokens == fake.generated([1, 2, 3], 800)
    assert most == 4
    assert engine.stats().free_pages == engine.stats().total_pages


@given(prompts, st.integers(1, 100), st.none() | st.integers(1, 40))
def test_scores_do_not_depend_on_the_chunk(fake, prompt, chunk, window):
    engine = fake.engine(fake.FakeRunner(windows=(None, window)))
    scores = engine.score(prompt, chunk)
    contexts = (np.array(prompt[: end + 1]) for end in range(len(prompt)))
    expected = np.array([fake.log_softmax(fake.logits_after(context)) for context in contexts])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)
    assert engine.stats().free_pages == engine.stats().total_pages


def test_scoring_beside_a_stream_changes_neither(fake, request_of):
    engine = fake.engine()
    engine.add(request_of("a", [1, 2, 3], 20))
    engine.step()
    alone = fake.engine().score([4, 5, 6], 2)
    np.testing.assert_array_equal(engine.score([4, 5, 6], 2), alone)
    assert [fake.generated([1, 2, 3], 1)[0], *tokens_of(run(engine)["a"])] == fake.generated(
        [1, 2, 3], 20
    )


@pytest.mark.parametrize("ids", [[], [50], [-1], [1] * 129])
def test_ids_that_cannot_be_scored_are_refused(fake, ids):
    with pytest.raises(RequestRejected):
        fake.engine().score(ids, 1)
