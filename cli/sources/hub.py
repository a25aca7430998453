"""A model of a hub's repository, at one commit: what `huggingface_hub` finds, our download fetches.

The package knows repositories, revisions and keys; it cannot go on with a file that broke off.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from inferflux.cli.sources.download import Remote, download
from inferflux.cli.sources.select import require_file_name, select
from inferflux.cli.sources.source import (
    Fetched,
    FetchedFile,
    Progress,
    PullFailed,
    RetryPolicy,
    Shelf,
    WrongContent,
)
from inferflux.errors import MissingPackages

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_SPELLING: Final = re.compile(
    r"(?P<repository>[\w.-]{1,96}/[\w.-]{1,96})(/(?P<file>[^@]{1,255}))?(@(?P<revision>[^@]{1,255}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class HubSource:
    """`hf:ORG/REPO[/FILE][@REVISION]`."""

    repository: str
    file: str | None
    revision: str | None
    policy: RetryPolicy

    @classmethod
    def parse(cls, text: str, policy: RetryPolicy) -> HubSource:
        match = _SPELLING.fullmatch(text)
        if match is None:
            raise PullFailed(f"hf:{text} is no model; write hf:ORG/REPO[/FILE][@REVISION]")
        return cls(match["repository"], match["file"], match["revision"], policy)

    @property
    def spelled(self) -> str:
        file = f"/{self.file}" if self.file else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{file}{revision}"

    @property
    def suggested_name(self) -> str:
        if self.file is None:
            return self.repository.rpartition("/")[2]
        return PurePosixPath(self.file).name.removesuffix(".gguf")

    def fetch(self, shelf: Shelf, kept: str | None, progress: Progress) -> Fetched | None:
        progress("look it up", 0.0)
        api = _api()
        found = _look_up(api, self)
        if found.sha is None or found.siblings is None:
            raise PullFailed(f"{self.spelled}: the hub names no commit, or no files")
        if found.sha == kept:
            return None
        by_name = {sibling.rfilename: sibling for sibling in found.siblings}
        chosen = select(by_name, self.file, self.spelled)
        files = [self._file(api, by_name[name], found.sha, shelf, progress) for name in chosen]
        return Fetched(found.sha, tuple(files))

    def _file(
        self, api: HfApi, sibling: RepoSibling, commit: str, shelf: Shelf, progress: Progress
    ) -> FetchedFile:
        """One file at a commit; of a large one the hub says the sha256, of a small one git's."""
        name = require_file_name(sibling.rfilename)
        digest = sibling.lfs.sha256 if sibling.lfs is not None else None
        held = shelf.take(name, digest) if digest is not None else None
        if held is not None:
            return held
        remote = Remote(
            _url(api, self.repository, sibling.rfilename, commit), sibling.size, _authorization()
        )
        downloaded = download(remote, shelf.folder / name, self.policy, progress)
        assert downloaded is not None, "nothing was said to be kept"
        _require_intact(downloaded.file, digest, sibling.blob_id)
        return downloaded.file


def _api() -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingPackages("a pull from hf:", "huggingface_hub", "hub") from error
    return HfApi(library_name="inferflux")


def _look_up(api: HfApi, source: HubSource) -> ModelInfo:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # The bases: what any failure of the HTTP library is that this release is built on.
    failures: tuple[type[Exception], ...] = (HFValidationError, *HfHubHTTPError.__bases__)
    try:
        return api.model_info(
            source.repository,
            revision=source.revision,
            files_metadata=True,
            timeout=source.policy.timeout,
        )
    except failures as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise PullFailed(f"{source.spelled}: {said}") from error


def _url(api: HfApi, repository: str, name: str, commit: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repository, name, revision=commit, endpoint=api.endpoint)


def _authorization() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _require_intact(file: FetchedFile, sha256: str | None, blob_id: str | None) -> None:
    """Hold a file against what its commit says of it."""
    if sha256 is not None and file.sha256 != sha256:
        raise WrongContent(
            f"{file.path.name} came with sha256 {file.sha256}, the hub has {sha256}; "
            "it was changed on the way or at its source"
        )
    if sha256 is None and blob_id is not None and _git_blob_id(file.path) != blob_id:
        raise WrongContent(f"{file.path.name} is not the file {blob_id} of the hub's commit")


def _git_blob_id(path: Path) -> str:
    content = path.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
