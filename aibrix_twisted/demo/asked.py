"""A request, as a simulated engine reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from aibrix_twisted.demo.text import ids_of, words_of

#: What bounds an answer.
LIMITS = ("max_completion_tokens", "max_tokens")


class Refused(Exception):
    """The request cannot be served.

    @ivar status: what it is answered with.
    @ivar body: the answer's, where it is not made of the message.
    """

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.body = body


@dataclass(frozen=True, slots=True)
class Generation:
    """What is to be generated.

    @ivar chat: in the manner of chat, else of completions.
    @ivar ids: the tokens of the prompt.
    @ivar begun: the answer goes on with what stands before it.
    @ivar tokens: of each choice.
    @ivar token_ids: they are to be said.
    """

    chat: bool
    model: str
    prompt: list[str]
    ids: list[int]
    begun: bool
    stream: bool
    include_usage: bool
    choices: int
    tokens: int
    logprobs: bool
    tool: str | None
    token_ids: bool


def document_of(body: bytes) -> dict[str, Any]:
    """The body's JSON object."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Refused(400, "expected a JSON object")
    return document


def generation_of(
    document: dict[str, Any], *, chat: bool, default_tokens: int = 16, limits: tuple[str, ...] = LIMITS
) -> Generation:
    """Read a request for chat or completions.

    @param limits: members that bound the answer, the first that is there.
    @raise Refused: what has to be there is not, or is not what it has to be.
    """
    name = "messages" if chat else "prompt"
    if document.get(name) is None:
        raise Refused(400, f"{name!r} is missing")
    limit = next(filter(None, map(document.get, limits)), default_tokens)
    if not isinstance(limit, int) or limit < 1:
        raise Refused(400, f"max_tokens is {limit!r}: expected a number above 0")
    choices = document.get("n") or 1
    if not isinstance(choices, int) or choices < 1:
        raise Refused(400, f"n is {choices!r}: expected a number above 0")
    options = document.get("stream_options") or {}
    if not isinstance(options, dict):
        raise Refused(400, f"stream_options is {options!r}: expected an object")
    prompt = words_of(document[name])
    by_ids = isinstance(document[name], list) and all(isinstance(part, int) for part in document[name])
    return Generation(
        chat=chat,
        model=str(document.get("model", "")),
        prompt=prompt,
        ids=document[name] if by_ids else ids_of(prompt),
        begun=bool(document.get("continue_final_message")) if chat else bool(prompt),
        stream=bool(document.get("stream")),
        include_usage=bool(options.get("include_usage")),
        choices=choices,
        tokens=limit,
        logprobs=bool(document.get("logprobs")),
        tool=_tool_of(document) if chat else None,
        token_ids=bool(document.get("return_token_ids")),
    )


def _tool_of(document: dict[str, Any]) -> str | None:
    """The function that is to be called."""
    choice, tools = document.get("tool_choice"), document.get("tools") or []
    try:
        if isinstance(choice, dict):
            return str(choice["function"]["name"])
        return str(tools[0]["function"]["name"]) if tools and choice in ("required", "auto") else None
    except (KeyError, TypeError, IndexError):
        raise Refused(400, "expected functions with names in tools and tool_choice") from None
