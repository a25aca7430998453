"""What an artifact says of its model: facts of the file, and what became of its tensors."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

from inferflux.codegen.artifact.compiled import (
    Conversion,
    ModelFacts,
    TextStep,
    TokenFlags,
    TokenizerFacts,
)
from inferflux.ir.frontend import ModelConfig, ModelSource, TokenizerMetadata
from inferflux.ir.frontend.conversion import ConversionError


def model_facts(
    source: ModelSource, config: ModelConfig, errors: Mapping[str, ConversionError]
) -> ModelFacts:
    """``errors`` is, by name, that of every tensor that was converted."""
    types = Counter(tensor.origin.kind.lower() for tensor in source.tensors.values())
    return ModelFacts(
        name=config.name,
        architecture=config.architecture,
        vocab_size=config.vocab_size,
        context_length=config.context_length,
        num_layers=config.num_layers,
        hidden_size=config.hidden_size,
        source_digest=source.digest(),
        source_types=dict(sorted(types.items())),
        quantised_to=source.quantised_to,
        conversions=_conversions(source, errors),
    )


def tokenizer_facts(metadata: TokenizerMetadata) -> TokenizerFacts:
    """The same facts, in the artifact's words."""
    same = {field.name: getattr(metadata, field.name) for field in fields(TokenizerFacts)}
    return TokenizerFacts(
        **same
        | {
            "normalisers": tuple(TextStep(**asdict(step)) for step in metadata.normalisers),
            "cuts": tuple(TextStep(**asdict(step)) for step in metadata.cuts),
            "stripping": tuple(TokenFlags(**asdict(each)) for each in metadata.stripping),
        }
    )


def _conversions(
    source: ModelSource, errors: Mapping[str, ConversionError]
) -> tuple[Conversion, ...]:
    """One for each pair of types, in order of their names."""
    alike: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in errors:
        tensor = source.tensors[name]
        alike[tensor.origin.kind.lower(), tensor.dtype.name].append(name)
    return tuple(
        _conversion(kind, dtype, names, errors) for (kind, dtype), names in sorted(alike.items())
    )


def _conversion(
    kind: str, dtype: str, names: Sequence[str], errors: Mapping[str, ConversionError]
) -> Conversion:
    worst = max(names, key=lambda name: errors[name].rms)
    return Conversion(
        kind,
        dtype,
        tensors=len(names),
        rms_error_ppb=math.ceil(errors[worst].rms * 1e9),
        max_error_ppb=math.ceil(max(errors[name].greatest for name in names) * 1e9),
        worst=worst,
    )
