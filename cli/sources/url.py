"""A GGUF at a URL, with all its parts if it is split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from inferflux.cli.sources.download import Downloaded, Remote, download
from inferflux.cli.sources.http import require_allowed, without_secrets
from inferflux.cli.sources.select import require_file_name, split_parts
from inferflux.cli.sources.source import Fetched, Progress, PullFailed, RetryPolicy, Shelf


@dataclass(frozen=True, slots=True)
class UrlSource:
    """`https:` to anywhere, or `http:` to this machine."""

    url: str
    policy: RetryPolicy

    def __post_init__(self) -> None:
        require_allowed(self.url)

    @property
    def spelled(self) -> str:
        return without_secrets(self.url)

    @property
    def suggested_name(self) -> str:
        return PurePosixPath(self._file_name).stem

    def fetch(self, shelf: Shelf, kept: str | None, progress: Progress) -> Fetched | None:
        urls = {part: self._sibling(part) for part in split_parts(self._file_name)}
        got = []
        for part, url in urls.items():
            remote = Remote(url, kept=kept if len(urls) == 1 else None)
            downloaded = download(remote, shelf.folder / part, self.policy, progress)
            if downloaded is None:
                return None
            got.append(downloaded)
        return Fetched(_revision(got), tuple(each.file for each in got))

    @property
    def _file_name(self) -> str:
        name = require_file_name(unquote(urlsplit(self.url).path) or "model")
        return name if name.endswith(".gguf") else f"{name}.gguf"

    def _sibling(self, part: str) -> str:
        """The URL of a part: it lies beside the one that was named."""
        if part == self._file_name:
            return self.url
        parts = urlsplit(self.url)
        return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{quote(part)}").geturl()


def _revision(got: list[Downloaded]) -> str:
    """The validator of one file; those of several say nothing together."""
    if not got:
        raise PullFailed("a model has at least one part")
    return got[0].validator if len(got) == 1 else ""
