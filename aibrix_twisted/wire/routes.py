"""The paths of the OpenAI API, and of the engines' own beside it, that are relayed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Dialect(enum.StrEnum):
    """How requests and answers are spelled."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    GENERATE = "generate"
    AUDIO = "audio"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    @ivar name: its label in the metrics.
    @ivar multipart: the body is a form (RFC 7578), not JSON.
    @ivar model_required: a request must name its model.  Where not, the only model served is meant.
    @ivar stateful: the engine may keep something of a request, so that it is not repeated once sent.
    """

    path: bytes
    name: str
    dialect: Dialect
    multipart: bool = False
    model_required: bool = True
    stateful: bool = False


_ALL: Final = (
    Route(b"/v1/chat/completions", "chat_completions", Dialect.CHAT),
    Route(b"/v1/completions", "completions", Dialect.COMPLETIONS),
    Route(b"/v1/embeddings", "embeddings", Dialect.EMBEDDINGS),
    Route(b"/v1/responses", "responses", Dialect.RESPONSES, stateful=True),
    Route(b"/v1/messages", "messages", Dialect.MESSAGES),
    Route(b"/v1/rerank", "rerank", Dialect.RERANK),
    Route(b"/v1/score", "score", Dialect.RERANK),
    Route(b"/v1/classify", "classify", Dialect.EMBEDDINGS),
    Route(b"/v1/tokenize", "tokenize", Dialect.OTHER, model_required=False),
    Route(b"/tokenize", "tokenize", Dialect.OTHER, model_required=False),
    Route(b"/detokenize", "detokenize", Dialect.OTHER, model_required=False),
    Route(b"/pooling", "pooling", Dialect.EMBEDDINGS, model_required=False),
    Route(b"/v1/audio/transcriptions", "audio_transcriptions", Dialect.AUDIO, multipart=True),
    Route(b"/v1/audio/translations", "audio_translations", Dialect.AUDIO, multipart=True),
    Route(b"/v1/audio/speech", "audio_speech", Dialect.AUDIO),
    Route(b"/v1/images/generations", "images_generations", Dialect.OTHER),
    Route(b"/v1/images/edits", "images_edits", Dialect.OTHER, multipart=True),
    Route(b"/generate", "generate", Dialect.GENERATE, model_required=False),
)

ROUTES: Final[dict[bytes, Route]] = {route.path: route for route in _ALL}

#: What the gateway answers by itself, and the label of each in the metrics.
OWN_PATHS: Final[dict[bytes, str]] = {b"/v1/models": "models", b"/healthz": "healthz", b"/readyz": "readyz"}
