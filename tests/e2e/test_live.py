"""Live state over real sockets: what is under way, what has been, and what readers of events are told of it."""

from __future__ import annotations

from typing import Any

import orjson
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from aibrix_twisted.demo.speed import Speed
from tests.e2e.client import Client, ask, chat, connect
from tests.e2e.fleet import Fleet

#: A stream of some seconds, for a look at it.
LONG = {"stream": True, "tokens": 200}

SECRET = "nobody-but-the-engine-reads-this"


async def reader(world: Fleet, query: str = "") -> Client:
    """A connection that events come on."""
    client = await connect(world.admin)
    answering = client.request(f"/api/events{query}", method="GET")
    answering.addErrback(lambda failure: None)
    await client.head()
    return client


def events(client: Client) -> list[tuple[str, Any]]:
    """All that have come."""
    found = []
    whole = client._answer.body.rpartition(b"\n\n")[0]
    for block in whole.split(b"\n\n"):
        if block.startswith(b"event: "):
            name, _, data = block.partition(b"\ndata: ")
            found.append((name[7:].decode(), orjson.loads(data)))
    return found


def told(client: Client, key: str) -> list[str]:
    """The ids of requests that began, or that are over."""
    return [one["id"] for name, said in events(client) if name == "requests" for one in said[key]]


@ensureDeferred
async def test_under_way_and_over() -> None:
    """What is said of streams while they run, and when they are over: by the list, by id, in figures, in events."""
    async with Fleet(0, 1, speed=Speed(prefill=0.0, decode=100.0, batch=1 << 30)) as world:
        watching = await reader(world)
        clients = [await connect(world.port) for _ in range(4)]
        document = chat(**LONG)
        document["messages"][0]["content"] = SECRET
        answers = [
            client.request("/v1/chat/completions", document, headers={"x-request-id": f"r/{number}"})
            for number, client in enumerate(clients)
        ]
        for client in clients:
            await client.head()
        said = await world.api("GET", "requests?state=now")
        assert sorted(one["id"] for one in said["requests"]) == [f"r/{number}" for number in range(4)]
        assert {one["state"] for one in said["requests"]} == {"streaming"}
        stats = await world.api("GET", "stats")
        assert (stats["under_way"], stats["states"]["streaming"], stats["in_flight"]) == (4, 4, 4)
        assert stats["connections"]["clients"] == 4
        one = await world.api("GET", "requests/r%2F0")
        assert (one["phases"], one["tries"][0]["outcome"], one["status"]) == (None, None, None)
        await world.until(lambda: sorted(told(watching, "begun")) == [f"r/{number}" for number in range(4)])
        clients[3].transport.abortConnection()
        assert all(answer.whole for answer in await gatherResults(answers[:3]))
        await world.until(lambda: len(told(watching, "over")) == 4)
        assert sorted(told(watching, "over")) == [f"r/{number}" for number in range(4)]
        said = await world.api("GET", "requests?state=past&outcome=abandoned")
        assert [(one["id"], one["status"]) for one in said["requests"]] == [("r/3", 499)]
        one = await world.api("GET", "requests/r%2F0")
        assert (one["state"], one["outcome"], one["status"]) == ("over", "complete", 200)
        assert one["events"] >= 200
        assert abs(sum(one["phases"].values()) - one["duration_s"]) < 1e-4
        assert one["stamps"]["ended"] == one["duration_s"]
        stats = await world.api("GET", "stats")
        while stats["last_60s"]["outcomes_per_s"].keys() != {"complete", "abandoned"}:
            await deferLater(reactor, 0.2)  # until the second in which they ended is over
            stats = await world.api("GET", "stats")
        assert stats["last_60s"]["ttft_s"]["count"] == 4
        fleet = await world.api("GET", "fleet")
        assert sum(replica["last_10s"]["itl_s"]["count"] for replica in fleet["replicas"]) > 100
        everything = orjson.dumps([one, said, stats, fleet]) + watching._answer.body
        assert SECRET.encode() not in everything
        watching.transport.abortConnection()
        await watching.closed


@ensureDeferred
async def test_the_fleet_and_the_gateway() -> None:
    """A replica that dies and comes back, a reload, and the end of it all, as readers are told."""
    async with Fleet(0, 1) as world:
        watching = await reader(world)
        await world.stop(0)
        await ask(world.port, "/v1/chat/completions", chat())
        await ask(world.port, "/v1/chat/completions", chat())

        def changes() -> list[tuple[str, str]]:
            return [(said["name"], said["state"]) for name, said in events(watching) if name == "replica"]

        await world.until(lambda: ("e0", "down") in changes())
        world.start(0)
        await world.until(lambda: ("e0", "up") in changes())
        await world.api("POST", "reload")
        world.path.write_text("nonsense = 1")
        assert (await ask(world.admin, "/api/reload", method="POST")).status == 422
        await world.until(lambda: [s["outcome"] for n, s in events(watching) if n == "reload"] == ["taken", "refused"])
        assert events(watching)[0][0] == "hello"
        assert world.gateway.feed.readers == 1
    await world.until(lambda: watching._answer.whole)
    watching.transport.abortConnection()
    await watching.closed


@ensureDeferred
async def test_a_reader_that_reads_nothing() -> None:
    """The gateway keeps no more for it than its connection holds, and tells it afterwards what it missed."""
    async with Fleet(0) as world:
        slow, quick = await reader(world), await reader(world)
        slow.transport.pauseProducing()
        (channel,) = {
            r
            for r in world.gateway.feed._readers
            if r._request.getClientAddress().port == slow.transport.getHost().port
        }
        world.gateway.exchanges.book.past.clear()
        clients = [await connect(world.port) for _ in range(20)]
        id = "x" * 128
        for _ in range(600):
            await gatherResults(
                [
                    client.request("/v1/chat/completions", chat(tokens=1), headers={"x-request-id": id})
                    for client in clients
                ]
            )
            if channel._missed:
                break
        assert channel._missed, "twelve thousand exchanges fit into a socket"
        kept = channel._request.channel.transport
        size = len(kept.dataBuffer) + sum(map(len, kept._tempDataBuffer))
        assert size < 1 << 19, size
        slow.transport.resumeProducing()
        await world.until(lambda: b"event: skipped" in slow._answer.body, 20.0)
        missed = sum(said["events"] for name, said in events(slow) if name == "skipped")
        await world.until(lambda: missed + sum(n != "skipped" for n, _ in events(slow)) >= len(events(quick)))
        for client in (*clients, slow, quick):
            client.transport.abortConnection()
            await client.closed
