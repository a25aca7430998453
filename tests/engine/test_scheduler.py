"""Any order of submit, step, abort and finish: no page is lost, and none has two owners."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferflux.engine.errors import QueueFull, RequestRejected
from inferflux.engine.messages import FinishReason, Request, SamplingParams

NUM_PAGES = 16


def make_machine(fake):
    class EngineMachine(RuleBasedStateMachine):
        """Every request gets the tokens it would get alone, or the first of them if aborted."""

        def __init__(self) -> None:
            super().__init__()
            self.runner = fake.FakeRunner(num_pages=NUM_PAGES, num_groups=2)
            self.engine = fake.engine(self.runner, max_sequences=4, max_waiting=4, chunk_tokens=24)
            self.open: dict[str, Request] = {}
            self.tokens: dict[str, list[int]] = {}
            self.num_requests = 0

        @rule(
            prompt=st.lists(st.integers(0, 48), min_size=1, max_size=120),
            max_tokens=st.integers(0, 40),
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
                for output in self.engine.step():
                    self.read(output)

        @precondition(lambda self: self.open)
        @rule(data=st.data())
        def abort(self, data):
            name = data.draw(st.sampled_from(sorted(self.open)))
            self.engine.abort(name)
            ended = {o.request_id: o.finish_reason for o in self.engine.step() if not self.read(o)}
            assert ended[name] is FinishReason.ABORT

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
            running = self.engine._scheduler._running.values()
            for group, pool in enumerate(self.engine._kv.pools):
                owned = [page for sequence in running for page in sequence.pages[group]]
                assert len(owned) == len(set(owned))
                assert pool.num_free == NUM_PAGES - len(owned)

        def teardown(self):
            for _ in range(1000):
                if not self.engine.has_work:
                    break
                self.step(1)
            stats = self.engine.stats()
            assert not self.open
            assert stats.free_pages == stats.total_pages == 2 * NUM_PAGES
            assert (stats.num_running, stats.num_waiting) == (0, 0)

    return EngineMachine


def test_no_order_of_events_loses_a_page_or_changes_a_token(fake):
    from hypothesis.stateful import run_state_machine_as_test

    limits = settings(max_examples=40, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(make_machine(fake), settings=limits)
