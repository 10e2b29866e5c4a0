"""A client that is too slow has its answer from a file: the engine is done long before, and is free."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from aibrix_twisted.domain.settings import Limits, Timeouts
from tests.e2e.client import Client, ask, chat, connect
from tests.e2e.harness import World

SIZE = 20_000_000


def stream() -> Iterator[bytes]:
    """Events of C{SIZE} bytes and more, no two of them alike, and the end."""
    said = number = 0
    while said < SIZE:
        number += 1
        text = hashlib.sha512(b"%d" % number).hexdigest() * 8
        event = (
            'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"demo-model","choices":[{"index":0,'
            f'"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        ).encode()
        said += len(event)
        yield event
    yield (
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"demo-model","choices":[{"index":0,'
        b'"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )


EVENTS = tuple(stream())
BODY = b"".join(EVENTS)


@implementer(IPullProducer)
class Scripted(Protocol):
    """An engine that says C{EVENTS} as fast as it is read, or is lost amid them.

    @cvar asked: how often it was, on which connections.
    @cvar done: answers that are out whole, as far as it knows.
    """

    asked: list[Scripted] = []
    done = 0
    breaks_at = 0

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        elif data.startswith(b"POST"):
            self.asked.append(self)
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            self._events = iter(EVENTS[: Scripted.breaks_at or None])
            self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        said = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in islice(self._events, 50))
        if said:
            self.transport.write(said)
            return
        self.transport.unregisterProducer()
        Scripted.done += 1
        if Scripted.breaks_at:
            self.transport.loseConnection()
        else:
            self.transport.write(b"0\r\n\r\n")

    def stopProducing(self) -> None:
        """See L{IPullProducer}."""


def limits(folder: Path, **more: Any) -> Limits:
    """Whoever does not take a gigabyte a second is too slow after half a second."""
    return Limits(slow_client="spool", client_read_rate=1 << 30, client_read_time=0.5, spool_dir=str(folder), **more)


def scripted(world: World, breaks_at: int = 0) -> None:
    """From here on the engine is that one."""
    Scripted.asked, Scripted.done, Scripted.breaks_at = [], 0, breaks_at
    world.engines[0].factory.buildProtocol = lambda addr: Scripted()  # type: ignore[method-assign]


def files_in(folder: Path) -> int:
    """Descriptors of this process that lead to files there, which have no names."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith(str(folder))
        except OSError:  # the one that listed them
            pass
    return found


async def slow_client(world: World) -> tuple[Client, Any]:
    """It has the beginning, and takes nothing."""
    client = await connect(world.port)
    answered = client.request("/v1/chat/completions", chat(stream=True))
    await client.head()
    client.transport.pauseProducing()
    return client, answered


@ensureDeferred
async def test_exactly_and_long_after_its_engine(tmp_path: Path) -> None:
    """20 MB to the byte, at the client's own pace; the lease and the connection were back long before, and both serve
    the next request; nothing of the file is in any budget, and nothing of it is left."""
    async with World(serves=("demo-model",), limits=limits(tmp_path), timeouts=Timeouts(client_stall=30.0)) as world:
        scripted(world)
        client, answered = await slow_client(world)
        exchanges = world.gateway.exchanges
        await world.until(lambda: Scripted.done == 1 and world.in_flight == 0)
        assert (exchanges.under_way, len(world.over), world.gateway.pool.idle) == (1, 0, 1)
        assert client.got < SIZE // 2 < exchanges.spools.bytes
        assert exchanges.memory.total < 1 << 20
        assert (files_in(tmp_path), os.listdir(tmp_path)) == (1, [])
        other = await ask(world.port, "/v1/chat/completions", chat(stream=True))
        assert other.body == BODY
        assert len(Scripted.asked) == 2
        assert Scripted.asked[0] is Scripted.asked[1]
        while not client._answer.whole:
            client.transport.resumeProducing()
            await deferLater(reactor, 0.02)
            client.transport.pauseProducing()
            await deferLater(reactor, 0.005)
        answer = await answered
        assert answer.body == BODY
        client.transport.resumeProducing()
        await world.until(world.settled)
        over = world.over[-1]
        assert (over.status, over.outcome, over.spooled, over.bytes_out) == (200, "complete", "taken", len(BODY))
        assert over.spooled_bytes > SIZE // 2
        assert (exchanges.spools.bytes, files_in(tmp_path)) == (0, 0)
        assert (await client.request("/healthz", method="GET")).status == 200
        client.transport.loseConnection()


@ensureDeferred
async def test_an_engine_that_breaks_meanwhile(tmp_path: Path) -> None:
    """The client has all that came, then the error, and no last chunk."""
    async with World(serves=("demo-model",), limits=limits(tmp_path)) as world:
        scripted(world, breaks_at=len(EVENTS) // 2)
        client, answered = await slow_client(world)
        await world.until(lambda: Scripted.done == 1 and world.in_flight == 0)
        client.transport.resumeProducing()
        answer = await answered
        sent = b"".join(EVENTS[: len(EVENTS) // 2])
        assert answer.body[: len(sent)] == sent
        assert (answer.whole, answer.body[len(sent) :].startswith(b'data: {"error"')) == (False, True)
        await world.until(world.settled)
        assert (world.over[-1].outcome, world.over[-1].spooled) == ("truncated", "taken")


@ensureDeferred
async def test_a_client_that_leaves(tmp_path: Path) -> None:
    """Its file is closed at once, its engine done or not."""
    async with World(serves=("demo-model",), limits=limits(tmp_path)) as world:
        scripted(world)
        client, _ = await slow_client(world)
        await world.until(lambda: Scripted.done == 1 and world.in_flight == 0)
        client.reset()
        await world.until(world.settled)
        assert (world.over[-1].status, world.over[-1].spooled, files_in(tmp_path)) == (499, "left", 0)
        assert world.over[-1].bytes_out < SIZE


@ensureDeferred
async def test_beyond_its_bound(tmp_path: Path) -> None:
    """It is cut off, and so is its engine, with the reason in the log."""
    async with World(serves=("demo-model",), limits=limits(tmp_path, spool_bytes=1 << 20)) as world:
        scripted(world)
        client, _ = await slow_client(world)
        await world.until(lambda: world.over)
        over = world.over[0]
        assert (over.status, over.outcome, over.spooled) == (499, "abandoned", "full")
        assert over.reason.endswith("too slow, and its answer is more than the 1048576 bytes that may be in a file")
        await world.until(world.settled)
        assert (files_in(tmp_path), world.gateway.exchanges.spools.bytes) == (0, 0)
        client.reset()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What the system lets this process write to one file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@ensureDeferred
async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The system takes no more of it: it is cut off, and others are served."""
    async with World(serves=("demo-model",), limits=limits(tmp_path)) as world:
        scripted(world)
        with files_of_at_most(3_000_000):
            client, _ = await slow_client(world)
            await world.until(lambda: world.over)
        over = world.over[0]
        assert (over.status, over.spooled) == (499, "failed")
        assert over.reason == "the client was too slow, and its file could not be written: File too large"
        assert 2_900_000 < over.spooled_bytes <= 3_000_000
        await world.until(world.settled)
        assert files_in(tmp_path) == 0
        assert (await ask(world.port, "/v1/chat/completions", chat(stream=True))).body == BODY
        client.reset()
