"""What llama.cpp computes of a GGUF: ``llama_peer.py MODEL.gguf PROMPT.npy OUT.npz COUNT``.

A program of its own, for llama_cpp may live in another environment than the tests.  It computes in
float32 where its kernels do: pages of F32, flash attention off.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np

ROOM = 128  # tokens of the context
F32 = 0  # ggml's number of the type


@llama_cpp.llama_log_callback
def log_errors(level: int, text: bytes, _: object) -> None:
    if level >= llama_cpp.GGML_LOG_LEVEL_ERROR:
        sys.stderr.write(text.decode(errors="replace"))


def open_context(path: str) -> Any:
    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(log_errors, ctypes.c_void_p())
    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        raise SystemExit(f"llama.cpp does not load {path}")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = ROOM
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return llama_cpp.llama_init_from_model(model, params)


def decode(context: Any, tokens: Sequence[int], first: int) -> np.ndarray:
    """The logits of tokens at positions from ``first`` on.  -> (T, V)"""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index], batch.pos[index] = token, first + index
        batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
        batch.logits[index] = 1
    if status := llama_cpp.llama_decode(context, batch):
        raise SystemExit(f"llama_decode gives {status}")
    vocab = llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(context))
    shape = (llama_cpp.llama_vocab_n_tokens(vocab),)
    rows = (llama_cpp.llama_get_logits_ith(context, index) for index in range(len(tokens)))
    logits = np.stack([np.ctypeslib.as_array(row, shape).copy() for row in rows])
    llama_cpp.llama_batch_free(batch)
    return logits


def main(model: str, prompt: str, out: str, count: str) -> None:
    context, tokens = open_context(model), np.load(prompt).tolist()
    logits = decode(context, tokens, 0)
    greedy = [int(logits[-1].argmax())]
    for position in range(len(tokens), len(tokens) + int(count) - 1):
        greedy.append(int(decode(context, greedy[-1:], position)[0].argmax()))
    np.savez(out, logits=logits, greedy=np.array(greedy))


if __name__ == "__main__":
    main(*sys.argv[1:])
