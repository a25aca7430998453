"""Any order of submit, step, abort and finish, with pages for a few: all ends, none is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferflux.codegen.artifact.compiled import PAGE_SIZE
from inferflux.engine.errors import QueueFull, RequestRejected
from inferflux.engine.messages import FinishReason, Request, SamplingParams
from inferflux.engine.retention import pages_for

NUM_PAGES = (13, 9)  # of two groups; 6 may run, a full sequence takes 8 and at most 4 at once
WINDOWS = (None, 20)
CHUNK_TOKENS = 24


def make_machine(fake):
    class EngineMachine(RuleBasedStateMachine):
        """Every request gets the tokens it would get alone, or the first of them if aborted."""

        def __init__(self) -> None:
            super().__init__()
            self.runner = fake.FakeRunner(windows=WINDOWS)
            self.runner.pools = [np.full(count * PAGE_SIZE, -1, np.int32) for count in NUM_PAGES]
            self.engine = fake.engine(
                self.runner, max_sequences=6, max_waiting=2, chunk_tokens=CHUNK_TOKENS
            )
            self.open: dict[str, Request] = {}
            self.tokens: dict[str, list[int]] = {}
            self.num_requests = 0

        @rule(
            prompt=st.lists(st.integers(0, 48), min_size=1, max_size=120),
            max_tokens=st.integers(0, 40) | st.just(10**9),
            prompt_logprobs=st.sampled_from((None, 0, 2)),
        )
        def submit(self, prompt, max_tokens, prompt_logprobs):
            self.num_requests += 1
            name = str(self.num_requests)
            greedy = SamplingParams(temperature=0.0)
            request = Request(name, prompt, max_tokens, greedy, prompt_logprobs=prompt_logprobs)
            before = self.engine.stats()
            try:
                self.engine.add(request)
            except QueueFull:
                assert len(self.open) == 8
                assert self.engine.stats() == before
                return
            self.open[name] = request
            self.tokens[name] = []

        @precondition(lambda self: self.open)
        @rule(data=st.data())
        def submit_again(self, data):
            name = data.draw(st.sampled_from(sorted(self.open)))
            try:
                self.engine.add(self.open[name])
            except (RequestRejected, QueueFull):
                return
            raise AssertionError("an id in use was accepted")

        @rule(times=st.integers(1, 6))
        def step(self, times):
            for _ in range(times):
                for output in self.advance():
                    self.read(output)

        @precondition(lambda self: self.open)
        @rule(data=st.data())
        def abort(self, data):
            name = data.draw(st.sampled_from(sorted(self.open)))
            self.engine.abort(name)
            ended = {o.request_id: o.finish_reason for o in self.advance() if not self.read(o)}
            assert ended[name] is FinishReason.ABORT

        @property
        def running(self):
            return list(self.engine._scheduler._running.values())

        def advance(self):
            """Step; the oldest sequence never pauses."""
            before = [(sequence, sequence.num_computed_tokens) for sequence in self.running[:1]]
            outputs = self.engine.step()
            for oldest, num_computed in before:
                assert oldest.num_computed_tokens > num_computed
            return outputs

        def read(self, output) -> bool:
            name = output.request_id
            request = self.open[name]
            self.tokens[name] += output.tokens
            made = self.tokens[name]
            assert made == fake.generated(request.prompt, len(made))
            if output.finish_reason is FinishReason.LENGTH:
                room = fake.CONTEXT_LENGTH - len(request.prompt)
                assert len(made) == min(request.max_tokens, room)
            if output.finish_reason is not None:
                del self.open[name]
            return output.finish_reason is None

        @invariant()
        def a_page_has_at_most_one_owner(self):
            for group, pool in enumerate(self.engine._kv.pools):
                owned = [page for sequence in self.running for page in sequence.held[group].pages]
                assert len(owned) == len(set(owned))
                assert pool.num_free == NUM_PAGES[group] - len(owned)

        @invariant()
        def pages_are_held_for_what_is_computed_and_still_seen_and_no_more(self):
            for sequence in self.running:
                num_computed = sequence.num_computed_tokens
                unseen = max(0, num_computed + 1 - WINDOWS[1]) // PAGE_SIZE
                assert [held.first for held in sequence.held] == [0, unseen]
                assert [held.end for held in sequence.held] == [pages_for(num_computed)] * 2

        @invariant()
        def all_can_finish_in_the_order_of_their_age(self):
            for group, pool in enumerate(self.engine._kv.pools):
                available = pool.num_free
                for sequence in self.running:
                    num_held = sequence.num_held[group]
                    assert sequence.most_pages[group] - num_held <= available
                    available += num_held

        def teardown(self):
            lengths = (len(r.prompt) + r.max_tokens for r in self.open.values())
            self.step(1 + sum(min(length, fake.CONTEXT_LENGTH) for length in lengths))
            stats = self.engine.stats()
            assert not self.open
            assert not self.engine.has_work
            assert stats.free_pages == stats.total_pages == sum(NUM_PAGES)
            assert (stats.num_running, stats.num_waiting) == (0, 0)

    return EngineMachine


def test_no_order_of_events_loses_a_page_or_changes_a_token(fake):
    from hypothesis.stateful import run_state_machine_as_test

    limits = settings(max_examples=40, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(make_machine(fake), settings=limits)
