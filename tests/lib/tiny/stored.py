"""What is kept of a case in the repository: enough to write it again, and some of its logits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiny.cases import PROMPTS, Case
from tiny.files import shapes

Array = np.ndarray

FOLDER = Path(__file__).parents[2] / "ir" / "frontend" / "logits"
ROWS = np.array([8, 19, 20, 30, 39, 47])  # of the first prompt, whose positions they are
NAMES = (  # an entry of each architecture, and those whose formula is another by a number alone
    "llama",
    "llama-llama3",
    "llama-dynamic",
    "llama-yarn",
    "mistral-window",
    "mixtral",
    "smollm3",
    "granite",
    "granite-moe",
    "gpt-oss-yarn",
    "qwen2-window",
    "qwen2-moe",
    "qwen3",
    "qwen3-moe",
    "gemma",
    "gemma2",
    "gemma3-linear",
    "gemma3-with-images",
    "phi3-longrope",
    "phi4-partial",
    "olmo2",
    "cohere-qk-norm",
    "stablelm",
    "stablelm-parallel",
    "gpt2",
    "gpt-neox",
    "falcon-7b",
    "falcon-40b",
    "starcoder2",
    "deepseek-v2-lite",
    "deepseek-v3-yarn",
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A case without its weights, which follow from the names of its tensors."""

    config: str  # config.json
    shapes: dict[str, list[int]]
    logits: Array  # of ``ROWS``

    @classmethod
    def of(cls, case: Case) -> Stored:
        config = (case.folder / "config.json").read_text()
        named = shapes(case.folder / "model.safetensors")
        return cls(config, {name: list(shape) for name, shape in named.items()}, rows(case.logits))

    def save(self, name: str) -> None:
        text = json.dumps({"config": json.loads(self.config), "shapes": self.shapes})
        np.savez_compressed(_path(name), text=np.array(text), logits=self.logits)


def rows(logits: tuple[Array, ...]) -> Array:
    return logits[0][ROWS]


def load(name: str) -> Stored:
    with np.load(_path(name), allow_pickle=False) as stored:
        text = json.loads(str(stored["text"]))
        return Stored(json.dumps(text["config"], indent=2), text["shapes"], stored["logits"])


def _path(name: str) -> Path:
    assert len(PROMPTS[0]) > ROWS[-1]
    return FOLDER / f"{name}.npz"
