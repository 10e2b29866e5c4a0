"""A client that leaves, in each window: the engine is told within a tenth of a second, or is read to its end."""

from __future__ import annotations

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import deferLater

from aibrix_twisted.demo.speed import Speed
from tests.e2e.client import chat, connect
from tests.e2e.harness import World

SLOW = Speed(prefill=10.0, decode=20.0)  # 0.4 s until the first token, then one each 50 ms
SLOW_DECODE = Speed(prefill=0.0, decode=20.0)

WITHIN_S = 0.1
TRIES = 5


async def leave_in(window: str, world: World, *, reset: bool) -> float:
    """Leave in this window.

    @return: when.
    """
    client = await connect(world.port)
    engine = world.engines[0]
    asked = engine.stats.requests
    request = chat(stream=window != "not_streamed", tokens=200)
    _ = client.request("/v1/chat/completions", request)
    await world.until(lambda: engine.stats.requests > asked)
    if window == "mid_stream":
        await client.head()
        await deferLater(reactor, 0.12)
    elif window == "not_streamed":
        await deferLater(reactor, 0.05)
    left: float = reactor.seconds()  # type: ignore[attr-defined]
    if reset:
        client.reset()
    else:
        client.transport.loseConnection()
    return left


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("window", ["before_head", "mid_stream", "not_streamed"])
@ensureDeferred
async def test_the_engine_is_told(window: str, reset: bool) -> None:
    """Its connection is closed within 100 ms, the lease is back, and the outcome says that the client left.

    The best of some: whatever else this machine does takes longer now and then, and never each time.
    """
    took: list[float] = []
    async with World(speed=SLOW if window == "before_head" else SLOW_DECODE) as world:
        while len(took) < TRIES and min(took, default=WITHIN_S) >= WITHIN_S:
            left = await leave_in(window, world, reset=reset)
            await world.until(lambda: world.engines[0].stats.cancelled > len(took))
            took.append(reactor.seconds() - left)  # type: ignore[attr-defined]
            await world.until(world.settled)
            over = world.over[-1]
            assert (over.status, over.error, over.outcome.value if over.outcome else "") == (
                499,
                "client_gone",
                "abandoned",
            )
    assert min(took) < WITHIN_S, took


@pytest.mark.parametrize("window", ["before_head", "mid_stream", "not_streamed"])
@ensureDeferred
async def test_a_replica_that_drains_is_read_to_its_end(window: str) -> None:
    """Where it is so set the engine finishes, what it says of usage is counted, and its connection is used again."""
    speed = Speed(prefill=10.0 if window == "before_head" else 0.0, decode=400.0)
    async with World(speed=speed, on_client_gone="drain", engine="vllm") as world:
        await leave_in(window, world, reset=False)
        await world.until(world.settled)
        engine = world.engines[0]
        assert (engine.stats.cancelled, engine.stats.finished) == (0, 1)
        over = world.over[-1]
        assert (over.status, over.output_tokens) == (499, 200)
        assert world.gateway.pool.idle == 1


@ensureDeferred
async def test_a_client_that_leaves_while_its_request_is_read() -> None:
    """Nothing was sent to any engine; the exchange is logged as abandoned."""
    async with World() as world:
        asked = world.engines[0].stats.requests
        client = await connect(world.port)
        client.transport.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        await world.until(lambda: world.gateway.exchanges.under_way)
        client.reset()
        await world.until(lambda: world.over)
        assert world.over[0].status == 499
        assert world.engines[0].stats.requests == asked


@ensureDeferred
async def test_a_client_that_half_closes_has_left() -> None:
    """A FIN from a client ends its exchange: nobody could say later whether it still listens."""
    async with World(speed=SLOW_DECODE) as world:
        client = await connect(world.port)
        _ = client.request("/v1/chat/completions", chat(stream=True, tokens=200))
        await client.head()
        client.transport.loseWriteConnection()
        await world.until(lambda: world.engines[0].stats.cancelled == 1)
        await world.until(world.settled)


@ensureDeferred
async def test_many_leave_at_random() -> None:
    """Two hundred clients that leave whenever they like: every lease is back, every connection accounted for.

    One that resets its connection before the gateway has read anything of it has asked nothing.
    """
    import random

    lot = random.Random(5)
    async with World(engines=3, speed=Speed(prefill=500.0, decode=200.0)) as world:
        clients = []
        for _ in range(200):
            client = await connect(world.port)
            clients.append(client)
            _ = client.request("/v1/chat/completions", chat(stream=lot.random() < 0.7, tokens=20))
            reactor.callLater(  # type: ignore[attr-defined]
                lot.uniform(0, 0.15), client.reset if lot.random() < 0.5 else client.transport.loseConnection
            )
        await world.until(lambda: all(client.lost for client in clients))
        await world.until(lambda: world.settled() and world.gateway.clients == 0)
        assert 0 < len(world.over) <= 200
        assert {over.status for over in world.over} <= {200, 499}
        await world.until(lambda: not sum(engine.stats.running + engine.stats.waiting for engine in world.engines))
