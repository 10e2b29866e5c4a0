"""Streams that break, and go on from another engine: over real sockets, in front of every way to break off."""

from __future__ import annotations

import orjson
import pytest
from pytest_twisted import ensureDeferred

from aibrix_twisted.domain.settings import Timeouts
from tests.e2e.client import ask, chat
from tests.e2e.harness import World

TOKENS = 24

#: What an engine does in the middle of a stream.
FAULTS = (
    "cut=1500", "rst=1500", "split,cut=2500", "bad_chunk", "early_done", "error_event", "hang_after=9", "fuse=3,cut=1500",
    "merge=4,cut=1500", "hollow,cut=3000", "crlf,cut=2000",
)  # fmt: skip


@pytest.mark.parametrize("profile", ["vllm", "sglang"])
@pytest.mark.parametrize("fault", FAULTS)
@ensureDeferred
async def test_one_stream(fault: str, profile: str) -> None:
    """Whichever engine fails it: the text of an undisturbed one, one id, usage for the whole, C{[DONE]} once."""
    if profile == "sglang" and fault.startswith("fuse"):
        fault = "cut=1200"  # by text, tokens are counted by events
    timeouts = Timeouts(stall=0.6)
    async with World(engines=3, profile=profile, timeouts=timeouts, engine=profile) as world:
        for engine in world.engines:
            engine._seed = 7
        path = "/v1/completions"
        request = {"model": "demo-model", "prompt": "a b c", "max_tokens": TOKENS, "temperature": 0, "stream": True}
        request["stream_options"] = {"include_usage": True}
        if profile == "vllm":
            path, request = "/v1/chat/completions", {**request, "messages": chat()["messages"]}
            del request["prompt"]
        whole = _text(await _events(world, path, request))
        for engine in world.engines[:2]:
            engine.faults.arm(fault, count=100)
        for _ in range(6):
            events = await _events(world, path, request)
            assert _text(events) == whole
            assert len({event["id"] for event in events}) == 1
            usages = [event["usage"] for event in events if event.get("usage")]
            assert [usage["completion_tokens"] for usage in usages] == [TOKENS]
        await world.until(world.settled)
        assert {str(exchange.outcome) for exchange in world.over} == {"complete"}
        heals = [str(exchange.heal) for exchange in world.over if exchange.heal is not None]
        assert set(heals) <= {"healed"}
        assert heals or fault == "bad_chunk"  # that comes before anything else, and is a retry
        assert world.gateway.exchanges.late["end"] == 0


async def _events(world: World, path: str, request: dict[str, object]) -> list[dict[str, object]]:
    answer = await ask(world.port, path, request)
    assert (answer.status, answer.whole, answer.events[-1]) == (200, True, b"[DONE]"), answer
    assert answer.events.count(b"[DONE]") == 1
    return [orjson.loads(event) for event in answer.events[:-1]]


def _text(events: list[dict[str, object]]) -> str:
    choices = [choice for event in events for choice in event["choices"]]  # type: ignore[attr-defined]
    assert sum("role" in choice.get("delta", {}) for choice in choices) == ("delta" in choices[0])
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)
