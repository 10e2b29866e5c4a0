"""Every fault of an engine: what its client sees, and what is counted."""

from __future__ import annotations

import pytest
from pytest_twisted import ensureDeferred

from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.domain.settings import ModelSettings, QueueSettings, Retry, Timeouts
from tests.e2e.client import ask, chat
from tests.e2e.harness import World

SHORT = Timeouts(first_byte=0.3, stall=0.3, connect=1.0)

#: fault: status, code of the error or "" for the engine's own answer, outcome.  For an answer that is not streamed.
WHOLE = {
    "cut=40": (502, "upstream_truncated", "truncated"),
    "rst=40": (502, "upstream_broke", "broken"),
    "cut=0": (502, "upstream_truncated", "truncated"),
    "close_before_last_chunk": (200, "", "complete"),
    "close_after_last_chunk": (200, "", "complete"),
    "rst_after_last_chunk": (200, "", "complete"),
    "wrong_length=5": (502, "upstream_truncated", "truncated"),
    "wrong_length=-5": (200, "", "malformed"),
    "malformed_json": (200, "", "malformed"),
    "empty_body": (200, "", "malformed"),
    "no_text": (200, "", "complete"),
    "bad_head": (502, "upstream_broke", "broken"),
    "both_lengths": (502, "upstream_broke", "broken"),
    "huge_head": (502, "upstream_broke", "broken"),
    "two_heads": (200, "", "malformed"),
    "interim_103": (200, "", "complete"),
    "garbage_after": (200, "", "complete"),
    "http10": (200, "", "complete"),
    "http10,cut=40": (502, "upstream_truncated", "truncated"),
    "gzip_claim": (200, "", "complete"),
    "refuse_bytes": (502, "upstream_truncated", "truncated"),
    "hang": (504, "upstream_timeout", "timed_out"),
    "idle_close": (200, "", "complete"),
    "split": (200, "", "complete"),
    "drip=0": (200, "", "complete"),
    "status=500": (500, "", "complete"),
    "status=429": (429, "", "complete"),
    "status=503": (503, "", "complete"),
    "status=404": (404, "", "complete"),
}

#: How a stream that is not gone on with ends; test_healing.py has those that are.
UNHEALED = (ModelSettings(name="demo-model", heal="off"),)

#: fault: status, whether the stream has a clean end, code of the error in a last event or "", outcome.
STREAMED = {
    "cut=300": (200, False, "upstream_truncated", "truncated"),
    "rst=300": (200, False, "upstream_broke", "broken"),
    "cut=0": (502, True, "upstream_truncated", "truncated"),
    "rst=0": (502, True, "upstream_broke", "broken"),
    "close_before_last_chunk": (200, False, "upstream_truncated", "truncated"),
    "rst_before_last_chunk": (200, False, "upstream_broke", "broken"),
    "close_after_last_chunk": (200, True, "", "complete"),
    "rst_after_last_chunk": (200, True, "", "complete"),
    "duplicate_last_chunk": (200, True, "", "complete"),
    "garbage_after": (200, True, "", "complete"),
    "no_done": (200, True, "", "malformed"),
    "early_done": (200, True, "", "malformed"),
    "malformed_json": (200, True, "", "malformed"),
    "empty_body": (200, True, "", "malformed"),
    "error_event": (200, True, "", "broken"),
    "bad_chunk": (502, True, "upstream_broke", "broken"),
    "bad_head": (502, True, "upstream_broke", "broken"),
    "huge_head": (502, True, "upstream_broke", "broken"),
    "two_heads": (502, True, "upstream_broke", "broken"),
    "interim_103": (200, True, "", "complete"),
    "http10": (200, True, "", "complete"),
    "http10,cut=300": (200, False, "upstream_truncated", "truncated"),
    "http10,no_done": (200, False, "upstream_truncated", "truncated"),
    "hang": (504, True, "upstream_timeout", "timed_out"),
    "hang_after=0": (504, True, "upstream_timeout", "timed_out"),
    "hang_after=2": (200, False, "upstream_timeout", "timed_out"),
    "merge=3": (200, True, "", "complete"),
    "fuse=3": (200, True, "", "complete"),
    "hollow": (200, True, "", "complete"),
    "no_text": (200, True, "", "complete"),
    "dies": (200, True, "", "broken"),
    "split": (200, True, "", "complete"),
    "drip=0": (200, True, "", "complete"),
    "crlf": (200, True, "", "complete"),
    "cr": (200, True, "", "complete"),
    "split,crlf": (200, True, "", "complete"),
    "split,close_before_last_chunk": (200, False, "upstream_truncated", "truncated"),
    "gzip_claim": (200, True, "", "complete"),
    "status=500": (500, True, "", "complete"),
    "refuse_bytes": (502, True, "upstream_truncated", "truncated"),
}


@pytest.mark.parametrize("fault", WHOLE)
@ensureDeferred
async def test_a_whole_answer(fault: str) -> None:
    """One answer, with the status that the fault deserves; the error or the engine's own bytes; nothing left held."""
    status, code, outcome = WHOLE[fault]
    async with World(timeouts=SHORT, retry=Retry(attempts=1)) as world:
        answer = await ask(world.port, "/v1/chat/completions", chat(), headers={"x-demo-fault": fault})
        assert (answer.status, answer.whole) == (status, True), answer
        if code:
            assert answer.code == code
        assert answer.headers["x-request-id"]
        await world.until(world.settled)
        assert [exchange.outcome.value for exchange in world.over if exchange.outcome] == [outcome]
        assert [exchange.status for exchange in world.over] == [status]
        assert world.gateway.exchanges.late["end"] == 0


@pytest.mark.parametrize("fault", STREAMED)
@ensureDeferred
async def test_a_streamed_answer(fault: str) -> None:
    """A truncated stream never looks whole; a whole one is delivered; the error is in the last event."""
    status, whole, code, outcome = STREAMED[fault]
    async with World(timeouts=SHORT, retry=Retry(attempts=1), models=UNHEALED, engine="vllm") as world:
        request = chat(stream=True, tokens=6, stream_options={"include_usage": True})
        answer = await ask(world.port, "/v1/chat/completions", request, headers={"x-demo-fault": fault})
        assert (answer.status, answer.whole) == (status, whole), answer
        if code:
            assert answer.code == code
        elif status == 200 and outcome == "complete" and fault not in ("gzip_claim", "cr", "crlf", "split,crlf"):
            assert answer.events[-1] == b"[DONE]"
        await world.until(world.settled)
        assert [exchange.outcome.value for exchange in world.over if exchange.outcome] == [outcome]
        assert world.gateway.exchanges.late["end"] == 0


@pytest.mark.parametrize("profile", sorted(PROFILES))
@ensureDeferred
async def test_each_engines_habits(profile: str) -> None:
    """Streams and whole answers of each engine are whole, many on few connections, whatever it does between them."""
    async with World(profile=profile, serves=("demo-model",)) as world:
        for number in range(12):
            stream = number % 2 == 0
            answer = await ask(world.port, "/v1/chat/completions", chat(stream=stream))
            assert (answer.status, answer.whole) == (200, True), answer
        await world.until(world.settled)
        assert {exchange.outcome.value for exchange in world.over if exchange.outcome} == {"complete"}


@pytest.mark.parametrize(
    "fault", ["cut=40", "rst=40", "cut=0", "refuse_bytes", "bad_head", "wrong_length=9", "huge_head"]
)
@pytest.mark.parametrize("stream", [False, True])
@ensureDeferred
async def test_another_replica_is_tried(fault: str, stream: bool) -> None:
    """What failed before the client got anything is repeated where it may work, and the client sees one answer."""
    if stream and fault in ("cut=40", "rst=40", "wrong_length=9"):
        fault = "cut=0"
    async with World(engines=3, policy="round-robin") as world:
        world.engines[0].faults.arm(fault)
        world.engines[1].faults.arm(fault)
        answer = await ask(world.port, "/v1/chat/completions", chat(stream=stream))
        assert (answer.status, answer.whole) == (200, True), answer
        assert (answer.headers["x-aibrix-replica"], answer.headers["x-aibrix-attempts"]) == ("e2", "3")
        await world.until(world.settled)
        assert [exchange.attempts for exchange in world.over] == [3]


@ensureDeferred
async def test_a_replica_that_refuses_is_not_an_attempt() -> None:
    """A refused connect sent nothing: the next replica is the first attempt.  Where nobody may wait, that is said."""
    async with World(engines=2, policy="round-robin", queue=QueueSettings(wait_down=0.0)) as world:
        await world.engines[0].stop()
        for _ in range(4):
            answer = await ask(world.port, "/v1/chat/completions", chat())
            assert answer.status == 200
            assert "x-aibrix-attempts" not in answer.headers
        await world.engines[1].stop()
        answer = await ask(world.port, "/v1/chat/completions", chat())
        assert (answer.status, answer.code) == (502, "upstream_refused")
        await world.until(world.settled)


@ensureDeferred
async def test_stored_responses_are_not_repeated() -> None:
    """What an engine may have kept is sent once; a fresh connection each time, so that it cannot die unheard."""
    async with World(engines=2) as world:
        for engine in world.engines:
            engine.faults.arm("refuse_bytes")
        answer = await ask(world.port, "/v1/responses", {"model": "demo-model", "input": "x"})
        assert answer.status == 502
        assert sum(engine.stats.requests for engine in world.engines) == 3  # two asked for models, one was sent this
        answer = await ask(world.port, "/v1/responses", {"model": "demo-model", "input": "x", "store": False})
        assert answer.status == 404, "the demo engine has no such path, and says so itself"
