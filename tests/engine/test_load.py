"""Loading: what is handed to a runner, and what keeps an engine from coming up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from inferflux.engine import load
from inferflux.engine import loading as loading_module
from inferflux.engine.config import EngineConfig
from inferflux.engine.runtime import NoRuntime, make_runner
from inferflux.errors import InvalidArgument


@dataclass
class Loading:
    """An artifact that is not there, and the runner that was made of it."""

    page_bytes: int
    runner: object = None
    given: dict = field(default_factory=dict)


@pytest.fixture
def loading(fake, monkeypatch):
    """``load`` up to the device: a stub for the artifact's reader, a fake for the runner."""
    group = fake.FakeRunner().kv_groups[0]
    made = Loading(group.page_bytes)
    target = SimpleNamespace(name="cpu:fake", kv_groups=(group, group))
    facts = SimpleNamespace(context_length=fake.CONTEXT_LENGTH)
    loaded = SimpleNamespace(digest="d", facts=facts, target=target, weights=None)

    def make(facts, target, weights, **given):
        made.given = given
        made.runner = fake.FakeRunner(given["num_pages"][0], num_groups=2, max_logit_rows=64)
        return made.runner

    monkeypatch.setattr(loading_module.artifacts, "load_target", lambda *_: loaded)
    monkeypatch.setattr(loading_module, "make_runner", make)
    return made


def config(**more):
    return EngineConfig(Path("a.ifx"), max_sequences=4, chunk_tokens=40, **more)


def test_the_pool_is_divided_and_the_model_warmed(loading, request_of):
    engine = load(config(kv_bytes=20 * loading.page_bytes, num_workers=3))
    assert loading.given["num_pages"] == (10, 10)
    assert loading.given["num_workers"] == 3
    assert [len(step.tokens) for step in loading.runner.steps] == [1]
    stats = engine.stats()
    assert stats.free_pages == stats.total_pages == 20
    assert not engine.has_work
    engine.add(request_of("warm", [1]))  # the id is free again


def test_a_pool_of_one_page_is_enough_to_be_warmed(loading):
    load(config(kv_bytes=2 * loading.page_bytes))
    assert [len(step.tokens) for step in loading.runner.steps] == [1]


def test_a_pool_without_a_page_is_refused_with_numbers(loading):
    with pytest.raises(InvalidArgument, match=f"kv_bytes is 9: .* takes {2 * loading.page_bytes}"):
        load(config(kv_bytes=9))


def test_a_device_without_a_runtime_is_refused_by_name():
    target = SimpleNamespace(name="abacus:wood")
    with pytest.raises(NoRuntime, match=r"abacus:wood: no runtime for abacus, only \['cpu'\]"):
        make_runner(
            None, target, None, num_workers=1, num_pages=(1,), max_sequences=1, max_logit_rows=1
        )
