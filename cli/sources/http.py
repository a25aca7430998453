"""Opening a URL: which may be opened, where they may redirect to, and what an answer may say.

The standard library's client speaks the protocol: a model can be pulled with nothing installed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from inferflux.cli.sources.source import PullFailed

MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT: Final = 60.0  # seconds that a server may ask for

Headers = Message  # as both kinds of answer have them


class Interrupted(Exception):
    """A request that failed, or an answer that broke off, in a way that may pass."""

    def __init__(self, problem: str, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class _NoRedirects(HTTPRedirectHandler):
    """Gives redirects to the caller: the library would follow from https to http."""

    def redirect_request(self, *_: object) -> None:
        return None


def open_url(url: str, headers: Mapping[str, str], timeout: float) -> HTTPResponse | HTTPError:
    """The answer to a GET, after redirects: 200, 206, or 304 or 416 where a header asks for those.

    ``Authorization`` stays with the server it is for.  Raises ``Interrupted`` or ``PullFailed``.
    """
    require_allowed(url)
    headers = {**headers, "Accept-Encoding": "identity", "User-Agent": "inferflux"}
    for _ in range(MOST_REDIRECTS + 1):
        answer = _open(Request(url, headers=dict(headers)), timeout)
        if answer.status not in _REDIRECTS:
            return _accepted(url, answer)
        answer.close()
        target = urljoin(url, answer.headers.get("Location", ""))
        require_redirect_allowed(url, target)
        if _origin(target) != _origin(url):
            headers.pop("Authorization", None)
        url = target
    raise PullFailed(f"{without_secrets(url)} redirects more than {MOST_REDIRECTS} times")


def require_allowed(url: str) -> None:
    """Refuse all but https, and http to this machine itself; and passwords in a URL."""
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PullFailed(f"{without_secrets(url)}: only https: URLs are pulled from")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise PullFailed(
            f"{without_secrets(url)} is http, which anybody on the way can change; use https"
        )
    if parts.username is not None or parts.password is not None:
        raise PullFailed(f"{without_secrets(url)}: a URL with a user name in it is not taken")


def require_redirect_allowed(url: str, target: str) -> None:
    """Refuse a target that may not be opened, and any way back from https."""
    require_allowed(target)
    if _split(url).scheme == "https" and _split(target).scheme != "https":
        raise PullFailed(
            f"{without_secrets(url)} redirects from https to {without_secrets(target)}: refused"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or the one name that always is."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """A URL without user, query and fragment, which may hold keys: what is printed and recorded."""
    parts = _split(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname  # these are parsed when they are looked at
    except ValueError as error:
        raise PullFailed(f"{url!r} is no URL: {error}") from None
    if not url.isprintable() or " " in url:
        raise PullFailed(f"{url!r} is no URL: write spaces and control characters as %20 and so on")
    return parts


def _open(request: Request, timeout: float) -> HTTPResponse | HTTPError:
    try:
        answer = _opener(request).open(request, timeout=timeout)
        assert isinstance(answer, HTTPResponse)
        return answer
    except HTTPError as error:  # an answer too: its status is not 200 or 206
        return error
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        problem = f"{request.host}: {reason or type(reason).__name__}"
        if "CERTIFICATE" in str(reason):
            raise PullFailed(f"{problem}; the server is not who it says it is") from error
        raise Interrupted(problem) from error


def _opener(request: Request) -> OpenerDirector:
    """Through the proxy of the environment, if there is one, but never to this machine itself."""
    host = urlsplit(request.full_url).hostname or ""
    return build_opener(_NoRedirects, *([ProxyHandler({})] if is_loopback(host) else []))


def _origin(url: str) -> tuple[str, str]:
    parts = _split(url)
    return parts.scheme, parts.netloc


def _accepted(url: str, answer: HTTPResponse | HTTPError) -> HTTPResponse | HTTPError:
    if answer.status in (200, 206, 304, 416):
        return answer
    answer.close()
    problem = f"{without_secrets(url)} answers {answer.status} {answer.reason}"
    if answer.status in _PASSING:
        raise Interrupted(problem, _retry_after(answer.headers))
    raise PullFailed(problem)


def _retry_after(headers: Headers) -> float:
    asked = headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isdecimal() and len(asked) < 9 else 0.0
