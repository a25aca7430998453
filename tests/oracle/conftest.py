"""What imports torch, which only tests marked ``oracle`` may."""

from __future__ import annotations

from types import ModuleType

import pytest


@pytest.fixture(scope="session", name="decoders")
def decoder_module() -> ModuleType:
    """transformers' own models on the weights of a GGUF."""
    import decoders

    return decoders
