"""Which quantisation a config.json states, by the name it has there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from inferflux.ir.frontend.huggingface.quantisation.awq import read_awq
from inferflux.ir.frontend.huggingface.quantisation.compressed import read_compressed
from inferflux.ir.frontend.huggingface.quantisation.fp8 import read_fp8
from inferflux.ir.frontend.huggingface.quantisation.gptq import read_gptq
from inferflux.ir.frontend.huggingface.quantisation.module import Module
from inferflux.ir.frontend.huggingface.quantisation.mxfp4 import read_mxfp4
from inferflux.ir.frontend.source import SourceTensor
from inferflux.ir.frontend.typed import Fields

_GROUP = "quantization_config."
_METHOD = f"{_GROUP}quant_method"


class Scheme(Protocol):
    """Unpacks the weights of a model's quantised layers."""

    @property
    def parts(self) -> frozenset[str]:
        """What follows a layer's name in the tensors that are its weight."""

    def weight(self, module: Module, name: str) -> SourceTensor | None:
        """The weight of a layer under the graph's name; None: it is not quantised."""


METHODS: Mapping[str, Callable[[Fields], Scheme]] = {
    "gptq": read_gptq,
    "awq": read_awq,
    "fp8": read_fp8,
    "fbgemm_fp8": read_fp8,
    "compressed-tensors": read_compressed,
    "mxfp4": read_mxfp4,
}


def read_scheme(config: Fields) -> Scheme | None:
    """None where nothing is quantised; UnsupportedModel where it is in a way that is not known."""
    if not any(key.startswith(_GROUP) for key in config.values):
        return None
    method = config.text(_METHOD)
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise config.unsupported(_METHOD, f"is {method!r}, which is not supported; known: {known}")
    return METHODS[method](config)
