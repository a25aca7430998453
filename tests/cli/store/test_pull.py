"""A pull is checked and whole, or it changes nothing; of two at once one fetches."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from inferflux.cli import store
from inferflux.cli.sources.source import PullFailed, PullInterrupted
from inferflux.cli.store import UnknownModel
from inferflux.errors import InferFluxError, InvalidArgument

NAME = "tiny-1.0"
WHOLE = [".model.json", "blob", "tiny.gguf"]
LONGEST = 10.0
EMPTY = b'{"format": 1, "source": "", "revision": "", "files": []}'


@pytest.fixture
def content(tiny_gguf) -> bytes:
    return tiny_gguf(name="tiny.gguf").read_bytes()


@pytest.fixture
def pull(cache: Path, heard, hasty):
    def pull(source: str, **options: str) -> store.StoredModel:
        return store.pull(source, heard.stage, policy=hasty, **options)

    return pull


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_url_becomes_a_model_of_the_store(pull, loopback, content, cache, left_behind):
    model = pull(loopback.on("/d/Tiny-Model.gguf", loopback.file(content)) + "?key=secret")
    assert model.name == "tiny-model"
    assert model.path == cache / "models" / "tiny-model" / "Tiny-Model.gguf"
    assert model.path.read_bytes() == content
    assert model.revision == '"a"'
    assert model.source == f"{loopback.url}/d/Tiny-Model.gguf"
    assert (model.nbytes, model.digest) == (len(content), digest(content))
    assert store.models() == [model]
    assert left_behind() == [".model.json", "Tiny-Model.gguf", "blob"]
    assert "secret" not in (model.path.parent / ".model.json").read_text()


def test_an_interrupted_pull_leaves_no_model_and_no_key_and_the_next_goes_on(
    pull, loopback, content, left_behind, cache
):
    url = loopback.on("/tiny.gguf", loopback.broken(content, 5000), loopback.status(503))
    with pytest.raises(PullInterrupted, match="5000 bytes are kept"):
        pull(f"{url}?key=secret")
    assert all(
        b"secret" not in path.read_bytes()
        for path in (each for each in cache.rglob("*") if each.is_file())
    )
    assert store.models() == []
    loopback.on("/tiny.gguf", loopback.file(content))
    assert pull(f"{url}?key=secret").path.read_bytes() == content
    assert loopback.ranges()[-1] == "bytes=5000-"
    assert left_behind() == WHOLE


@pytest.mark.parametrize("failure", [404, 503])
def test_a_server_that_fails_for_a_while_costs_nothing_that_came(
    pull, loopback, content, failure: int
):
    url = loopback.on("/tiny.gguf", loopback.broken(content, 5000), loopback.status(failure))
    for _ in range(2):
        with pytest.raises(PullFailed, match=str(failure)):
            pull(url)
    loopback.on("/tiny.gguf", loopback.file(content))
    assert pull(url).path.read_bytes() == content
    assert loopback.ranges()[-1] == "bytes=5000-"


def test_a_pull_that_is_ended_by_hand_goes_on_the_next_time(cache, loopback, hasty, left_behind):
    content = b"GGUF" + bytes(3 << 20)
    url = loopback.on("/tiny.gguf", loopback.file(content))

    def control_c(stage: str, fraction: float) -> None:
        if 0.3 < fraction < 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.pull(url, control_c)
    assert store.models() == []
    assert store.pull(url, lambda *_: None).path.read_bytes() == content
    assert loopback.ranges()[-1] is not None
    assert left_behind() == WHOLE


def test_a_process_that_is_killed_leaves_what_the_next_goes_on_with(
    cache, loopback, hasty, left_behind
):
    content = b"GGUF" + bytes(3 << 20)
    url = loopback.on("/tiny.gguf", loopback.stall(content, 1 << 20), loopback.file(content))
    program = f"from inferflux.cli import store; store.pull({url!r}, lambda *said: print(said))"
    killed = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE)
    try:
        assert killed.stdout is not None
        assert b"download tiny.gguf" in killed.stdout.readline()  # its first bytes are written
    finally:
        killed.kill()
        killed.communicate(timeout=LONGEST)
    assert store.models() == []
    pulled = store.pull(url, lambda *_: None, policy=hasty)
    assert pulled.path.read_bytes() == content
    assert loopback.ranges()[-1] is not None
    assert left_behind() == WHOLE


def test_a_place_without_a_model_leaves_nothing_behind(pull, loopback, left_behind):
    with pytest.raises(PullFailed, match="404"):
        pull(loopback.url + "/tiny.gguf")
    assert left_behind() == []


@pytest.mark.parametrize("wrong", [b"GGUF" + bytes(996), b""])
def test_a_wrong_checksum_leaves_nothing_behind(pull, loopback, content, left_behind, wrong: bytes):
    """Wrong bytes of another size, and of the very size."""
    served = wrong or content[:-1] + bytes([content[-1] ^ 1])
    url = loopback.on("/tiny.gguf", loopback.file(served))
    with pytest.raises(PullFailed, match=r"tiny has sha256 .*, not .*; it was changed on the way"):
        pull(url, sha256=digest(content))
    assert left_behind() == []


def test_what_is_no_model_file_leaves_nothing_behind(pull, loopback, left_behind):
    url = loopback.on("/tiny.gguf", loopback.file(b"<!DOCTYPE html> please log in"))
    with pytest.raises(PullFailed, match=r"tiny.gguf is no GGUF file: it begins with b'<!DOCTYPE'"):
        pull(url)
    assert left_behind() == []


def test_a_second_pull_asks_and_fetches_nothing(pull, loopback, content):
    url = loopback.on("/tiny.gguf", loopback.file(content))
    assert pull(url) == pull(url)
    assert loopback.asked[1][1]["If-None-Match"] == '"a"'


def test_a_changed_file_replaces_the_one_that_is_kept(pull, loopback, content):
    url = loopback.on("/tiny.gguf", loopback.file(b"GGUF older", '"old"'))
    pull(url)
    loopback.on("/tiny.gguf", loopback.file(content, '"new"'))
    assert pull(url).path.read_bytes() == content


def test_a_kept_model_of_another_digest_than_asked_for_stays_and_is_named(pull, loopback, content):
    url = loopback.on("/tiny.gguf", loopback.file(content))
    kept = pull(url)
    with pytest.raises(PullFailed, match="tiny has sha256"):
        pull(url, sha256="0" * 64)
    assert store.models() == [kept]


def test_a_damaged_model_is_fetched_again(pull, loopback, content):
    url = loopback.on("/tiny.gguf", loopback.file(content))
    pull(url).path.resolve().write_bytes(bytes(len(content)))
    assert pull(url).path.read_bytes() == content


@pytest.fixture
def two_at_once(cache, loopback, content):
    """Two pulls of one URL: the first is answered when the second says that it waits."""
    arrived, waiting = threading.Event(), threading.Event()

    def slowly(handler) -> None:
        arrived.set()
        assert waiting.wait(LONGEST)
        loopback.file(content)(handler)

    def second(stage: str, fraction: float) -> None:
        if stage == "wait for another pull":
            waiting.set()

    def both(**of_second: str) -> list[Future[store.StoredModel]]:
        url = loopback.on("/tiny.gguf", slowly)
        with ThreadPoolExecutor() as pool:
            one = pool.submit(store.pull, url, lambda *_: None)
            assert arrived.wait(LONGEST)
            return [one, pool.submit(store.pull, url, second, **of_second)]

    return both


def test_of_two_pulls_at_once_one_fetches_and_the_other_says_that_it_waits(
    two_at_once, loopback, left_behind
):
    one, other = two_at_once()
    assert one.result() == other.result()
    assert len(loopback.asked) == 1
    assert left_behind() == WHOLE


def test_who_waited_still_gets_what_was_asked_for_or_nothing(two_at_once, left_behind):
    one, other = two_at_once(sha256="0" * 64)
    assert one.result().name == "tiny"
    assert isinstance(other.exception(), PullFailed)
    assert left_behind() == WHOLE


def test_two_names_of_one_content_are_one_file(pull, loopback, content, left_behind):
    url = loopback.on("/tiny.gguf", loopback.file(content))
    first, second = pull(url), pull(url, name="other")
    assert first.path.resolve() == second.path.resolve()
    assert left_behind().count("blob") == 1


def test_all_parts_of_a_split_file_are_pulled_and_those_that_came_are_not_pulled_twice(
    pull, loopback
):
    parts = {f"/t-0000{n}-of-00002.gguf": b"GGUF part %d" % n for n in (1, 2)}
    first, second = parts
    loopback.on(first, loopback.file(parts[first]))
    url = loopback.on(second, loopback.status(503))
    with pytest.raises(PullInterrupted):
        pull(url)
    loopback.on(second, loopback.file(parts[second]))
    model = pull(url)
    assert model.name == "t"
    assert model.path.name == first[1:]
    assert [(model.path.parent / f.name).read_bytes() for f in model.files] == [*parts.values()]
    assert loopback.asked[-2][1]["If-None-Match"] == '"a"'
    listed = "".join(f"{file.sha256}  {file.name}\n" for file in model.files)
    assert model.digest == digest(listed.encode())


def test_a_name_is_not_taken_over_by_another_source(pull, loopback, content, tiny_gguf):
    pull(loopback.on("/tiny.gguf", loopback.file(content)))
    with pytest.raises(InvalidArgument, match=r"tiny is in the store, from http.*--as.*rm tiny"):
        pull(str(tiny_gguf(name="tiny.gguf", seed=1)))


@pytest.mark.parametrize(
    "name", ["", "../up", "/etc", ".hidden", "-rf", "A", "a/b", "a.gguf", "a.ifx", "a" * 65, "a\n"]
)
def test_a_name_is_a_plain_word(pull, tiny_gguf, name: str, left_behind):
    with pytest.raises(InvalidArgument, match="is no name for a model"):
        pull(str(tiny_gguf()), name=name)
    assert left_behind() == []


def test_a_known_name_is_only_for_what_it_is_known_for(publish, pull, tiny_gguf):
    publish()
    own, other = tiny_gguf(name="tiny.gguf"), tiny_gguf(name="other.gguf", seed=1)
    with pytest.raises(PullFailed, match=f"{NAME} has sha256"):
        pull(str(other), name=NAME)
    kept = pull(str(own), name=NAME)
    assert pull(NAME) == kept


def test_an_unknown_word_is_no_source(pull):
    with pytest.raises(
        UnknownModel, match="no model 'smollm3' to pull: it is no path; known names"
    ):
        pull("smollm3")


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b'{"format": 2}', b'{"format":1,"files":[{}]}', EMPTY]
)
def test_a_damaged_record_is_as_good_as_none(pull, loopback, content, damage: bytes):
    url = loopback.on("/tiny.gguf", loopback.file(content))
    model = pull(url)
    (model.path.parent / ".model.json").write_bytes(damage)
    assert store.models() == []
    assert pull(url) == model


@pytest.mark.parametrize("field", ["name", "sha256"])
def test_a_record_cannot_lead_out_of_the_store(pull, loopback, content, cache, field: str):
    model = pull(loopback.on("/tiny.gguf", loopback.file(content)))
    record = model.path.parent / ".model.json"
    facts = json.loads(record.read_text())
    facts["files"][0][field] = "/../../../secret.gguf"
    record.write_text(json.dumps(facts))
    assert store.models() == []
    kept = cache / "secret.gguf"
    kept.write_bytes(b"kept")
    with suppress(InferFluxError):
        store.remove("tiny")
    assert kept.exists()


def test_every_failure_has_a_code(pull, tmp_path):
    with pytest.raises(InferFluxError) as failed:
        pull(f"s3://{tmp_path}")
    assert failed.value.code == "pull_failed"
    assert "is no source; write hf:" in str(failed.value)
