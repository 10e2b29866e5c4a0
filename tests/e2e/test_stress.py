"""The story that the project began with, at length: engines that end their answers in every way, thousands of times."""

from __future__ import annotations

import gc
import os
import random
from collections import Counter, deque
from pathlib import Path
from unittest import mock

import orjson
import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from aibrix_twisted.domain.settings import ModelSettings, Retry
from aibrix_twisted.service.telemetry.book import KEPT
from tests.e2e.client import Answer, chat, connect
from tests.e2e.harness import World

#: The decoder that is watched.
LOADS = orjson.loads

#: STRESS=1 is what is promised; a tenth of it is run each time.
FULL = os.environ.get("STRESS") == "1"
EXCHANGES = 20_000 if FULL else 2_000
CONNECTIONS = 64
EACH = -(-EXCHANGES // CONNECTIONS)
STREAMS = 100_000 if FULL else 3_000

#: What is truncated is to be seen to be.
UNHEALED = (ModelSettings(name="demo-model", heal="off"),)

#: What the engine does at the end of an answer, and whether that leaves a stream, or a whole answer, whole.
ENDINGS = {
    "": (True, True),
    "close_after_last_chunk": (True, True),
    "rst_after_last_chunk": (True, True),
    "duplicate_last_chunk": (True, True),
    "garbage_after": (True, True),
    "close_before_last_chunk": (False, True),
    "rst_before_last_chunk": (False, False),
    "cut=150": (False, False),
    "rst=150": (False, False),
}


class Tally:
    """What the clients saw."""

    def __init__(self) -> None:
        self.right = 0
        self.wrong: list[tuple[str, bool, Answer]] = []
        self.kinds: Counter[str] = Counter()

    def judge(self, fault: str, stream: bool, answer: Answer) -> None:
        """Every truncated answer visible as an error, every whole one delivered."""
        name = fault.removeprefix("split,").removeprefix("split")
        streamed_whole, answer_whole = ENDINGS[name]
        if streamed_whole if stream else answer_whole:
            right = answer.status == 200 and answer.whole and _stands(answer, stream)
        elif stream:
            right = not answer.whole or answer.status == 502
            right = right and answer.code in ("upstream_truncated", "upstream_broke")
        elif name == "rst_before_last_chunk":
            # all bytes that its length promised were sent, and then a reset: whichever arrives first is right
            right = answer.whole and answer.status in (200, 502)
        else:
            right = answer.whole and answer.status == 502
        self.kinds[f"{name or 'plain'} {'stream' if stream else 'whole'}"] += 1
        if right:
            self.right += 1
        else:
            self.wrong.append((fault, stream, answer))


def _stands(answer: Answer, stream: bool) -> bool:
    if stream:
        return answer.events[-1] == b"[DONE]"
    return bool(LOADS(answer.body)["choices"])


async def client_of(port: int, lot: random.Random, count: int, tally: Tally) -> None:
    """One connection's worth of exchanges; a new connection where the last one was closed."""
    client = await connect(port)
    for _ in range(count):
        if client.lost:
            client = await connect(port)
        stream = lot.random() < 0.6
        fault = lot.choice(list(ENDINGS))
        if lot.random() < 0.5:
            fault = f"split,{fault}" if fault else "split"
        answer = await client.request(
            "/v1/chat/completions", chat(stream=stream, tokens=lot.randrange(1, 12)), headers={"x-demo-fault": fault}
        )
        tally.judge(fault, stream, answer)
        if not answer.whole or answer.headers.get("connection") == "close":
            await client.closed
    if not client.lost:
        client.transport.loseConnection()
        await client.closed


@ensureDeferred
async def test_every_ending_thousands_of_times() -> None:
    """No double decode, no empty decode, in-flight back to zero, nothing truncated that looks whole."""
    decoded: list[bytes] = []

    def counted(body: bytes | str) -> object:
        if isinstance(body, bytes) and (not body or b'"object":"chat.completion"' in body):  # not requests, nor events
            decoded.append(body)
        return LOADS(body)

    tally, lot = Tally(), random.Random(20_000)
    async with World(engines=2, retry=Retry(attempts=1), models=UNHEALED, engine="vllm") as world:
        with mock.patch.object(orjson, "loads", counted):
            clients: list[Deferred[None]] = [
                Deferred.fromCoroutine(client_of(world.port, random.Random(lot.random()), EACH, tally))
                for _ in range(CONNECTIONS)
            ]
            await gatherResults(clients, consumeErrors=True)
        await world.until(world.settled)
        total = EACH * CONNECTIONS
        assert not tally.wrong, (len(tally.wrong), tally.wrong[:3])
        assert tally.right == total == len(world.over)
        assert all(decoded), "an empty buffer was decoded"
        whole = [over for over in world.over if not over.stream and over.status == 200]
        assert len(decoded) >= len(whole), "a whole answer was not decoded"
        assert len(decoded) <= len([over for over in world.over if not over.stream]), "one was decoded twice"
        assert world.gateway.exchanges.late["end"] == 0
        for replica in world.gateway.fleet.replicas:
            assert replica.load.in_flight == 0
            assert set(replica.load.by_model.values()) == {0}
        print(f"\n{total} exchanges: {dict(sorted(tally.kinds.items()))}")


@ensureDeferred
async def test_an_engine_that_closes_idle_connections() -> None:
    """It closes at random after its answers, unannounced: not one client error."""
    lot = random.Random(7)
    async with World(engines=2) as world:

        async def one_client(count: int) -> int:
            client = await connect(world.port)
            bad = 0
            for _ in range(count):
                fault = "idle_close" if lot.random() < 0.3 else ""
                answer = await client.request(
                    "/v1/chat/completions",
                    chat(stream=lot.random() < 0.5),
                    headers={"x-demo-fault": fault} if fault else {},
                )
                bad += not (answer.status == 200 and answer.whole)
                if answer.headers.get("connection") == "close":  # it has had as many as a connection may
                    await client.closed
                    client = await connect(world.port)
                if lot.random() < 0.02:
                    await deferLater(reactor, lot.uniform(0, 0.01))
            client.transport.loseConnection()
            return bad

        count = EXCHANGES // 16
        results = await gatherResults([Deferred.fromCoroutine(one_client(count)) for _ in range(16)])
        assert sum(results) == 0
        await world.until(world.settled)
        assert {over.status for over in world.over} == {200}


@ensureDeferred
async def test_streams_that_are_left_do_not_add_up() -> None:
    """A third of all streams aborted by their clients: memory at the end is what it was after the first tenth."""
    lot = random.Random(11)

    async with World(engines=2) as world:
        left = STREAMS
        world.gateway.exchanges.book.past = deque(maxlen=KEPT)  # as it is shipped: it is its memory that is looked at

        async def one_client() -> None:
            nonlocal left
            client = await connect(world.port)
            while left > 0:
                left -= 1
                if client.lost:
                    client = await connect(world.port)
                abort = lot.random() < 0.3
                answered = client.request("/v1/chat/completions", chat(stream=True, tokens=5))
                if abort:
                    if lot.random() < 0.5:
                        await client.head()
                    client.reset()
                    await client.closed
                else:
                    await answered
            if not client.lost:
                client.transport.loseConnection()
                await client.closed

        async def some(count: int) -> int:
            nonlocal left
            left = count
            await gatherResults([Deferred.fromCoroutine(one_client()) for _ in range(32)])
            await world.until(world.settled)
            world.over.clear()
            gc.collect()
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

        first = await some(STREAMS // 5)
        last = await some(STREAMS * 4 // 5)
        assert last - first < 3 << 20, f"grew by {(last - first) >> 10} KiB"
        await world.until(lambda: world.gateway.clients == 0)
        assert world.gateway.pool.open <= 64


@pytest.mark.parametrize("size", [1, 100, 65_536, 5_000_000])
@ensureDeferred
async def test_bodies_of_all_sizes_reach_the_engine_bit_for_bit(size: int) -> None:
    """A request's body is not changed, whatever its size and framing."""
    async with World() as world:
        document = chat()
        document["messages"][0]["content"] = "é" * size
        body = orjson.dumps(document)
        client = await connect(world.port)
        answer = await client.request("/v1/chat/completions", body=body, headers={"content-type": "application/json"})
        assert answer.status == 200
        assert world.engines[0].seen is not None
        assert world.engines[0].seen[1] == body
        client.reset()
        await client.closed
