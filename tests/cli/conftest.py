"""A cache of the test's own, and places to pull from: a server that lies, a shelf of wheels."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inferflux.cli.sources.source import RetryPolicy
from inferflux.cli.store.catalogue import CATALOGUE, KnownModel

LONGEST = 10.0  # seconds that anything of a test may wait

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERFLUX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hasty() -> RetryPolicy:
    """Three attempts with no wait between, each with half a second of patience."""
    return RetryPolicy(attempts=3, timeout=0.5, sleep=lambda seconds: None)


def _begin(
    handler: BaseHTTPRequestHandler,
    code: int,
    *,
    length: int | None = None,
    etag: str | None = None,
    **headers: str,
) -> None:
    handler.send_response(code)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    if etag is not None:
        handler.send_header("ETag", etag)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _file(content: bytes, etag: str | None = '"a"') -> Answer:
    """An honest server: ranges, their conditions, and conditions of the whole."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if etag is not None and handler.headers.get("If-None-Match") == etag:
            _begin(handler, 304, etag=etag)
        elif asked and handler.headers.get("If-Range") == etag:
            start = int(asked[1])
            where = f"bytes {start}-{len(content) - 1}/{len(content)}"
            _begin(handler, 206, length=len(content) - start, etag=etag, Content_Range=where)
            handler.wfile.write(content[start:])
        else:
            _begin(handler, 200, length=len(content), etag=etag)
            handler.wfile.write(content)

    return answer


def _broken(content: bytes, after: int, etag: str | None = '"a"') -> Answer:
    """Announce all of ``content``, send the beginning, and hang up."""
    return _announced(content[:after], len(content), etag)


def _announced(content: bytes, length: int | None, etag: str | None = '"a"') -> Answer:
    """Send ``content`` whatever is asked for, under any length."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _begin(handler, 200, length=length, etag=etag)
        handler.wfile.write(content)

    return answer


def _status(code: int, **headers: str) -> Answer:
    return lambda handler: _begin(handler, code, length=0, **headers)


def _redirect(target: str) -> Answer:
    return _status(302, Location=target)


@dataclass
class Loopback:
    """A server.  A path has answers, one for each request; the last is for all that follow."""

    server: ThreadingHTTPServer
    url: str
    closing: threading.Event
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def on(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url + path

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def ranges(self) -> list[str | None]:
        """The range of bytes that each request asked for."""
        return [headers.get("Range") for _, headers in self.asked]

    def stall(self, content: bytes, after: int) -> Answer:
        """Announce all of ``content``, send the beginning, and then nothing until the end."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            self.begin(handler, 200, length=len(content), etag='"a"')
            handler.wfile.write(content[:after])
            handler.wfile.flush()
            self.closing.wait(LONGEST)

        return answer

    # What a server may answer; each factory says how it lies.
    begin = staticmethod(_begin)
    file = staticmethod(_file)
    broken = staticmethod(_broken)
    announced = staticmethod(_announced)
    status = staticmethod(_status)
    redirect = staticmethod(_redirect)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler := type("H", (_Handler,), {}))
    server.daemon_threads = True
    served = Loopback(server, f"http://127.0.0.1:{server.server_port}", threading.Event())
    _handler.served = served
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield served
    finally:
        served.closing.set()
        server.shutdown()
        thread.join(LONGEST)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Loopback
    timeout = LONGEST

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.served.asked.append((self.path, dict(self.headers)))
        answers = self.served.answers.get(path, [_status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            answer(self)

    def log_message(self, *_: object) -> None:
        pass


NAME, PACKAGE, VERSION = "tiny-1.0", "inferflux-test-model", "1.0"


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, float]] = []

    def stage(self, name: str, fraction: float) -> None:
        self.said.append((name, fraction))

    @property
    def stages(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.said))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def shelve(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``shelve({path: content}, version="1.0")``: put a wheel where pip looks."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def put(files: dict[str, bytes], version: str = VERSION) -> Path:
        dist = f"{PACKAGE.replace('-', '_')}-{version}"
        wheel = shelf / f"{dist}-py3-none-any.whl"
        metadata = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n"
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        facts = {"METADATA": metadata, "WHEEL": tags, "RECORD": ""}
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            for name, text in facts.items():
                archive.writestr(f"{dist}.dist-info/{name}", text)
        return wheel

    return put


@pytest.fixture
def publish(
    shelve: Callable[..., Path], tiny_gguf, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., KnownModel]:
    """Shelve a tiny model, and have it known by name."""
    content = tiny_gguf(name="tiny.gguf").read_bytes()

    def published(held: bytes = content, filename: str = "package/tiny.gguf") -> KnownModel:
        wheel = shelve({filename: held})
        source = f"pypi:{PACKAGE}=={VERSION}/tiny.gguf"
        digest = hashlib.sha256(content).hexdigest()
        model = KnownModel(source, digest, wheel.stat().st_size)
        monkeypatch.setitem(CATALOGUE, NAME, model)
        return model

    return published


@pytest.fixture
def left_behind(cache: Path) -> Callable[[], list[str]]:
    """Names of every file in the store but locks; blobs as ``blob``."""

    def left() -> list[str]:
        files = (path for path in cache.rglob("*") if not path.is_dir())
        names = (path.name for path in files if path.suffix != ".lock" and path.name != ".lock")
        return sorted("blob" if name.startswith("sha256-") else name for name in names)

    return left
