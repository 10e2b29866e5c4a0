"""Streams as the engines write them, in small: what was seen of each, told in its own spelling."""

from __future__ import annotations

import orjson

_ID = '"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m"'


def _chat(delta: str, finish: str = "null", index: int = 0, more: str = "") -> str:
    return f'data: {{{_ID},"choices":[{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]{more}}}\n\n'


USAGE = '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}'
USAGE_EVENT = f'data: {{{_ID},"choices":[],{USAGE}}}\n\n'
DONE = "data: [DONE]\n\n"

VLLM = (
    _chat('{"role":"assistant","content":""}')
    + _chat('{"content":"Hello"}')
    + _chat('{"content":""}')
    + _chat('{"content":" \\"finish_reason\\":\\"stop\\" 🚀\\n"}')
    + _chat('{"content":"[DONE]"}')
    + _chat("{}", '"stop"')
)

#: name: stream, whether it ends with [DONE], events, output tokens.
STREAMS: dict[str, tuple[str, bool, int, int | None]] = {
    "vllm": (VLLM + DONE, True, 7, None),
    "vllm_usage": (VLLM + USAGE_EVENT + DONE, True, 8, 2),
    "llama_server": (
        _chat('{"role":"assistant","content":null}')
        + _chat('{"content":"Hel"}')
        + _chat('{"content":"lo wor ld"}')
        + _chat("{}", '"length"')
        + f'data: {{"choices":[],"created":1,"id":"c-1",{USAGE},"timings":{{"prompt_n":3}}}}\n\n'
        + DONE,
        True,
        6,
        2,
    ),
    "transformers": (
        f'data: {{{_ID},"choices":[{{"delta":{{"role":"assistant"}},"index":0}}]}}\n\n'
        f'data: {{{_ID},"choices":[{{"delta":{{"content":"Hi"}},"index":0}}]}}\n\n'
        f'data: {{{_ID},"choices":[{{"delta":{{}},"finish_reason":"stop","index":0}}],{USAGE}}}\n\n',
        False,
        3,
        2,
    ),
    "spaced": (
        'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}], "usage": null}\n\n'
        'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": null}\n\n' + DONE,
        True,
        3,
        None,
    ),
    "continuous_usage": (
        _chat('{"content":"a"}', more=',"usage":{"prompt_tokens":3,"completion_tokens":1}')
        + _chat('{"content":"b"}', '"stop"', more=',"usage":{"prompt_tokens":3,"completion_tokens":2}')
        + USAGE_EVENT
        + DONE,
        True,
        4,
        2,
    ),
    "comments": (": ping\n\n" + VLLM + ": ping\n\n" + DONE, True, 7, None),
    "crlf": ((VLLM + USAGE_EVENT + DONE).replace("\n\n", "\r\n\r\n"), True, 8, 2),
    "cr": ((VLLM + USAGE_EVENT + DONE).replace("\n\n", "\r\r"), True, 8, 2),
}

RESPONSES = (
    'event: response.created\ndata: {"type":"response.created","response":{"id":"r","usage":null}}\n\n'
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"hi"}\n\n'
    'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r","usage":'
    '{"input_tokens":3,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}}}}\n\n'
)

MESSAGES = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":'
    '{"input_tokens":3,"output_tokens":0,"cache_read_input_tokens":1}}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)

ERROR_EVENT = (
    'data: {"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","code":500}}\n\n'
)


def spoken(
    pieces: list[tuple[str, list[int]]], *, ids: bool, prompt: tuple[int, ...] = (1, 2, 3), finish: str = "length"
) -> list[str]:
    """A chat stream as vLLM sends it: the role, an event for each piece, its end.

    @param pieces: text, and the tokens that it is of.
    @param ids: C{return_token_ids} was asked for.
    """
    last = len(pieces) - 1
    events = [_vllm('{"role":"assistant","content":""}', "null", list(prompt) if ids else None, None)]
    for number, (text, tokens) in enumerate(pieces):
        delta = orjson.dumps({"content": text}).decode()
        events.append(_vllm(delta, f'"{finish}"' if number == last else "null", None, tokens if ids else None))
    return events


def _vllm(delta: str, finish: str, prompt: list[int] | None, tokens: list[int] | None) -> str:
    said = [orjson.dumps(value).decode() for value in (tokens, prompt)]
    return (
        f'data: {{{_ID},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish},'
        f'"token_ids":{said[0]}}}],"prompt_token_ids":{said[1]}}}\n\n'
    )
