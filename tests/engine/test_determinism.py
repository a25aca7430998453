"""One sequence that asks for batch invariance is enough for its whole step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferflux.engine.determinism import Determinism

DEFAULT, INVARIANT = Determinism


def run(engine):
    while engine.has_work:
        engine.step()


def asked(runner):
    return [inputs.determinism for inputs in runner.steps]


@given(st.lists(st.sampled_from(Determinism), min_size=1, max_size=8), st.data())
def test_a_step_is_invariant_if_any_of_its_sequences_asks(fake, request_of, choices, data):
    runner = fake.FakeRunner()
    engine = fake.engine(runner)
    for index, choice in enumerate(choices):
        length = data.draw(st.integers(1, 40))
        engine.add(request_of(str(index), [index] * length, max_tokens=0, determinism=choice))
    run(engine)
    for inputs in runner.steps:
        of_sequences = {choices[index] for index in inputs.tokens}  # a token is its request's index
        assert inputs.determinism is (INVARIANT if INVARIANT in of_sequences else DEFAULT)


def test_a_request_leaves_the_steps_after_it_as_they_were(fake, request_of):
    runner = fake.FakeRunner()
    engine = fake.engine(runner)
    engine.add(request_of("default", [1], 5))
    engine.add(request_of("invariant", [2], 2, determinism=INVARIANT))
    run(engine)
    assert asked(runner) == [INVARIANT] * 2 + [DEFAULT] * 3


def test_an_engine_may_be_invariant_for_all(fake, request_of):
    runner = fake.FakeRunner()
    engine = fake.engine(runner, determinism=INVARIANT)
    engine.add(request_of("a", [1], 3))
    run(engine)
    engine.score([1, 2, 3], chunk=2)
    assert set(asked(runner)) == {INVARIANT}
    assert engine.hello().determinism is INVARIANT


@pytest.mark.parametrize("determinism", Determinism)
def test_scores_are_computed_as_asked(fake, determinism):
    runner = fake.FakeRunner()
    fake.engine(runner).score([1, 2, 3], 2, determinism)
    assert asked(runner) == [determinism] * 2
