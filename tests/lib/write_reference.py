"""Write oracle/reference.npz anew, after corpus.txt changed: ``write_reference.py MODEL.gguf``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import decoders
import divergence

NUM_BEST = 128
NUM_DRAWN = 64
ORACLE = Path(__file__).parents[1] / "oracle"


def main(model_path: Path) -> None:
    text = (ORACLE / "corpus.txt").read_text(encoding="utf-8")
    tokens = np.array(decoders.tokenize(model_path, text), np.int32)
    log_probs = decoders.log_probs(decoders.load(model_path), tokens)
    divergence.save(
        divergence.sketch(tokens, log_probs, NUM_BEST, NUM_DRAWN), ORACLE / "reference.npz"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
