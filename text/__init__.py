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
from inferflux.text.encoders import InvalidTokenizer
from inferflux.text.sandbox import TemplateError
from inferflux.text.steps import UnsupportedTokenizer
from inferflux.text.stop import StopStrings
from inferflux.text.tokenizer import Tokenizer, TokenizerFailed

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
