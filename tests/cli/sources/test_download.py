"""Downloads from servers that break off, lie, redirect, stall and change their minds."""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from inferflux.cli.sources.download import Downloaded, Remote, download
from inferflux.cli.sources.source import DiskFull, PullFailed, PullInterrupted, RetryPolicy

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several attempts, each of which brings enough
MB = 1 << 20


@pytest.fixture
def fetch(tmp_path: Path, hasty: RetryPolicy):
    def fetch(url: str, **known: object) -> Downloaded | None:
        return download(Remote(url, **known), tmp_path / "m.gguf", hasty, lambda *_: None)

    return fetch


def was_right(downloaded: Downloaded | None) -> bool:
    assert downloaded is not None
    found = downloaded.file
    digest = hashlib.sha256(CONTENT).hexdigest()
    return (found.path.read_bytes(), found.nbytes, found.sha256) == (CONTENT, len(CONTENT), digest)


def test_a_file_comes_whole_with_its_digest_and_validator(fetch, loopback):
    downloaded = fetch(loopback.on("/m", loopback.file(CONTENT)))
    assert was_right(downloaded)
    assert downloaded.validator == '"a"'


def test_progress_is_the_share_of_what_was_announced(tmp_path, hasty, loopback):
    heard: list[tuple[str, float]] = []
    url = loopback.on("/m", loopback.file(CONTENT))
    download(Remote(url), tmp_path / "m.gguf", hasty, lambda *said: heard.append(said))
    assert {stage for stage, _ in heard} == {"download m.gguf (4.9 MB)"}
    fractions = [fraction for _, fraction in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_what_breaks_off_goes_on_where_it_was(fetch, loopback):
    assert was_right(
        fetch(loopback.on("/m", loopback.broken(CONTENT, 2 * MB), loopback.file(CONTENT)))
    )
    assert loopback.ranges() == [None, f"bytes={2 * MB}-"]
    assert loopback.asked[1][1]["If-Range"] == '"a"'


def test_a_later_download_goes_on_where_an_earlier_one_gave_up(fetch, loopback, tmp_path):
    url = loopback.on("/m", loopback.broken(CONTENT, 1000), loopback.status(503))
    with pytest.raises(PullInterrupted, match="gave up after 3 attempts in a row; 1000 bytes are"):
        fetch(url)
    assert not (tmp_path / "m.gguf").exists()
    loopback.on("/m", loopback.file(CONTENT))
    assert was_right(fetch(url))
    assert loopback.ranges()[-1] == "bytes=1000-"


def test_attempts_that_bring_something_are_not_counted_together(fetch, loopback):
    """More breaks than attempts: each attempt but one brings a megabyte, and the count restarts."""

    def goes_on_for_a_megabyte(handler):
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        loopback.begin(handler, 206, length=len(CONTENT) - start, etag='"a"', Content_Range=where)
        handler.wfile.write(CONTENT[start : start + MB])

    assert was_right(fetch(loopback.on("/m", loopback.broken(CONTENT, MB), goes_on_for_a_megabyte)))
    assert len(loopback.asked) == 5


def test_a_stall_is_a_break(fetch, loopback):
    url = loopback.on("/m", loopback.stall(CONTENT, 2 * MB), loopback.file(CONTENT))
    assert was_right(fetch(url))
    assert loopback.ranges()[1] is not None


def test_a_server_that_only_stalls_is_given_up(fetch, loopback):
    with pytest.raises(PullInterrupted, match="timed out"):
        fetch(loopback.on("/m", loopback.stall(CONTENT, 0)))


def test_a_server_that_ignores_ranges_is_taken_from_the_beginning(fetch, loopback):
    whole = loopback.announced(CONTENT, len(CONTENT))
    assert was_right(fetch(loopback.on("/m", loopback.broken(CONTENT, 2 * MB), whole)))
    assert loopback.ranges() == [None, f"bytes={2 * MB}-"]


def test_a_file_that_changed_between_is_fetched_anew(fetch, loopback):
    old = loopback.broken(CONTENT[::-1], 2 * MB, etag='"old"')
    assert was_right(fetch(loopback.on("/m", old, loopback.file(CONTENT, etag='"new"'))))


def test_a_part_of_another_file_is_not_appended(fetch, loopback):
    """The server has another file by now and ignores `If-Range`."""

    def part_of_another(handler):
        where = f"bytes {2 * MB}-{len(CONTENT) - 1}/{len(CONTENT)}"
        length = len(CONTENT) - 2 * MB
        loopback.begin(handler, 206, length=length, etag='"b"', Content_Range=where)
        handler.wfile.write(CONTENT[::-1][2 * MB :])

    answers = loopback.broken(CONTENT, 2 * MB), part_of_another, loopback.file(CONTENT)
    assert was_right(fetch(loopback.on("/m", *answers)))
    assert loopback.ranges() == [None, f"bytes={2 * MB}-", None]


@pytest.mark.parametrize("where", ["bytes 0-99/5120000", "bytes 5-4/3", "octets", None])
def test_a_range_that_was_not_asked_for_is_not_taken(fetch, loopback, where: str | None):
    def other_range(handler):
        loopback.begin(handler, 206, length=100, **({"Content_Range": where} if where else {}))
        handler.wfile.write(bytes(100))

    assert was_right(fetch(loopback.on("/m", other_range, loopback.file(CONTENT))))


def test_a_range_past_the_end_begins_anew(fetch, loopback):
    assert was_right(
        fetch(
            loopback.on(
                "/m", loopback.broken(CONTENT, MB), loopback.status(416), loopback.file(CONTENT)
            )
        )
    )


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_nothing_is_resumed(fetch, loopback, etag: str | None):
    url = loopback.on("/m", loopback.broken(CONTENT, 2 * MB, etag), loopback.file(CONTENT, etag))
    assert was_right(fetch(url))
    assert loopback.ranges() == [None, None]


def test_no_more_is_written_than_was_announced(fetch, loopback):
    downloaded = fetch(loopback.on("/m", loopback.announced(CONTENT, 1000)))
    assert downloaded is not None
    assert downloaded.file.path.read_bytes() == CONTENT[:1000]


def test_where_nothing_is_announced_no_more_is_written_than_is_known(fetch, loopback):
    downloaded = fetch(loopback.on("/m", loopback.announced(CONTENT, None)), nbytes=1000)
    assert downloaded is not None
    assert downloaded.file.path.read_bytes() == CONTENT[:1000]


def test_a_server_that_announces_too_much_is_given_up(fetch, loopback, tmp_path):
    """All it has comes again and again; it is never called whole."""
    with pytest.raises(PullInterrupted, match=r"broke off after 1000 of 2000 bytes"):
        fetch(loopback.on("/m", loopback.announced(CONTENT[:1000], 2000, etag=None)))
    assert not (tmp_path / "m.gguf").exists()


def test_a_length_that_is_not_said_or_not_as_expected_is_refused(fetch, loopback):
    with pytest.raises(PullFailed, match="does not say how long it is"):
        fetch(loopback.on("/m", loopback.announced(CONTENT, None)))
    with pytest.raises(PullFailed, match="announced with 5120000 bytes, expected 7"):
        fetch(loopback.on("/m", loopback.file(CONTENT)), nbytes=7)
    with pytest.raises(PullFailed, match="is empty"):
        fetch(loopback.on("/m", loopback.file(b"")))


def test_an_encoding_nobody_asked_for_is_refused(fetch, loopback):
    with pytest.raises(PullFailed, match="comes encoded as 'gzip', unasked"):
        fetch(
            loopback.on("/m", lambda h: loopback.begin(h, 200, length=5, Content_Encoding="gzip"))
        )


def test_what_is_kept_is_not_fetched_again(fetch, loopback):
    assert fetch(loopback.on("/m", loopback.file(CONTENT)), kept='"a"') is None
    assert was_right(fetch(loopback.url + "/m", kept='"older"'))


def test_a_server_that_says_unasked_that_nothing_changed_is_not_believed(fetch, loopback):
    with pytest.raises(PullInterrupted, match="nothing changed, unasked"):
        fetch(loopback.on("/m", loopback.status(304)))


def test_a_file_that_is_whole_already_is_asked_about_but_not_fetched(fetch, loopback):
    url = loopback.on("/m", loopback.file(CONTENT))
    fetch(url)
    assert was_right(fetch(url))
    assert loopback.asked[1][1]["If-None-Match"] == '"a"'


@pytest.mark.parametrize(
    ("status", "said", "requests"),
    [
        (404, "answers 404 Not Found", 1),
        (401, "answers 401 Unauthorized", 1),
        (503, "answers 503 .*; gave up after 3 attempts in a row; nothing came", 3),
    ],
)
def test_only_what_may_pass_is_tried_again(fetch, loopback, status: int, said: str, requests: int):
    with pytest.raises(PullFailed, match=said):
        fetch(loopback.on("/m", loopback.status(status)))
    assert len(loopback.asked) == requests


def test_waits_double_and_are_as_long_as_the_server_asks(tmp_path, loopback):
    waits: list[float] = []
    policy = RetryPolicy(attempts=4, first_wait=0.5, timeout=1, sleep=waits.append)
    url = loopback.on(
        "/m", loopback.status(503), loopback.status(429, Retry_After="7"), loopback.status(503)
    )
    with pytest.raises(PullInterrupted):
        download(Remote(url), tmp_path / "m.gguf", policy, lambda *_: None)
    assert waits == [0.5, 7.0, 2.0]


def test_redirects_are_followed_and_what_is_resumed_is_the_same_file(fetch, loopback):
    loopback.on("/there", loopback.broken(CONTENT, 2 * MB), loopback.file(CONTENT))
    assert was_right(fetch(loopback.on("/m", loopback.redirect("/there"))))
    assert [path for path, _ in loopback.asked] == ["/m", "/there", "/m", "/there"]


def test_a_key_stays_with_its_server(fetch, loopback):
    key = {"Authorization": "Bearer secret"}
    elsewhere = loopback.url.replace("127.0.0.1", "localhost") + "/there"
    loopback.on("/there", loopback.file(CONTENT))
    assert was_right(fetch(loopback.on("/m", loopback.redirect(elsewhere)), headers=key))
    assert ["Authorization" in headers for _, headers in loopback.asked] == [True, False]


def test_a_disk_that_has_no_room_is_said_before_the_first_byte(
    fetch, loopback, monkeypatch: pytest.MonkeyPatch
):
    room = SimpleNamespace(free=1000)
    monkeypatch.setattr("inferflux.cli.sources.partial.shutil.disk_usage", lambda path: room)
    with pytest.raises(DiskFull, match=r"takes 5120000 bytes more and .* has 1000; free some"):
        fetch(loopback.on("/m", loopback.file(CONTENT)))


def test_a_disk_that_fills_up_is_said_with_what_is_kept(fetch, loopback, tmp_path):
    """No file may grow past two megabytes, as on a disk with so much room."""
    url = loopback.on("/m", loopback.file(CONTENT))
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MB, hard))
    try:
        with pytest.raises(DiskFull, match=r"is full after \d+ bytes .* pull again, it goes on"):
            fetch(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert was_right(fetch(url))
    assert loopback.ranges()[1] is not None
