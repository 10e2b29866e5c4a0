"""Streams that broke and went on: what their clients may see of it, and what engines may be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tests.simulation.served import Served
from tests.simulation.spelling import Question

_IDS = re.compile(rb'"((?:prompt_)?token_ids)":\[[0-9,]*\]')


def unasked(data: bytes) -> bytes:
    """As vLLM writes it where nobody asked which tokens it made."""
    return _IDS.sub(rb'"\1":null', data)


def faults_of(asked: Question, body: bytes, *, whole: bool, counted: bool) -> Iterator[str]:
    """What is wrong with a stream as its client has it.

    @param body: the gateway's own comments and errors left out.
    @param whole: its framing says that it is.
    @param counted: no engine ended it before it would have said what it took.
    """
    body = body if whole else body[: body.rfind(b"\n\n") + 2]  # it was cut where its client has it
    events = [event[6:] for event in body.split(b"\n\n") if event and not event.startswith(b":")]  # it may have waited
    if b"[DONE]" in events[:-1] or (whole and events[-1:] != [b"[DONE]"]):
        yield "it ends amid itself, or not at all"
    try:
        said = [orjson.loads(event) for event in events if event != b"[DONE]"]
    except orjson.JSONDecodeError:
        yield "an event is no JSON"
        return
    if any("error" in event for event in said[:-1]) or (whole and said and "error" in said[-1]):
        yield "an error is not the last of it, or it goes on as if whole"
    said = [event for event in said if "error" not in event]  # an engine's own, with which it broke once more
    if len({(event["id"], event["created"], event["model"], event["object"]) for event in said}) > 1:
        yield "its events are of more than one answer"
    choices = [choice for event in said for choice in event["choices"]]
    if any(choice["index"] for choice in choices):
        yield "a choice is another one"
    if sum("role" in choice.get("delta", {}) for choice in choices) != (asked.chat and bool(choices)):
        yield "there is more than one role, or none"
    text = "".join((choice["delta"].get("content") or "") if asked.chat else choice["text"] for choice in choices)
    if text != asked.text() if whole else not asked.text().startswith(text):
        yield f"it says {text!r}, expected {asked.text()!r}"
    finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    if finishes[1:] or (whole and finishes != ["length"]):
        yield f"it finishes with {finishes}"
    usages = [event["usage"] for event in said if event.get("usage")]
    if usages[1:] or (usages and not asked.include_usage) or (whole and counted and asked.include_usage and not usages):
        yield f"its usage is {usages}"
    elif usages and {name: usages[0].get(name) for name in asked.usage} != asked.usage:
        yield f"its usage is {usages[0]}, expected {asked.usage}"
    if unasked(body) != body:
        yield "it has tokens that were not asked for"


def is_continuation(asked: Question, served: Served) -> bool:
    """It asks by tokens, or for more than the client did: what was said, too."""
    if not asked.stream or served.path not in ("/v1/chat/completions", "/v1/completions"):
        return False
    got: dict[str, Any] = orjson.loads(served.body)
    return isinstance(got.get("prompt"), list) or len(Question(served.path, got).prompt) > len(asked.prompt)


def wrong_continuation(asked: Question, served: Served) -> str:
    """Why it is not the rest of the stream that it asks for; C{""}: it is."""
    got = Question(served.path, orjson.loads(served.body))
    before = len(got.prompt) - len(asked.prompt)
    if got.prompt != asked.prompt + [id for _, id in asked.said()[:before]]:
        return "its prompt is not what was asked and said"
    if got.count + before != asked.count:
        return f"{before} tokens are there, {got.count} are asked for, of {asked.count}"
    if not got.stream or got.document["model"] != "m":
        return "it is another kind of request"
    return ""
