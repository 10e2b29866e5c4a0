"""What real engines were seen to do, and no standard says: the gateway before each of these habits."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.demo.speed import Speed
from aibrix_twisted.domain.settings import QueueSettings, Retry, Timeouts
from tests.e2e.client import Answer, ask, chat, connect
from tests.e2e.fleet import QUICK, Fleet
from tests.e2e.harness import World
from tests.e2e.secure import TLS_TABLE

CHAT = "/v1/chat/completions"

#: Slow enough that a stream is under way while something else happens.
SLOW = Speed(prefill=0.0, decode=50.0, batch=1 << 30, prefix_cache=False)


def outcomes(world: World) -> list[str]:
    """Of all that is over."""
    return [exchange.outcome.value for exchange in world.over if exchange.outcome]


# -- connections -------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_llama_server_closes_after_a_hundred() -> None:
    """It says so in the last answer's head; nobody's request is lost over it."""
    async with World(profile="llamacpp") as world:
        client = await connect(world.port)
        for _ in range(250):
            answer = await client.request(CHAT, chat())
            assert (answer.status, answer.whole) == (200, True)
            assert "x-aibrix-attempts" not in answer.headers
        assert 3 <= world.engines[0].stats.connections <= 6  # probes have theirs
        client.reset()


@ensureDeferred
async def test_connections_that_die_of_idleness() -> None:
    """Asked again just when the engine closes them, many times over: nobody notices."""
    async with World() as world:
        world.engines[0].profile = replace(PROFILES["vllm"], idle_limit_s=0.05)
        client = await connect(world.port)
        for number in range(60):
            answer = await client.request(CHAT, chat(stream=bool(number % 2)))
            assert (answer.status, answer.whole) == (200, True), answer
            await deferLater(reactor, 0.045 + 0.0002 * number)
        assert world.engines[0].stats.connections > 10
        client.reset()


# -- events ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hollow", "fuse=3", "hollow,fuse=2", "no_text", "split,fuse=5", ""])
@pytest.mark.parametrize("profile", sorted(PROFILES))
@ensureDeferred
async def test_events_are_not_tokens(profile: str, fault: str) -> None:
    """Empty deltas, several tokens in one event, none at all, a first event with a role or without one: the stream is
    whole, its tokens are those that its usage says, and its bytes are the engine's."""
    async with World(profile=profile, serves=("demo-model",)) as world:
        headers = {"x-demo-fault": fault} if fault else {}
        options = {} if profile == "transformers" else {"stream_options": {"include_usage": True}}
        asked = chat(stream=True, tokens=7, **options)
        answer = await ask(world.port, CHAT, asked, headers=headers)
        direct = await ask(world.ports[0].getHost().port, CHAT, asked, headers=headers)
        assert (answer.status, answer.whole) == (200, True)
        assert shape(answer) == shape(direct)
        await world.until(world.settled)
        assert outcomes(world) == ["complete"]
        says = PROFILES[profile].usage_event or PROFILES[profile].usage_in_finish
        assert world.over[-1].output_tokens == ((0 if fault == "no_text" else 7) if says else None)


def shape(answer: Answer) -> bytes:
    """Its body, without the id, which counts the requests."""
    document: Any = orjson.loads(answer.events[0])
    return answer.body.replace(document["id"].encode(), b"ID")


@ensureDeferred
async def test_tool_calls_in_deltas() -> None:
    """As vLLM streams them: the arguments add up."""
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    async with World(profile="vllm") as world:
        answer = await ask(world.port, CHAT, chat(stream=True, tools=[tool], tool_choice="required"))
        assert (answer.whole, answer.events[-1]) == (True, b"[DONE]")
        deltas = [orjson.loads(event)["choices"][0]["delta"] for event in answer.events[:-1]]
        calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
        assert calls[0]["name"] == "look_up"
        assert orjson.loads("".join(call["arguments"] for call in calls))
        await world.until(world.settled)
        assert outcomes(world) == ["complete"]


@ensureDeferred
async def test_a_stream_that_another_request_cuts() -> None:
    """llama-cpp-python serves one at a time: what it cuts ends with an early C{[DONE]}, passes as it is, and is
    counted.  It knows only the older of the two names of the bound."""
    async with World(profile="llamacpp_python", speed=SLOW) as world:
        client = await connect(world.port)
        first = client.request(CHAT, chat(stream=True, tokens=200))
        await client.head()
        document = chat(stream=True)
        del document["max_tokens"]
        second = await ask(world.port, CHAT, {**document, "max_completion_tokens": 2})
        assert (second.status, second.whole, second.events[-1]) == (200, True, b"[DONE]")
        assert len(second.events) == 1 + 16 + 1 + 1, "its own default of sixteen tokens"
        cut = await first
        assert (cut.whole, cut.events[-1]) == (True, b"[DONE]")
        assert len(cut.events) < 200
        await world.until(world.settled)
        assert sorted(outcomes(world)) == ["complete", "malformed"]
        client.reset()


# -- models and errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 500])
@ensureDeferred
async def test_an_engine_that_cannot_list_its_models(status: int) -> None:
    """transformers serve lists none, or fails to: told what it serves, the gateway believes its C{/health}; the answers
    name another model than was asked for, and unknown fields are refused in FastAPI's way."""
    async with Fleet(engines=1) as world:
        world.engines[0].profile = PROFILES["transformers"]
        world.engines[0].models_status = status
        await world.api("POST", "replicas", {"name": "e0", "url": world.urls[0], "models": ["demo-model"], **TLS_TABLE})
        await world.until(lambda: world.names == {"e0"})
        asked = world.engines[0].stats.requests
        await world.until(lambda: world.engines[0].stats.requests > asked + 6)  # probes go on
        assert world.names == {"e0"}
        answer = await ask(world.port, CHAT, chat())
        assert (answer.status, answer.json["model"]) == (200, "demo-model@main")
        refused = await ask(world.port, CHAT, chat(ignore_eos=True))
        assert refused.status == 422
        assert "ignore_eos" in refused.json["detail"]


@pytest.mark.parametrize("profile", sorted(PROFILES))
@ensureDeferred
async def test_prompts_that_do_not_fit(profile: str) -> None:
    """Each engine says so in its own way, and that is what the client reads."""
    async with World(profile=profile, serves=("demo-model",), demo={"context": 20}) as world:
        for stream in (False, True):
            document = chat(stream=stream, tokens=50)
            answer = await ask(world.port, CHAT, document)
            direct = await ask(world.ports[0].getHost().port, CHAT, document)
            assert (answer.status, answer.body) == (400, direct.body)
            assert answer.headers["content-type"] == direct.headers["content-type"]


@ensureDeferred
async def test_an_engine_that_wants_a_key() -> None:
    """It gets the one that is configured.  Where there is none, its refusal, an object whose error is no object, passes
    as it is."""
    key = Path(tempfile.mkdtemp()) / "key"
    key.write_text("sk-up\n")
    async with World(profile="vllm", demo={"api_key": "sk-up"}, api_key_file=str(key)) as world:
        assert (await ask(world.port, CHAT, chat(), headers={"authorization": "Bearer mine"})).status == 200
    async with World(profile="vllm", demo={"api_key": "sk-up"}, serves=("demo-model",)) as world:
        for stream in (False, True):
            answer = await ask(world.port, CHAT, chat(stream=stream), headers={"authorization": "Bearer sk-up"})
            assert (answer.status, answer.body) == (401, b'{"error":"Unauthorized"}')
    async with World(
        profile="vllm", demo={"api_key": "x"}, serves=("demo-model",), forward_authorization=True
    ) as world:
        assert (await ask(world.port, CHAT, chat(), headers={"authorization": "Bearer x"})).status == 200


@ensureDeferred
async def test_an_engine_that_echoes_the_requests_id() -> None:
    """The client reads it once."""
    async with World(profile="vllm", demo={"echo_request_id": True}) as world:
        for stream in (False, True):
            answer = await ask(world.port, CHAT, chat(stream=stream), headers={"x-request-id": "mine-1"})
            assert [value for name, value in answer.lines if name == "x-request-id"] == ["mine-1"]


@ensureDeferred
async def test_a_health_check_that_costs_tokens() -> None:
    """SGLang generates when it is asked for its health: it is not asked."""
    async with Fleet(0, engines=1) as world:
        world.engines[0].profile = PROFILES["sglang"]
        await world.until(lambda: world.gateway.fleet.replicas[0].engine == "sglang")
        asked = world.engines[0].stats.requests
        await world.until(lambda: world.engines[0].stats.requests > asked + 5)
        assert world.engines[0].stats.generated_tokens == 0


# -- deaths ------------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_vllms_engine_process_dies() -> None:
    """An error event, then C{[DONE]}, in a 200; from then on it says 500 and is not well, though its models are still
    listed: it is left out until it is well again, and the other one serves."""
    async with Fleet(0, 1, more=QUICK + '[heal]\nmode = "off"\n') as world:
        for engine in world.engines:
            engine.profile = PROFILES["vllm"]
        await world.until(lambda: {replica.engine for replica in world.gateway.fleet.replicas} == {"vllm"})
        answer = await ask(world.port, CHAT, chat(stream=True), headers={"x-demo-fault": "dies"})
        assert (answer.status, answer.whole, answer.events[-1]) == (200, True, b"[DONE]")
        assert b'"error"' in answer.body
        assert outcomes(world) == ["broken"]
        dead = next(engine for engine in world.engines if not engine.well)
        for _ in range(8):
            answer = await ask(world.port, CHAT, chat())
            assert (answer.status, answer.headers["x-aibrix-replica"] != dead.name) == (200, True)
        await world.until(lambda: dead.name not in world.names)
        assert "503" in (await world.facts(dead.name))["reason"]
        dead.well = True
        await world.until(lambda: dead.name in world.names)


#: profile: whether the stream looks whole, its error, its outcome.
ENDS = {
    "sglang": (True, "", "complete"),
    "transformers": (True, "", "complete"),
    "llamacpp_python": (False, "upstream_truncated", "truncated"),
    "llamacpp": (False, "upstream_timeout", "timed_out"),
    "vllm": (True, "", "malformed"),
}


@pytest.mark.parametrize("profile", sorted(ENDS))
@ensureDeferred
async def test_sigterm_amid_a_stream(profile: str) -> None:
    """One finishes what it has, one cuts it, one stalls, one ends it as if it were whole: only what is whole, or what
    its engine framed as whole, has an end; what was cut says so."""
    whole, code, outcome = ENDS[profile]
    async with World(
        profile=profile,
        speed=SLOW,
        serves=("demo-model",),
        timeouts=Timeouts(stall=1.0),
        queue=QueueSettings(wait_down=0.0),
    ) as world:
        client = await connect(world.port)
        streaming = client.request(CHAT, chat(stream=True, tokens=60))
        await client.head()
        terminated = Deferred.fromCoroutine(world.engines[0].terminate())
        answer = await streaming
        assert (answer.status, answer.whole) == (200, whole), answer
        if code:
            assert answer.code == code
        await world.until(world.settled)
        assert outcomes(world) == [outcome]
        assert (await ask(world.port, CHAT, chat())).status in (502, 503), "as a probe has found it gone, or not yet"
        if not client.lost:
            client.reset()
        await terminated


@ensureDeferred
async def test_chaos() -> None:
    """Refusals, failures, resets and rubbish from one of two: whatever may be asked for elsewhere is."""
    async with World(engines=2, retry=Retry(attempts=5, backoff=0.0)) as world:
        faults = ("status=429", "status=500", "rst=0", "refuse_bytes", "status=503", "bad_head")
        for number in range(60):
            world.engines[0].faults.arm(faults[number % len(faults)])
        for number in range(120):
            answer = await ask(world.port, CHAT, chat(stream=bool(number % 2)))
            assert (answer.status, answer.whole) == (200, True), answer
        await world.until(world.settled)
        assert set(outcomes(world)) == {"complete"}
