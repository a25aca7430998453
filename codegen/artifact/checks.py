"""What must be true of a manifest before anything it says is used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from inferflux.codegen.artifact.chunks import num_chunks
from inferflux.codegen.artifact.compiled import CpuStep, KVGroup
from inferflux.codegen.artifact.errors import ArtifactError
from inferflux.codegen.artifact.manifest import WEIGHTS_PREFIX, Manifest, Part, TargetRecord

MAX_PARTS = 4096
MAX_PART_BYTES: Mapping[str, int] = {  # all but weights are read into memory
    "tokenizer": 32 << 20,
    "graph": 16 << 20,
    "kernel": 16 << 20,
    "object": 64 << 20,
    "weights": 1 << 42,
}
MAX_KV_PAGE_ELEMENTS = 1 << 30
MAX_RANK = 8
MAX_SCRATCH = 1 << 32  # elements
MAX_STEP_TOKENS = 1 << 20
MAX_WORKERS = 4096
MAX_ATTENTION_CUT = 1 << 24
KV_DTYPES = ("float32", "float16", "int8", "uint8")
NUMERICS = ("default", "float32")

# Components begin with a letter, a digit or "_", so no name climbs out of a directory.
_NAME = re.compile(r"(?=.{1,200}\Z)[A-Za-z0-9_][\w.:+-]*(/[A-Za-z0-9_][\w.:+-]*)*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check(manifest: Manifest) -> None:
    """Raise ArtifactError with the first thing that is wrong."""
    for complaint in _complaints(manifest):
        raise ArtifactError(f"{complaint}; compile the model again")


def _complaints(manifest: Manifest) -> Iterator[str]:
    if len(manifest.parts) > MAX_PARTS:
        yield f"{len(manifest.parts)} parts, over {MAX_PARTS}"
    yield from _repeated("part", [part.name for part in manifest.parts])
    for part in manifest.parts:
        yield from _part(part)
    yield from _references(manifest)
    if not manifest.targets:
        yield "no targets"
    yield from _repeated("target", [target.name for target in manifest.targets])
    for target in manifest.targets:
        yield from _target(target, manifest.model.num_layers)


def _part(part: Part) -> Iterator[str]:
    if not _NAME.fullmatch(part.name):
        yield f"part name {part.name!r} is not allowed"
    limit = MAX_PART_BYTES.get(part.kind)
    if limit is None:
        yield f"part {part.name} is of unknown kind {part.kind!r}"
    elif part.length > limit:
        yield f"part {part.name} has {part.length} bytes, over {limit}"
    if part.kind == "weights" and not part.name.startswith(WEIGHTS_PREFIX):
        yield f"part {part.name} holds weights, but its name does not begin with {WEIGHTS_PREFIX}"
    if part.kind == "weights" and part.length == 0:
        yield f"part {part.name} is empty"
    if len(part.chunks) != num_chunks(part.length):
        yield f"part {part.name} of {part.length} bytes has {len(part.chunks)} chunk digests"
    if not all(map(_DIGEST.fullmatch, part.chunks)):
        yield f"part {part.name} has a chunk digest that is not 64 lower-case hex digits"


def _references(manifest: Manifest) -> Iterator[str]:
    """What is named exists and is of the right kind; what exists is named, once but for weights.

    Were one part read for every target, a small file could fill the memory.
    """
    kinds = {part.name: part.kind for part in manifest.parts}
    num_uses = dict.fromkeys(kinds, 0)
    for where, kind, name in _uses(manifest):
        if name not in kinds:
            yield f"{where} names part {name!r}, which is missing"
        elif kinds[name] != kind:
            yield f"{where} names part {name}, which is of kind {kinds[name]}, not {kind}"
        else:
            num_uses[name] += 1
    for name, count in num_uses.items():
        if count == 0:
            yield f"part {name} belongs to nothing"
        elif count > 1 and kinds[name] != "weights":
            yield f"part {name} is used {count} times"


def _uses(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    yield "the tokenizer", "tokenizer", manifest.tokenizer
    for target in manifest.targets:
        where = f"target {target.name}"
        yield where, "graph", target.graph
        yield where, "weights", target.weights
        for names in target.objects.values():
            yield from ((where, "object", name) for name in names)
        yield from ((where, "kernel", name) for name in target.sources.values())


def _target(target: TargetRecord, num_layers: int) -> Iterator[str]:
    where = f"target {target.name}"
    for name in (target.name, *target.features, *target.objects, *target.sources):
        if not _NAME.fullmatch(name):
            yield f"{where}: name {name!r} is not allowed"
    if target.numerics not in NUMERICS:
        yield f"{where}: numerics {target.numerics!r}, not one of {', '.join(NUMERICS)}"
    if not target.objects:
        yield f"{where}: no object code"
    for index, group in enumerate(target.kv_groups):
        yield from _kv_group(group, f"{where}: KV group {index}", num_layers)
    yield from _step(target.step, where)
    for machine, names in target.objects.items():
        if not names:
            yield f"{where}: no objects for {machine}"


def _kv_group(group: KVGroup, where: str, num_layers: int) -> Iterator[str]:
    if any(layer >= num_layers for layer in group.layers):
        yield f"{where} has a layer past the model's {num_layers}"
    if group.window == 0:
        yield f"{where} has a window of 0 tokens"
    yield from _repeated(f"{where}: stream", [stream.name for stream in group.streams])
    for stream in group.streams:
        if stream.dtype not in KV_DTYPES:
            yield f"{where}: stream dtype {stream.dtype!r}, not one of {', '.join(KV_DTYPES)}"
        elif len(stream.shape) > MAX_RANK:
            yield f"{where}: stream shape of {len(stream.shape)} dimensions, over {MAX_RANK}"
        elif not 0 < math.prod(stream.shape) <= MAX_KV_PAGE_ELEMENTS:  # exact, unlike np.prod
            yield f"{where}: stream shape {stream.shape}, not of 1..{MAX_KV_PAGE_ELEMENTS} elements"


def _step(step: CpuStep, where: str) -> Iterator[str]:
    sizes = (step.scratch_f32, step.scratch_i8, step.scratch_i32, step.sync)
    if max(sizes) > MAX_SCRATCH:
        yield f"{where}: scratch of {max(sizes)} elements, over {MAX_SCRATCH}"
    if not 0 < step.max_step_tokens <= MAX_STEP_TOKENS:
        yield f"{where}: steps of {step.max_step_tokens} tokens, not 1..{MAX_STEP_TOKENS}"
    if not 0 < step.max_workers <= MAX_WORKERS:
        yield f"{where}: {step.max_workers} workers, not 1..{MAX_WORKERS}"
    attention = step.attention
    cut = [attention.span_keys, attention.block_tokens, attention.max_partials]
    cut += [] if attention.window is None else [attention.window]
    if not all(0 < number <= MAX_ATTENTION_CUT for number in cut):
        yield f"{where}: attention is cut by {cut}, not all of 1..{MAX_ATTENTION_CUT}"
    served = {
        tokens
        for variant in step.variants
        if variant.arithmetic == step.arithmetic
        for tokens in range(variant.min_tokens, min(variant.max_tokens, MAX_STEP_TOKENS) + 1)
    }
    if not served >= set(range(1, step.max_step_tokens + 1)):
        yield (
            f"{where}: not every step of 1..{step.max_step_tokens} tokens has a variant in the"
            " arithmetic of the first"
        )
    yield from _repeated(f"{where}: argument", step.arguments)


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name!r} is listed {count} times"
