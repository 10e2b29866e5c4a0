"""A client that does not keep up slows its engine down, and nobody else."""

from __future__ import annotations

import gc
from pathlib import Path

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import deferLater

from aibrix_twisted.domain.memory import Pressure
from aibrix_twisted.domain.settings import Limits, Timeouts
from tests.e2e.client import ask, chat, connect
from tests.e2e.harness import World

FLOOD_BYTES = 200_000_000


def resident_bytes() -> int:
    """What this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@ensureDeferred
async def test_a_client_that_stops_reading() -> None:
    """The engine has 200 MB to send; the gateway, with engine and client in the same process, grows by under 4 MiB."""
    async with World() as world:
        await ask(world.port, "/v1/chat/completions", chat(stream=True))
        client = await connect(world.port)
        gc.collect()
        before = resident_bytes()
        _ = client.request("/v1/chat/completions", chat(stream=True), headers={"x-demo-fault": f"flood={FLOOD_BYTES}"})
        await client.head()
        client.transport.pauseProducing()
        await deferLater(reactor, 1.5)
        held = client.got
        assert held < 1 << 20
        assert resident_bytes() - before < 4 << 20
        upstream = next(iter(world.gateway.pool._all))
        assert upstream._paused
        answer = await ask(world.port, "/v1/chat/completions", chat())
        assert answer.status == 200, "others are served meanwhile"
        client.transport.resumeProducing()
        await world.until(lambda: client.got > held + (8 << 20))
        client.reset()
        await world.until(world.settled)


@ensureDeferred
async def test_it_is_given_up_in_the_end() -> None:
    """A client that takes nothing for longer than it may is disconnected, and its engine is freed."""
    async with World(timeouts=Timeouts(client_stall=0.5)) as world:
        client = await connect(world.port)
        _ = client.request("/v1/chat/completions", chat(stream=True), headers={"x-demo-fault": f"flood={FLOOD_BYTES}"})
        await client.head()
        client.transport.pauseProducing()
        await world.until(lambda: world.over)
        assert world.over[0].status == 499
        await world.until(world.settled)
        client.reset()


@ensureDeferred
async def test_a_stalled_client_is_not_its_engines_fault() -> None:
    """While the client takes nothing, the engine's own stall deadline does not run."""
    async with World(timeouts=Timeouts(stall=0.6)) as world:
        client = await connect(world.port)
        size = 12_000_000
        answered = client.request("/v1/chat/completions", chat(stream=True), headers={"x-demo-fault": f"flood={size}"})
        await client.head()
        client.transport.pauseProducing()
        await deferLater(reactor, 2.0)
        client.transport.resumeProducing()
        answer = await answered
        assert answer.whole
        assert len(answer.body) >= size
        await world.until(world.settled)


@ensureDeferred
async def test_too_slow_for_the_settings() -> None:
    """Less than C{client_read_rate} for C{client_read_time}: it is cut off, and its engine freed."""
    limits = Limits(client_read_rate=1 << 30, client_read_time=0.5)
    async with World(limits=limits) as world:
        client = await connect(world.port)
        _ = client.request("/v1/chat/completions", chat(stream=True), headers={"x-demo-fault": f"flood={FLOOD_BYTES}"})
        await client.head()
        client.transport.pauseProducing()
        await world.until(lambda: world.over, 5)
        assert (world.over[0].status, world.over[0].outcome) == (499, "abandoned")
        assert "bytes a second" in world.over[0].reason
        await world.until(world.settled)
        client.reset()


@ensureDeferred
async def test_when_memory_is_full() -> None:
    """New requests are refused, with a word on when to come again; what is under way goes on."""
    async with World(limits=Limits(memory_bytes=60_000)) as world:
        client = await connect(world.port)
        _ = client.request("/v1/chat/completions", chat(stream=True), headers={"x-demo-fault": f"flood={FLOOD_BYTES}"})
        await client.head()
        client.transport.pauseProducing()
        memory = world.gateway.exchanges.memory
        await world.until(lambda: memory.pressure is Pressure.FULL)
        refused = await ask(world.port, "/v1/chat/completions", chat())
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        client.reset()
        await world.until(world.settled)
        await world.until(lambda: not memory.total)
        answer = await ask(world.port, "/v1/chat/completions", chat())
        assert answer.status == 200
