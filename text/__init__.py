"""Text in and out of a model that knows only token ids."""

from inferflux.text.chat import (
    ChatEncoder,
    ChatExtras,
    ChatTemplate,
    Message,
    MessagesRefused,
    NoChatTemplate,
)
from inferflux.text.detokenise import Detokeniser
from inferflux.text.pretokenizers import UnsupportedTokenizer
from inferflux.text.sandbox import TemplateError
from inferflux.text.stop import StopStrings
from inferflux.text.tokenizer import InvalidTokenizer, Tokenizer, TokenizerFailed

__all__ = [
    "ChatEncoder",
    "ChatExtras",
    "ChatTemplate",
    "Detokeniser",
    "InvalidTokenizer",
    "Message",
    "MessagesRefused",
    "NoChatTemplate",
    "StopStrings",
    "TemplateError",
    "Tokenizer",
    "TokenizerFailed",
    "UnsupportedTokenizer",
]
