"""llama.cpp's side of a comparison, as a process: ``python llama_worker.py MODEL.gguf THREADS``.

Runs in a Python that has ``llama_cpp`` and need not have InferFlux, so it imports nothing of it.
It answers lines of JSON as ``inferflux.bench.worker`` does.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import time
from typing import Any

import llama_cpp

BATCH, MICRO_BATCH = 2048, 512  # tokens of a call and of a pass, llama.cpp's own defaults
MARGIN = 100  # token ids at both ends of a vocabulary are special; random prompts avoid them
CELLS = 256  # llama.cpp rounds a stream's cells up to this
LOG_LEVEL_ERROR = 4  # of ggml_log_level


KEPT = 2  # contexts, of the settings tried last: to fill one of 8000 tokens takes a minute


class Peer:
    """A model of llama.cpp, and the contexts of the measure that was prepared last."""

    def __init__(self, path: str, threads: int) -> None:
        self.threads = threads
        self.random = random.Random(0)
        self.context: Any = None
        self.contexts: dict[str, Any] = {}  # by their settings
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {path}; its stderr says why")
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self.asked: dict[str, int] = {}

    def prepare(self, asked: dict[str, int], setting: dict[str, bool]) -> None:
        """Take a context of the right size, filled to the depth, and run once unmeasured."""
        if asked != self.asked:
            self._free_but(0)
        self.asked, name = asked, json.dumps(setting, sort_keys=True)
        kept = self.contexts.pop(name, None)
        self._free_but(KEPT - 1)
        self.context = self.contexts[name] = kept or self._filled_context(setting)
        self.run()

    def _free_but(self, count: int) -> None:
        """Free the oldest contexts, so that so many are left."""
        while len(self.contexts) > count:
            llama_cpp.llama_free(self.contexts.pop(next(iter(self.contexts))))

    def _filled_context(self, setting: dict[str, bool]) -> Any:
        asked = self.asked
        streams = asked.get("streams", 1)
        length = asked["prefill"] if "prefill" in asked else asked["depth"] + asked["steps"]
        self.context = self._new_context(streams, length, setting)
        for stream in range(streams if "depth" in asked else 0):
            self._fill(stream, asked["depth"])
        return self.context

    def run(self) -> float:
        """Tokens per second of one run of what was prepared."""
        if "prefill" in self.asked:
            return self._prefill(self.asked["prefill"])
        return self._decode(**self.asked)

    def _prefill(self, num_tokens: int) -> float:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        start = time.perf_counter()
        self._fill(0, num_tokens)
        return num_tokens / (time.perf_counter() - start)

    def _decode(self, streams: int, depth: int, steps: int) -> float:
        """The tokens of the last run are taken back, so that every run starts at the depth."""
        memory = llama_cpp.llama_get_memory(self.context)
        for stream in range(streams):
            if not llama_cpp.llama_memory_seq_rm(memory, stream, depth, -1):
                raise RuntimeError(f"llama.cpp cannot take stream {stream} back to {depth} tokens")
        start = time.perf_counter()
        for step in range(steps):
            self._forward([(depth + step, stream, True) for stream in range(streams)])
        return steps * streams / (time.perf_counter() - start)

    def _fill(self, stream: int, num_tokens: int) -> None:
        """Prefill one stream; only its last token wants logits."""
        for start in range(0, num_tokens, BATCH):
            end = min(start + BATCH, num_tokens)
            self._forward([(at, stream, at == num_tokens - 1) for at in range(start, end)])

    def _forward(self, rows: list[tuple[int, int, bool]]) -> None:
        """One pass over rows of (position, stream, wants logits), of random tokens."""
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for index, (position, stream, wants_logits) in enumerate(rows):
            batch.token[index] = self.random.randrange(MARGIN, self.vocab_size - MARGIN)
            batch.pos[index], batch.logits[index] = position, wants_logits
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, stream
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_synchronize(self.context)
        llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode gave status {status} for {len(rows)} tokens")

    def _new_context(self, streams: int, length: int, setting: dict[str, bool]) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = streams * ((length + CELLS - 1) // CELLS * CELLS)
        params.n_batch, params.n_ubatch, params.n_seq_max = BATCH, MICRO_BATCH, streams
        params.n_threads = params.n_threads_batch = self.threads
        params.flash_attn_type = int(setting["flash_attention"])
        params.kv_unified = setting["unified_kv"]
        context = llama_cpp.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError(f"llama.cpp makes no context of {params.n_ctx} tokens, {setting}")
        return context


def main() -> None:
    """Load the model, then answer requests until stdin ends."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is no answer
    quiet = llama_cpp.llama_log_callback(print_errors)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    try:
        peer = Peer(sys.argv[1], int(sys.argv[2]))
        pipe.write(json.dumps({"versions": versions()}) + "\n")
        for line in sys.stdin:
            request = json.loads(line)
            if "prepare" in request:
                peer.prepare(request["prepare"], request["setting"])
                pipe.write("{}\n")
            else:
                pipe.write(json.dumps({"speed": peer.run()}) + "\n")
    except RuntimeError as error:
        pipe.write(json.dumps({"error": str(error)}) + "\n")


def print_errors(level: int, text: bytes, _: object) -> None:
    """What llama.cpp logs as an error goes to stderr, all else nowhere."""
    if level == LOG_LEVEL_ERROR:
        sys.stderr.write(text.decode(errors="replace"))


def versions() -> dict[str, str]:
    """Of the binding, and what its library says it was built for."""
    built_for = llama_cpp.llama_print_system_info().decode().strip()
    return {"llama-cpp-python": llama_cpp.__version__, "llama.cpp": built_for}


if __name__ == "__main__":
    main()
