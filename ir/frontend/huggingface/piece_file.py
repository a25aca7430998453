"""tokenizer.model and what stands beside it: a SentencePiece model with added tokens."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

from inferflux.ir.frontend.facts import TextStep
from inferflux.ir.frontend.huggingface.added_tokens import AddedToken, beside
from inferflux.ir.frontend.huggingface.directory import PIECES, TOKENIZER_CONFIG
from inferflux.ir.frontend.huggingface.model import HuggingFaceModel
from inferflux.ir.frontend.huggingface.pieces import PieceModel, read_pieces
from inferflux.ir.frontend.huggingface.stated import StatedTokenizer, around, named_token
from inferflux.ir.frontend.huggingface.vocabulary import vocabulary_of
from inferflux.ir.frontend.typed import Fields

# transformers' classes whose ids are those of the pieces; others move them (XLMRobertaTokenizer).
_CLASSES = (
    "LlamaTokenizer",
    "CodeLlamaTokenizer",
    "GemmaTokenizer",
    "T5Tokenizer",
    "PreTrainedTokenizer",
    "TokenizersBackend",
)


def read_piece_file(source: HuggingFaceModel, size: int) -> StatedTokenizer:
    """Raises UnsupportedModel for a class of tokenizer that gives the pieces other ids."""
    stated = source.fields(TOKENIZER_CONFIG)
    name = stated.text("tokenizer_class", "LlamaTokenizer").removesuffix("Fast")
    if name not in _CLASSES:
        problem = f"is {name!r}; supported with {PIECES} are: {', '.join(_CLASSES)}"
        raise stated.unsupported("tokenizer_class", problem)
    model = read_pieces(source.path / PIECES, source.directory.texts[PIECES])
    fields = Fields(source.path / PIECES, {}, {}, "message")
    ids = {token: at for at, token in enumerate(model.tokens)}
    added = [_as_it_stands(each) for each in beside(source, ids)]
    found = vocabulary_of(
        fields, "pieces", model.kind, ids, dict(enumerate(model.types)), added, size
    )
    bos = named_token(source, "bos_token", found.ids)
    eos = named_token(source, "eos_token", found.ids)
    bos, eos = model.bos if bos is None else bos, model.eos if eos is None else eos
    is_t5 = name == "T5Tokenizer"
    first, last = around(source, bos, eos, adds_bos=not is_t5, adds_eos=is_t5)
    puts_space = stated.flag("add_prefix_space", model.adds_space)
    return StatedTokenizer(
        vocabulary=replace(
            found,
            scores=(*model.scores, *(0,) * (size - len(model.scores))),
            unknown=model.tokens[model.unknown],
        ),
        normalisers=_rewriting(model, only_first=puts_space and not stated.flag("legacy", False)),
        cuts=(),
        spelling="spaces",
        puts_space=puts_space,
        first=first,
        last=last,
        bos=bos,
        eos=eos,
    )


def _as_it_stands(token: AddedToken) -> AddedToken:
    """SentencePiece's first steps give no text in which a token is looked for by itself."""
    return replace(token, flags=tuple(flag for flag in token.flags if flag != "normalised"))


def _rewriting(model: PieceModel, *, only_first: bool) -> tuple[TextStep, ...]:
    steps = []
    if model.charsmap:
        steps.append(TextStep("charsmap", b64encode(model.charsmap).decode()))
    if model.merges_spaces:
        steps.append(TextStep("merge_spaces"))
    if only_first:  # and not after each token that is cut out of a text
        steps.append(TextStep("prefix_space", text="first"))
    return tuple(steps)
