"""https: a server that is not who it says it is gets no second try."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from inferflux.cli.sources.http import open_url
from inferflux.cli.sources.source import PullFailed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the key")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of it that nobody else signed, for this machine."""
    path = tmp_path / "own.pem"
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True, timeout=60)
    return path


@pytest.fixture
def https(loopback, certificate: Path) -> str:
    """The loopback server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    loopback.wrap(context)
    return loopback.url


def test_a_certificate_that_nobody_vouches_for_is_refused(loopback, https: str):
    loopback.on("/m", loopback.file(b"GGUF"))
    with pytest.raises(PullFailed, match=r"CERTIFICATE_VERIFY_FAILED.*not who it says it is"):
        open_url(f"{https}/m", {}, timeout=2)
    assert loopback.asked == []


def test_a_server_that_is_vouched_for_is_read_and_may_not_lead_back_to_http(
    loopback, https: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    loopback.on("/m", loopback.file(b"GGUF"))
    with open_url(f"{https}/m", {}, timeout=2) as answer:
        assert answer.read() == b"GGUF"
    loopback.on("/back", loopback.redirect(https.replace("https", "http") + "/m"))
    with pytest.raises(PullFailed, match="redirects from https to http"):
        open_url(f"{https}/back", {}, timeout=2)
