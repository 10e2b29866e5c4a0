"""The openai SDKs, through the gateway, before each real engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.engines import home, processes
from tests.engines.clients import client_of
from tests.engines.conftest import Stand

MESSAGES: Any = [{"role": "user", "content": "say something long about copper rivers"}]


def sdk(stand: Stand) -> openai.OpenAI:
    """A client that does not retry, so that every failure is seen."""
    return client_of(stand.url)


def test_models(stand: Stand) -> None:
    """The engine's model is listed, and can be asked for by name."""
    assert stand.model in [model.id for model in sdk(stand).models.list()]


def test_chat(stand: Stand) -> None:
    """A whole answer, with its usage and our headers."""
    raw = sdk(stand).chat.completions.with_raw_response.create(model=stand.model, messages=MESSAGES, max_tokens=12)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert raw.headers["x-aibrix-replica"] == stand.name
    assert raw.headers["x-request-id"]


def test_chat_stream(stand: Stand) -> None:
    """Events one by one; no usage for a client that did not ask, though the gateway asked for it."""
    chunks = list(sdk(stand).chat.completions.create(model=stand.model, messages=MESSAGES, max_tokens=12, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("length", "stop")
    if stand.name != "transformers":  # which says usage whether asked or not, in its last event
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_include_usage(stand: Stand) -> None:
    """A client that asks for usage gets it."""
    chunks = list(
        sdk(stand).chat.completions.create(
            model=stand.model, messages=MESSAGES, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    )
    usage = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert usage[-1].completion_tokens >= 1


def test_completions(stand: Stand) -> None:
    """The older way, whole and streamed."""
    client = sdk(stand)
    whole = client.completions.create(model=stand.model, prompt="copper", max_tokens=8)
    assert whole.choices[0].text
    chunks = list(client.completions.create(model=stand.model, prompt="copper", max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


def test_two_choices(stand: Stand) -> None:
    """n=2, where the engine can: both finish."""
    if stand.name != "vllm":
        return  # llama-server and transformers serve take n=1 only
    client = sdk(stand)
    answer = client.chat.completions.create(model=stand.model, messages=MESSAGES, max_tokens=8, n=2)
    assert len(answer.choices) == 2
    finished = {
        choice.index
        for chunk in client.chat.completions.create(
            model=stand.model, messages=MESSAGES, max_tokens=8, n=2, stream=True
        )
        for choice in chunk.choices
        if choice.finish_reason
    }
    assert finished == {0, 1}


def test_logprobs(stand: Stand) -> None:
    """Passed on as they are."""
    if stand.name == "transformers":
        return  # it has none
    answer = sdk(stand).chat.completions.create(
        model=stand.model, messages=MESSAGES, max_tokens=4, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None and len(logprobs.content) >= 1


def test_tools(stand: Stand) -> None:
    """A forced tool call, whole and streamed, where the engine has them."""
    if stand.name != "vllm":
        return
    tool: Any = {
        "type": "function",
        "function": {
            "name": "look_up",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        },
    }
    choice: Any = {"type": "function", "function": {"name": "look_up"}}
    client = sdk(stand)
    chunks = client.chat.completions.create(
        model=stand.model, messages=MESSAGES, max_tokens=64, tools=[tool], tool_choice=choice, stream=True
    )
    calls = [call for chunk in chunks for part in chunk.choices for call in part.delta.tool_calls or []]
    assert calls[0].function is not None and calls[0].function.name == "look_up"


def test_engines_own_errors(stand: Stand) -> None:
    """An unknown model is ours to refuse; a bad parameter is the engine's, and comes through as it said it."""
    client = sdk(stand)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    stand.engine_tap.clear()
    stand.client_tap.clear()
    wrong: Any = {"max_tokens": "many", "ignore_eos": 7}  # each engine minds one of these
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model=stand.model, messages=MESSAGES, extra_body=wrong)
    assert refused.value.status_code in (400, 422, 500)
    assert stand.engine_tap.saw(processes.body_of(stand.client_tap.last()))  # among what the gateway asks by itself


def test_many_one_after_the_other(stand: Stand) -> None:
    """Forty requests on one client, streamed and not: the engine's way with connections never shows."""
    client = sdk(stand)
    for number in range(40):
        stream = number % 3 != 0
        answer: Any = client.chat.completions.create(model=stand.model, messages=MESSAGES, max_tokens=3, stream=stream)
        if stream:
            assert [chunk for chunk in answer if chunk.choices][-1].choices[0].finish_reason
        else:
            assert answer.choices[0].finish_reason


def test_after_the_engines_idle_limit(stand: Stand) -> None:
    """Engines close idle connections after five seconds; the next request does not notice."""
    client = sdk(stand)
    for _ in range(2):
        assert client.chat.completions.create(model=stand.model, messages=MESSAGES, max_tokens=2).choices
        time.sleep(5.2)


def test_a_client_that_leaves(stand: Stand) -> None:
    """The engine stops computing soon after."""
    stream = sdk(stand).chat.completions.create(
        model=stand.model, messages=MESSAGES, max_tokens=1500, temperature=0, stream=True
    )
    next(iter(stream))
    if stand.name == "vllm":
        assert "vllm:num_requests_running{" in stand.engine.get("/metrics")
    stream.close()
    if stand.name == "vllm":
        deadline = time.monotonic() + 30
        while _running(stand) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _running(stand) == 0
    assert sdk(stand).chat.completions.create(model=stand.model, messages=MESSAGES, max_tokens=2).choices


def _running(stand: Stand) -> float:
    lines = [
        line for line in stand.engine.get("/metrics").splitlines() if line.startswith("vllm:num_requests_running{")
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.mark.parametrize("stream", [False, True])
def test_bytes_are_the_engines(stand: Stand, stream: bool) -> None:
    """Taps on both sides: the bodies are the same, byte for byte.

    Read raw, for the SDK's own stream closes its connection at C{[DONE]}, before the last chunk may have come.
    """
    more: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    stand.engine_tap.clear()
    stand.client_tap.clear()
    raw = sdk(stand).chat.completions.with_streaming_response
    with raw.create(model=stand.model, messages=MESSAGES, max_tokens=10, **more) as answer:
        answer.read()
    body = processes.body_of(stand.client_tap.last())
    assert body
    assert stand.engine_tap.saw(body)


def test_embeddings() -> None:
    """llama-server as an embedder."""
    engine = processes.llama_server("--embeddings", "--pooling", "mean")
    gateway = processes.gateway(f"embedder={engine.url}")
    try:
        client = client_of(gateway.url)
        answer = client.embeddings.create(model="tiny", input=["copper river", "lantern"])
        assert len(answer.data) == 2 and len(answer.data[0].embedding) == 64
        assert answer.usage.prompt_tokens > 0
        seen = node_sdk(gateway.url, "tiny", "embeddings")
        assert seen["embeddings"] == [64, 64] and seen["prompt_tokens"] > 0
    finally:
        assert gateway.stop() == 0
        engine.stop()


#: What each engine can do beyond the rest.
_CAN = {"vllm": "choices,logprobs,tools", "llama": "logprobs"}


def node_sdk(url: str, model: str, can: str) -> dict[str, Any]:
    """What OpenAI's other SDK sees."""
    if not shutil.which("node") or not (home.NODE / "node_modules/openai").exists():
        pytest.skip("there is no node, or its SDK is not set up: python -m tests.engines.setup_engines")
    script = home.NODE / "client.mjs"
    shutil.copy(Path(__file__).with_name("node_client.mjs"), script)
    done = subprocess.run(
        ["node", script, f"{url}/v1", model, can], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_the_node_sdk(stand: Stand) -> None:
    """The same, in a script that says what it saw."""
    can = _CAN.get(stand.name, "")
    seen = node_sdk(stand.url, stand.model, can)
    assert seen["whole"] and seen["streamed"] and seen["completion"] and seen["models"]
    assert seen["usage"] >= 1
    assert seen["error"] == "model_not_found"
    assert seen.get("choices") == ([0, 1] if "choices" in can else None)
    assert ("logprobs" in can) == (seen.get("logprobs", 0) >= 1)
    assert seen.get("tool") == ("look_up" if "tools" in can else None)
