"""The text of a request's prompt, as bytes that begin alike where an engine's prompts do.

It is not what the engine's template makes of it, which only the engine knows; but whoever adds a message, or a word to
the last one, gets a text that begins like the one before.  Roles, names and tools are in it.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

import orjson

from aibrix_twisted.wire.routes import Dialect

#: The members of a body that are prompts, in the order in which engines' templates have them.
_MEMBERS: Final[dict[Dialect, tuple[str, ...]]] = {
    Dialect.CHAT: ("tools", "functions", "messages"),
    Dialect.COMPLETIONS: ("prompt",),
    Dialect.RESPONSES: ("tools", "instructions", "input"),
    Dialect.MESSAGES: ("tools", "system", "messages"),
    Dialect.EMBEDDINGS: ("input",),
    Dialect.RERANK: ("query", "text_1"),
    Dialect.GENERATE: ("prompt", "text", "input_ids"),
}

#: An image or a sound within a text, or the rest of one: tokens of it are few, and bytes of it many.
_DATA: Final = re.compile(rb"(?<=;base64,)[A-Za-z0-9+/=]{256,}")


class PromptText:
    """What routing goes by.

    @ivar scope: what must be equal, too, for an engine to share anything (vLLM's C{cache_salt}).
    """

    __slots__ = ("scope", "text")

    def __init__(self, text: bytes, scope: bytes) -> None:
        self.text = text
        self.scope = scope


def prompt_text(dialect: Dialect, document: dict[str, Any]) -> PromptText:
    """Of a body that is what its path takes.  What has no prompt that we know of is empty."""
    text = b""
    for name in _MEMBERS.get(dialect, ()):
        value = document.get(name)
        if value is not None:
            text += _text(value)
    salt = document.get("cache_salt")
    return PromptText(text, salt.encode() if isinstance(salt, str) else b"")


def _text(value: Any) -> bytes:
    """Of one member: a text as it is; anything else as JSON without its end, so that one with more begins alike."""
    if isinstance(value, str):
        return value.encode()
    text = orjson.dumps(value)
    if b";base64," in text:
        text = _DATA.sub(lambda data: blake2b(data[0], digest_size=16).hexdigest().encode(), text)
    return text[:-1]
