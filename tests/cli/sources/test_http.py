"""Which URLs may be opened, and where redirects may lead."""

from __future__ import annotations

import pytest

from inferflux.cli.sources.http import open_url, require_allowed, without_secrets
from inferflux.cli.sources.http import require_redirect_allowed as require_redirect
from inferflux.cli.sources.source import PullFailed


@pytest.mark.parametrize("url", ["https://h/m.gguf", "http://127.0.0.1:8/m", "http://[::1]/m"])
def test_https_and_this_machine_are_opened(url: str):
    require_allowed(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h/m.gguf", "anybody on the way can change; use https"),
        ("http://127.0.0.1.h/m", "anybody on the way can change"),
        ("ftp://h/m", "only https: URLs"),
        ("file:///etc/passwd", "only https: URLs"),
        ("https:///m", "only https: URLs"),
        ("https://me:secret@h/m", "https://h/m: a URL with a user name in it is not taken"),
        ("https://h:99999/m", "is no URL"),
        ("https://[::1/m", "is no URL"),
        ("https://h/a b", "is no URL"),
        ("https://h/a\r\nX: y", "is no URL"),
    ],
)
def test_everything_else_is_refused_by_name(url: str, said: str):
    with pytest.raises(PullFailed, match=said) as refused:
        require_allowed(url)
    assert "secret" not in str(refused.value)


def test_a_redirect_may_not_leave_https():
    require_redirect("https://a/m", "https://b/m")
    require_redirect("http://127.0.0.1/m", "https://b/m")
    with pytest.raises(PullFailed, match=r"redirects from https to http://127.0.0.1/m: refused"):
        require_redirect("https://a/m", "http://127.0.0.1/m")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://elsewhere.example/m", "is http, which anybody on the way can change"),
        ("file:///etc/passwd", "only https: URLs"),
        ("/m", "redirects more than 5 times"),
        ("", "redirects more than 5 times"),
    ],
)
def test_a_redirect_to_where_nothing_is_pulled_from_is_refused(loopback, target: str, said: str):
    with pytest.raises(PullFailed, match=said):
        open_url(loopback.on("/m", loopback.redirect(target)), {}, timeout=1)
    assert len(loopback.asked) <= 6


def test_keys_in_a_query_are_not_repeated():
    assert without_secrets("https://me:pw@h:8/a/b.gguf?key=1#x") == "https://h:8/a/b.gguf"
