"""The GGUFs of the tiny models load in llama.cpp, which goes on from a prompt as we do.

It needs llama.cpp's Python binding, or an interpreter that has it:
``pytest -m oracle tests/oracle/test_llama_cpp.py --llama-python /path/to/python``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inferflux.ir import frontend
from tiny import steps
from tiny.cases import NUM_GREEDY, PROMPTS, TOLERANCE, Case, of_entries
from tiny.entries import Entry

pytestmark = pytest.mark.oracle

PROGRAM = Path(__file__).parents[1] / "lib" / "llama_peer.py"
# It looks GELU up in a table of halves.
OF_GELU = frozenset({"gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "falcon", "starcoder2"})
GELU_TOLERANCE = 0.05


@pytest.fixture(scope="session")
def llama_python(request: pytest.FixtureRequest) -> str:
    """An interpreter that imports llama_cpp."""
    python: str = request.config.getoption("--llama-python") or sys.executable
    found = subprocess.run([python, "-c", "import llama_cpp"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{python} has no llama_cpp: --llama-python names an interpreter that has")
    return python


@of_entries(is_in_peer=True)
def test_llama_cpp_and_we_go_on_alike(
    case_of: Callable[[Entry], Case], llama_python: str, tmp_path: Path, entry: Entry
) -> None:
    case, prompt = case_of(entry), PROMPTS[0]
    logits, greedy = ask(llama_python, case.gguf, prompt, tmp_path)
    source = frontend.open(case.gguf)
    own = steps.Decoding(frontend.build(source), source.tensors, [np.r_[prompt, greedy[:-1]]])
    (found,) = own.run(steps.whole(len(prompt) + NUM_GREEDY - 1))
    assert found[len(prompt) - 1 :].argmax(axis=1).tolist() == greedy.tolist()
    tolerance = GELU_TOLERANCE if entry.model_type in OF_GELU else 2 * TOLERANCE
    np.testing.assert_allclose(found[: len(prompt)], logits, atol=tolerance, rtol=0)


def ask(python: str, model: Path, prompt: np.ndarray, folder: Path) -> tuple[np.ndarray, ...]:
    """Its logits of the prompt, and the tokens that it goes on with."""
    np.save(folder / "prompt.npy", prompt)
    paths = [model, folder / "prompt.npy", folder / "out.npz"]
    command = [python, str(PROGRAM), *map(str, paths), str(NUM_GREEDY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as out:
        return out["logits"], out["greedy"]
