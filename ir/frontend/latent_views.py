"""The projections of latent attention as graphs take them: apart, and absorbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from inferflux.ir.frontend.facts import Latent, ModelConfig
from inferflux.ir.frontend.source import Bytes, SourceTensor, UnsupportedModel
from inferflux.ir.frontend.tensor_views import rows_of, wrong_tensor
from inferflux.ir.frontend.views import Tensors

Sizes = Callable[[ModelConfig, Latent], tuple[int, int, int]]  # heads, rows of each part of one


@dataclass(frozen=True, slots=True)
class SplitHeads:
    """The rows of every head in two parts: a matrix of all first parts, one of all second."""

    whole: str
    parts: tuple[str, str]
    sizes: Sizes

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        def split(name: str, tensor: SourceTensor) -> Mapping[str, SourceTensor]:
            heads, first, second = _sizes(self.sizes, config, tensor)
            rows = np.arange(heads * (first + second)).reshape(heads, -1)
            parts = (rows[:, :first].reshape(-1), rows[:, first:].reshape(-1))
            names = [name.replace(f".{self.whole}.", f".{part}.") for part in self.parts]
            return {n: rows_of(tensor, n, part) for n, part in zip(names, parts, strict=True)}

        return _replaced(tensors, self.whole, split)


@dataclass(frozen=True, slots=True)
class Absorbed:
    """Keys and values of every head, one matrix in a directory: those of keys are turned over."""

    whole: str = "attn_kv_b"

    def __call__(self, tensors: Tensors, config: ModelConfig) -> dict[str, SourceTensor]:
        def absorbed(name: str, tensor: SourceTensor) -> Mapping[str, SourceTensor]:
            heads, plain, value = _sizes(_of_keys_and_values, config, tensor)
            if tensor.dtype.is_quantised:
                problem = f"is of {tensor.origin.kind}; keys of heads are turned over: only floats"
                raise wrong_tensor(tensor, problem, UnsupportedModel)
            rows = np.arange(heads * (plain + value)).reshape(heads, -1)
            keys = name.replace(f".{self.whole}.", ".attn_k_b.")
            values = name.replace(f".{self.whole}.", ".attn_v_b.")
            of_values = rows_of(tensor, values, rows[:, plain:].reshape(-1))
            return {
                keys: _turned_over(tensor, keys, heads, plain),
                values: replace(of_values, shape=(heads, value, tensor.shape[1])),
            }

        return _replaced(tensors, self.whole, absorbed)


def of_queries(config: ModelConfig, latent: Latent) -> tuple[int, int, int]:
    return config.num_query_heads, latent.plain, latent.turned


def of_what_is_kept(config: ModelConfig, latent: Latent) -> tuple[int, int, int]:
    return 1, latent.rank, latent.turned


def _of_keys_and_values(config: ModelConfig, latent: Latent) -> tuple[int, int, int]:
    return config.num_query_heads, latent.plain, latent.value


def _replaced(
    tensors: Tensors,
    whole: str,
    parts: Callable[[str, SourceTensor], Mapping[str, SourceTensor]],
) -> dict[str, SourceTensor]:
    found: dict[str, SourceTensor] = {}
    for name, tensor in tensors.items():
        is_whole = name.startswith("blk.") and name.endswith(f".{whole}.weight")
        found |= parts(name, tensor) if is_whole else {name: tensor}
    return found


def _sizes(sizes: Sizes, config: ModelConfig, tensor: SourceTensor) -> tuple[int, int, int]:
    assert config.latent is not None, "an architecture of latent heads states their sizes"
    heads, first, second = sizes(config, config.latent)
    rows = heads * (first + second)
    if len(tensor.shape) != 2 or tensor.shape[0] != rows:
        raise wrong_tensor(tensor, f"is {list(tensor.shape)}, the metadata asks for {rows} rows")
    return heads, first, second


def _turned_over(tensor: SourceTensor, name: str, heads: int, plain: int) -> SourceTensor:
    """The first rows of every head, transposed.  [H*(plain + value), rank] -> [H, rank, plain]"""

    def read() -> Bytes:
        values = tensor.raw.view(f"u{tensor.dtype.block_bytes}")
        by_head = values.reshape(heads, -1, tensor.shape[1])[:, :plain]
        return np.ascontiguousarray(by_head.swapaxes(1, 2)).view(np.uint8).reshape(-1)

    return replace(
        tensor, name=name, shape=(heads, tensor.shape[1], plain), read=read, convert=None
    )
