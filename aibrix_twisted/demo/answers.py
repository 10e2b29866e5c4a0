"""The answers of a simulated engine, spelled as its profile does."""

from __future__ import annotations

from typing import Any

import orjson

from aibrix_twisted.demo.asked import Generation, Refused
from aibrix_twisted.demo.profiles import Profile
from aibrix_twisted.demo.text import tokens

#: When every simulated answer was made: what is always the same can be compared.
CREATED = 1700000000

DONE = b"data: [DONE]\n\n"


def usage_of(asked: Generation, cached: int) -> dict[str, Any]:
    """What it took."""
    made = asked.tokens * asked.choices
    return {
        "prompt_tokens": len(asked.prompt),
        "completion_tokens": made,
        "total_tokens": len(asked.prompt) + made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def stream_of(
    asked: Generation, profile: Profile, id: str, seed: int, cached: int, *, fuse: int = 1, hollow: bool = False
) -> list[bytes]:
    """The events of a streamed answer, C{[DONE]} included.

    @param fuse: tokens in an event.
    @param hollow: each is preceded by an event without text, as where a character is not whole yet.
    """
    events: list[bytes] = []
    usage = usage_of(asked, cached)

    def add(choices: list[dict[str, Any]], **more: Any) -> None:
        events.append(
            b"data: %b\n\n" % orjson.dumps({**_frame(asked, profile, id, streamed=True), "choices": choices, **more})
        )

    open_finish = {"finish_reason": None} if profile.null_finish else {}
    if asked.chat and profile.first_delta:
        for index in range(asked.choices):
            add([{"index": index, "delta": orjson.loads(profile.first_delta), "logprobs": None, **open_finish}])
    texts = [_fused(_pieces(asked, seed, index), fuse) for index in range(asked.choices)]
    for position in range(len(texts[0])):
        for index in range(asked.choices):
            if hollow:
                add([{"index": index, **_step(asked, "", streamed=True), **open_finish}])
            add([{"index": index, **_step(asked, texts[index][position], streamed=True), **open_finish}])
    for index in range(asked.choices):
        more: dict[str, Any] = {"usage": usage} if profile.usage_in_finish else {}
        last: dict[str, Any] = {"delta": {}} if asked.chat else {"text": ""}
        add([{"index": index, **last, "logprobs": None, "finish_reason": _finish(asked)}], **more)
    if asked.include_usage and profile.usage_event:
        timings = {"prompt_n": len(asked.prompt), "predicted_n": asked.tokens}
        add([], usage=usage, **({"timings": timings} if profile.timings else {}))
    if profile.done:
        events.append(DONE)
    return events


def _fused(pieces: list[str], count: int) -> list[str]:
    return ["".join(pieces[at : at + count]) for at in range(0, len(pieces), count)]


def whole_of(asked: Generation, profile: Profile, id: str, seed: int, cached: int) -> bytes:
    """An answer that is not streamed."""
    choices = []
    for index in range(asked.choices):
        text = "".join(_pieces(asked, seed, index))
        choices.append({"index": index, **_whole_choice(asked, text), "finish_reason": _finish(asked)})
    frame = _frame(asked, profile, id, streamed=False)
    return orjson.dumps({**frame, "choices": choices, "usage": usage_of(asked, cached)})


def error_of(refused: Refused, profile: Profile) -> bytes:
    """An error, in vLLM's words, or in FastAPI's, or in its own."""
    if refused.body:
        return refused.body
    if profile.detail_errors:
        return orjson.dumps({"detail": str(refused)})
    error = {"message": str(refused), "type": refused.kind, "param": None, "code": refused.status}
    return orjson.dumps({"error": error})


def _frame(asked: Generation, profile: Profile, id: str, *, streamed: bool) -> dict[str, Any]:
    kind = "chat.completion" if asked.chat else "text_completion"
    suffix = ".chunk" if streamed and asked.chat else ""
    return {"id": id, "object": kind + suffix, "created": CREATED, "model": asked.model + profile.model_suffix}


def _pieces(asked: Generation, seed: int, index: int) -> list[str]:
    if asked.tool is None:
        return list(tokens(seed, index, asked.prompt, asked.tokens))
    arguments = orjson.dumps({"place": next(tokens(seed, index, asked.prompt, 1))}).decode()
    half = len(arguments) // 2
    return [arguments[:half], arguments[half:]]


def _step(asked: Generation, text: str, *, streamed: bool) -> dict[str, Any]:
    logprobs = _logprobs(asked, text)
    if not asked.chat:
        return {"text": text, "logprobs": logprobs}
    if asked.tool is None:
        return {"delta": {"content": text}, "logprobs": logprobs}
    call: dict[str, Any] = {"index": 0, "function": {"arguments": text}}
    if text.startswith("{"):
        call = {"index": 0, "id": "call_0", "type": "function", "function": {"name": asked.tool, "arguments": text}}
    return {"delta": {"tool_calls": [call]}, "logprobs": None}


def _whole_choice(asked: Generation, text: str) -> dict[str, Any]:
    if not asked.chat:
        return {"text": text, "logprobs": _logprobs(asked, text)}
    if asked.tool is None:
        return {"message": {"role": "assistant", "content": text}, "logprobs": _logprobs(asked, text)}
    call = {"id": "call_0", "type": "function", "function": {"name": asked.tool, "arguments": text}}
    return {"message": {"role": "assistant", "content": None, "tool_calls": [call]}, "logprobs": None}


def _logprobs(asked: Generation, text: str) -> Any:
    if not asked.logprobs:
        return None
    if asked.chat:
        return {"content": [{"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}]}
    return {"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": [0]}


def _finish(asked: Generation) -> str:
    return "length" if asked.tool is None else "tool_calls"
