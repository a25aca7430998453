"""Write reference.npz anew, after corpus.txt changed: ``write_reference.py MODEL.gguf``."""

from __future__ import annotations

import sys
from pathlib import Path

import decoders
import divergence
import numpy as np

NUM_BEST = 128
NUM_DRAWN = 64
HERE = Path(__file__).parent


def main(model_path: Path) -> None:
    text = (HERE / "corpus.txt").read_text(encoding="utf-8")
    tokens = np.array(decoders.tokenize(model_path, text), np.int32)
    log_probs = decoders.log_probs(decoders.load(model_path), tokens)
    divergence.save(
        divergence.sketch(tokens, log_probs, NUM_BEST, NUM_DRAWN), HERE / "reference.npz"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
