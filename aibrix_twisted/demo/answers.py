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
    prompt_ids = asked.ids if asked.token_ids else None
    if asked.chat and profile.first_delta:
        told = {"prompt_token_ids": prompt_ids} if profile.says_ids else {}
        for index in range(asked.choices):
            add([{"index": index, "delta": orjson.loads(profile.first_delta), "logprobs": None, **open_finish}], **told)
    pieces = [_fused(_pieces(asked, seed, index), fuse) for index in range(asked.choices)]
    for position in range(len(pieces[0])):
        for index in range(asked.choices):
            text, ids = pieces[index][position]
            more = {}
            if profile.says_ids and not asked.chat:
                more = {"prompt_token_ids": None if position else prompt_ids}
            if hollow:
                hollow_ids = _said(asked, profile, [])
                add([{"index": index, **_step(asked, "", streamed=True), **open_finish, **more, **hollow_ids}])
            said = _said(asked, profile, ids)
            add([{"index": index, **_step(asked, text, streamed=True), **open_finish, **more, **said}])
    for index in range(asked.choices):
        used: dict[str, Any] = {"usage": usage} if profile.usage_in_finish else {}
        last: dict[str, Any] = {"delta": {}} if asked.chat else {"text": ""}
        said = _said(asked, profile, [])
        add([{"index": index, **last, "logprobs": None, "finish_reason": _finish(asked), **said}], **used)
    if asked.include_usage and profile.usage_event:
        timings = {"prompt_n": len(asked.prompt), "predicted_n": asked.tokens}
        add([], usage=usage, **({"timings": timings} if profile.timings else {}))
    if profile.done:
        events.append(DONE)
    return events


def _fused(pieces: list[tuple[str, int]], count: int) -> list[tuple[str, list[int]]]:
    parts = [pieces[at : at + count] for at in range(0, len(pieces), count)]
    return [("".join(text for text, _ in part), [token for _, token in part]) for part in parts]


def _said(asked: Generation, profile: Profile, ids: list[int]) -> dict[str, Any]:
    """vLLM's word on the tokens that an event stands for."""
    return {"token_ids": ids if asked.token_ids else None} if profile.says_ids else {}


def whole_of(asked: Generation, profile: Profile, id: str, seed: int, cached: int) -> bytes:
    """An answer that is not streamed."""
    choices = []
    for index in range(asked.choices):
        text = "".join(text for text, _ in _pieces(asked, seed, index))
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


def _pieces(asked: Generation, seed: int, index: int) -> list[tuple[str, int]]:
    if asked.tool is None:
        return list(tokens(seed, index, asked.ids, asked.tokens, space=asked.begun))
    arguments = orjson.dumps({"place": next(tokens(seed, index, asked.ids, 1))[0]}).decode()
    half = len(arguments) // 2
    return [(arguments[:half], 0), (arguments[half:], 0)]


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
