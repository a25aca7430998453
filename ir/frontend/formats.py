"""Open a model, whatever its format."""

from __future__ import annotations

from pathlib import Path

from inferflux.ir.frontend import gguf
from inferflux.ir.frontend.architectures.table import PUBLISHED, as_graph_takes
from inferflux.ir.frontend.huggingface import model as huggingface
from inferflux.ir.frontend.source import ModelSource


def open(path: str | Path) -> ModelSource:  # noqa: A001  the verb of the pipeline
    """Open a GGUF file, or a directory with safetensors.  No weight is read."""
    path = Path(path)
    is_directory = path.is_dir()
    model = huggingface.open_model(path, PUBLISHED) if is_directory else gguf.open_model(path)
    return as_graph_takes(model)
