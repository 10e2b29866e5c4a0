"""A request, as a simulated engine reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from aibrix_twisted.demo.text import words_of


class Refused(Exception):
    """The request cannot be served.

    @ivar status: what it is answered with.
    """

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Generation:
    """What is to be generated.

    @ivar chat: in the manner of chat, else of completions.
    @ivar tokens: of each choice.
    """

    chat: bool
    model: str
    prompt: list[str]
    stream: bool
    include_usage: bool
    choices: int
    tokens: int
    logprobs: bool
    tool: str | None


def document_of(body: bytes) -> dict[str, Any]:
    """The body's JSON object."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Refused(400, "expected a JSON object")
    return document


def generation_of(document: dict[str, Any], *, chat: bool, default_tokens: int = 16) -> Generation:
    """Read a request for chat or completions.

    @raise Refused: what has to be there is not.
    """
    name = "messages" if chat else "prompt"
    if document.get(name) is None:
        raise Refused(400, f"{name!r} is missing")
    limit = document.get("max_completion_tokens") or document.get("max_tokens") or default_tokens
    if not isinstance(limit, int) or limit < 1:
        raise Refused(400, f"max_tokens is {limit!r}: expected a number above 0")
    choice = document.get("tool_choice")
    tools = document.get("tools") or []
    tool = tools[0]["function"]["name"] if chat and tools and choice in ("required", "auto") else None
    if chat and isinstance(choice, dict):
        tool = choice["function"]["name"]
    options = document.get("stream_options") or {}
    return Generation(
        chat=chat,
        model=str(document.get("model", "")),
        prompt=words_of(document[name]),
        stream=bool(document.get("stream")),
        include_usage=bool(options.get("include_usage")),
        choices=int(document.get("n") or 1),
        tokens=limit,
        logprobs=bool(document.get("logprobs")),
        tool=tool,
    )
