"""Answers, spelled as one engine or another does: their events, and which of them are whose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import orjson

from aibrix_twisted.demo.profiles import Profile
from tests.simulation.language import ids_of, tokens

DONE: Final = b"data: [DONE]\n\n"
CREATED: Final = 1700000000


class Piece(NamedTuple):
    """One event of a stream.

    @ivar kind: C{first}, C{text}, C{finish}, C{usage}, C{done}, or C{error}.
    """

    kind: str
    data: bytes


@dataclass(frozen=True)
class Question:
    """What a request asks of a model."""

    path: str
    document: dict[str, Any]

    @property
    def chat(self) -> bool:
        return self.path == "/v1/chat/completions"

    @property
    def stream(self) -> bool:
        return bool(self.document.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self.document.get("stream_options") or {}).get("include_usage"))

    @property
    def choices(self) -> int:
        return int(self.document.get("n") or 1)

    @property
    def count(self) -> int:
        return int(self.document.get("max_tokens") or self.document.get("max_output_tokens") or 8)

    @property
    def token_ids(self) -> bool:
        return bool(self.document.get("return_token_ids"))

    @cached_property
    def prompt(self) -> list[int]:
        """Its tokens."""
        document = self.document
        return ids_of(document.get("messages") or document.get("prompt") or document.get("input") or "")

    def said(self, choice: int = 0) -> list[tuple[str, int]]:
        """All that an undisturbed engine says, token by token."""
        return list(tokens(self.prompt, self.count, choice))

    def text(self, choice: int = 0) -> str:
        """All that an undisturbed engine says."""
        return "".join(text for text, _ in self.said(choice))

    @property
    def usage(self) -> dict[str, Any]:
        """What it takes."""
        made = self.count * self.choices
        return {"prompt_tokens": len(self.prompt), "completion_tokens": made, "total_tokens": len(self.prompt) + made}


def stream_of(asked: Question, profile: Profile, id: str, fuse: int = 1) -> list[Piece]:
    """The events of a whole stream.

    @param fuse: tokens in an event.
    """
    if asked.path == "/v1/responses":
        return _response_events(asked, id)
    kind = "chat.completion.chunk" if asked.chat else "text_completion"
    frame = {"id": id, "object": kind, "created": CREATED, "model": asked.document.get("model")}
    open_finish = {"finish_reason": None} if profile.null_finish else {}
    pieces: list[Piece] = []

    def add(kind: str, choices: list[dict[str, Any]], **more: Any) -> None:
        pieces.append(Piece(kind, b"data: %b\n\n" % orjson.dumps({**frame, "choices": choices, **more})))

    every = range(asked.choices)
    prompt_ids = asked.prompt if asked.token_ids else None
    if asked.chat:
        told = {"prompt_token_ids": prompt_ids} if profile.says_ids else {}
        for index in every:
            delta = orjson.loads(profile.first_delta)
            add("first", [{"index": index, "delta": delta, "logprobs": None, **open_finish}], **told)
    said = [_fused(asked.said(index), fuse) for index in every]
    for at in range(max(map(len, said))):
        for index in every:
            if at >= len(said[index]):
                continue
            part = said[index][at]
            text = "".join(text for text, _ in part)
            if not text and not profile.says_ids:
                continue  # half a word
            which = _ids(asked, profile, [id for _, id in part])
            if profile.says_ids and not asked.chat:
                which["prompt_token_ids"] = None if at else prompt_ids
            delta = {"delta": {"content": text}} if asked.chat else {"text": text}
            add("text", [{"index": index, **delta, "logprobs": None, **open_finish, **which}])
    for index in every:
        last: dict[str, Any] = {"delta": {}} if asked.chat else {"text": ""}
        more = {"usage": asked.usage} if profile.usage_in_finish else {}
        which = _ids(asked, profile, [])
        add("finish", [{"index": index, **last, "logprobs": None, "finish_reason": "length", **which}], **more)
    if asked.include_usage and profile.usage_event:
        add("usage", [], usage=asked.usage)
    if profile.done:
        pieces.append(Piece("done", DONE))
    return pieces


def _fused(said: list[tuple[str, int]], fuse: int) -> list[list[tuple[str, int]]]:
    """So many tokens to an event; of several the last is no half of a character, for who goes on by text can't tell
    that it is (docs/healing.md).
    """
    parts, at = [], 0
    while at < len(said):
        end = at + fuse
        while fuse > 1 and end < len(said) and not said[end - 1][0]:
            end += 1
        parts.append(said[at:end])
        at = end
    return parts


def _ids(asked: Question, profile: Profile, ids: list[int]) -> dict[str, Any]:
    """vLLM's word on the tokens that an event stands for."""
    return {"token_ids": ids if asked.token_ids else None} if profile.says_ids else {}


def _response_events(asked: Question, id: str) -> list[Piece]:
    pieces = []

    def add(kind: str, type: str, **more: Any) -> None:
        document = orjson.dumps({"type": type, "sequence_number": len(pieces), **more})
        pieces.append(Piece(kind, b"event: %b\ndata: %b\n\n" % (type.encode(), document)))

    response = {"id": id, "object": "response", "created_at": CREATED, "model": asked.document.get("model")}
    add("first", "response.created", response={**response, "status": "in_progress"})
    for word, _ in asked.said():
        add("text", "response.output_text.delta", item_id="msg_0", output_index=0, content_index=0, delta=word)
    usage = {"input_tokens": len(asked.prompt), "output_tokens": asked.count}
    output = [{"type": "message", "content": [{"type": "output_text", "text": asked.text()}]}]
    add("finish", "response.completed", response={**response, "status": "completed", "output": output, "usage": usage})
    return pieces


def whole_of(asked: Question, id: str) -> bytes:
    """The answer in one piece."""
    model = asked.document.get("model")
    if asked.path == "/v1/embeddings":
        vector = [len(word) / 8 for word, _ in tokens(asked.prompt, 8)]
        return orjson.dumps({"object": "list", "model": model, "data": [{"index": 0, "embedding": vector}]})
    if asked.path == "/v1/responses":
        output = [{"type": "message", "content": [{"type": "output_text", "text": asked.text()}]}]
        usage = {"input_tokens": len(asked.prompt), "output_tokens": asked.count}
        return orjson.dumps({"id": id, "object": "response", "model": model, "output": output, "usage": usage})
    choices = []
    for index in range(asked.choices):
        text = asked.text(index)
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if asked.chat else {"text": text}
        choices.append({"index": index, **said, "logprobs": None, "finish_reason": "length"})
    kind = "chat.completion" if asked.chat else "text_completion"
    frame = {"id": id, "object": kind, "created": CREATED, "model": model}
    return orjson.dumps({**frame, "choices": choices, "usage": asked.usage})


def with_its_end(body: bytes) -> bytes:
    """A stream's, of which nothing is missing but the blank line after C{[DONE]}: who reads it has it whole."""
    bare = body.removesuffix(b"\n")
    return bare + b"\n\n" if bare.endswith(b"\n\ndata: [DONE]") else body


def text_in(asked: Question, body: bytes, choice: int = 0) -> str | None:
    """What an answer says as a client reads it; C{None} where it does not look whole."""
    return _text_in_stream(asked, body, choice) if asked.stream else _text_in_document(asked, body, choice)


def _text_in_stream(asked: Question, body: bytes, choice: int) -> str | None:
    body = with_its_end(body)
    if not body.endswith(b"\n\n"):
        return None
    said, finished = [], False
    for event in body.decode().split("\n\n")[:-1]:
        data = "\n".join(line[5:].lstrip(" ") for line in event.split("\n") if line.startswith("data:"))
        if not data:
            continue
        if data == "[DONE]":
            break
        document = orjson.loads(data)
        if "error" in document:
            return None
        if asked.path == "/v1/responses":
            said.append(document.get("delta", ""))
            finished = finished or document["type"] == "response.completed"
        for each in document.get("choices", ()):
            if each["index"] == choice:
                said.append((each["delta"].get("content") or "") if asked.chat else each["text"])
                finished = finished or each.get("finish_reason") is not None
    return "".join(said) if finished else None


def _text_in_document(asked: Question, body: bytes, choice: int) -> str | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if asked.path == "/v1/embeddings":
        return asked.text() if document["data"] else ""
    if asked.path == "/v1/responses":
        return str(document["output"][0]["content"][0]["text"])
    said = document["choices"][choice]
    return str(said["message"]["content"] if asked.chat else said["text"])
