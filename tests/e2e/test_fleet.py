"""The fleet changes under load: by each of its sources, by engines that die and come back, and by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater

from aibrix_twisted.demo.speed import Speed
from tests.e2e.client import ask, chat, connect
from tests.e2e.fleet import QUICK, STEADY, Fleet, Load, replicas_of
from tests.e2e.test_dns import SERVICE, SRV, A, NameServer

Change = Callable[[], Awaitable[object]]


async def changes(world: Fleet, add: Change, remove: Change, first: str = "e0", second: str = "e1") -> None:
    """One replica serves, another comes, the first one goes: every request is answered whole, and by whom it should."""
    async with Load(world) as load:
        assert replicas_of(load.answers) == {first}
        await add()
        await world.until(lambda: world.names == {first, second})
        await load.until_served_by(second)
        await load.until_served_by(first)
        await remove()
        await world.until(lambda: world.names == {second})
        assert replicas_of(await load.more()) == {second}
    assert (load.failed, load.cut) == ([], [])
    assert world.gateway._discovery.keeper.leaving == []
    assert world.in_flight == 0


# -- sources -----------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_the_configuration() -> None:
    """Read again."""
    async with Fleet(0) as world:

        async def tell(*known: int) -> None:
            world.tell(*known)
            world.gateway.reload()

        await changes(world, lambda: tell(0, 1), lambda: tell(1))
        assert world.gateway.metrics.reloads["taken",] == 2


@ensureDeferred
async def test_a_watched_file() -> None:
    """Replaced whole, in TOML and in JSON; written half, it changes nothing."""
    for kind in ("toml", "json"):
        world = Fleet()
        path = world.folder / f"replicas.{kind}"

        async def tell(*known: int, world: Fleet = world, kind: str = kind) -> None:
            tables = [{"name": f"e{number}", "url": world.urls[number]} for number in known]
            text = "".join(map(world.table, known)) if kind == "toml" else orjson.dumps(tables).decode()
            new = world.folder / "new"
            new.write_text(text)
            new.replace(world.folder / f"replicas.{kind}")

        await tell(0)
        world.tell(more=f'{QUICK}[discovery]\nfiles = ["{path}"]\n')
        world.gateway.reload()
        async with world:
            await world.until(lambda: world.names == {"e0"})  # noqa: B023 - waited for here

            async def add(world: Fleet = world, kind: str = kind) -> None:
                path = world.folder / f"replicas.{kind}"
                path.write_text(path.read_text()[:-9])
                await world.until(lambda: world.gateway._discovery.problems)
                assert world.names == {"e0"}
                await tell(0, 1)

            await changes(world, add, lambda: tell(1))
            assert world.gateway._discovery.problems == []


@ensureDeferred
async def test_dns() -> None:
    """Records of a service, from a real name server."""
    server = NameServer()
    world = Fleet()
    names = [f"g1.example.org:{number}" for number in world.numbers]

    async def tell(*known: int) -> None:
        records = [SRV(1, 0, world.numbers[number], b"g1.example.org", 0) for number in known]
        server.zone.records[SERVICE] = records

    server.zone.records[b"g1.example.org"] = [A("127.0.0.1", 0)]
    await tell(0)
    source = f'{{name = "{SERVICE.decode()}", kind = "srv", servers = ["{server.address}"], min_ttl = 0.1}}'
    world.tell(more=f"{QUICK}[discovery]\ndns = [{source}]\n")
    world.gateway.reload()
    async with world:
        await world.until(lambda: world.names == {names[0]})
        await changes(world, lambda: tell(0, 1), lambda: tell(1), *names)
    await server.stop()


@ensureDeferred
async def test_the_admin_api() -> None:
    """One is added by an operator, and one removed."""
    async with Fleet() as world:

        async def add(number: int) -> None:
            document = {"name": f"e{number}", "url": world.urls[number]}
            assert (await world.api("POST", "replicas", document))["source"] == "admin"

        await add(0)
        await world.until(lambda: world.names == {"e0"})
        await changes(world, lambda: add(1), lambda: world.api("DELETE", "replicas/e0"))


@ensureDeferred
async def test_registration() -> None:
    """Whoever renews in time stays; whoever does not is gone when its time is over."""
    async with Fleet() as world:
        renewing: dict[int, LoopingCall] = {}

        async def renew(number: int) -> None:
            answer = await ask(world.admin, f"/api/replicas/e{number}?ttl=1.5", method="PUT")
            assert answer.status == 200, answer

        async def register(number: int) -> None:
            said = await world.api("PUT", f"replicas/e{number}?ttl=1.5", {"url": world.urls[number]})
            assert said["source"] == "registered"
            renewing[number] = LoopingCall(lambda: ensureDeferred(renew)(number))
            renewing[number].start(0.3, now=False)

        async def forget() -> None:
            renewing[0].stop()
            before = world.replica("e0").load.leased
            await deferLater(reactor, 0.4)
            assert world.replica("e0").load.leased > before, "it has time left"

        await register(0)
        await world.until(lambda: world.names == {"e0"})
        await changes(world, lambda: register(1), forget)
        await deferLater(reactor, 2.0)
        assert world.names == {"e1"}, "renewed, and so it stays"
        renewing[1].stop()
        await world.until(lambda: not world.names)


# -- engines that die and come back --------------------------------------------------------------------------------


@ensureDeferred
async def test_a_rolling_restart() -> None:
    """Two engines, killed and started in turn: only streams that had begun are lost."""
    async with Fleet(0, 1) as world, Load(world, clients=16) as load:
        for _ in range(3):
            for number in (0, 1):
                await world.stop(number)
                await world.until(lambda: world.names == {f"e{1 - number}"})  # noqa: B023 - waited for here
                await load.more()
                world.start(number)
                await world.until(lambda: world.names == {"e0", "e1"})
                await load.until_served_by(f"e{number}")
        assert load.failed == []
        assert len(load.cut) <= 6 * load.count
        assert [world.replica(name).health.rises for name in ("e0", "e1")] == [3, 3]


@ensureDeferred
async def test_the_only_replica_is_restarted() -> None:
    """Requests wait while it is away, and then succeed."""
    async with Fleet(0, engines=1) as world, Load(world) as load:
        for _ in range(3):
            await world.stop(0)
            await world.until(lambda: world.waiting == load.count)
            assert not world.names
            world.start(0)
            await load.more()
        assert load.failed == []
        waited = [exchange for exchange in world.over if exchange.queued_s > 0]
        assert len(waited) >= 3 * load.count
        assert {exchange.status for exchange in waited} == {200}


@ensureDeferred
async def test_a_dead_one_is_out_within_two_intervals() -> None:
    """Though nobody asks it anything; and everyone is told why."""
    async with Fleet(0, 1, more="[health]\nprobe_interval = 1.0\n") as world:
        await world.stop(1)
        died = reactor.seconds()
        await world.until(lambda: world.names == {"e0"})
        assert world.replica("e1").health.changed_at - died <= 2.0
        said = await world.facts("e1")
        assert (said["state"], said["in_flight"]) == ("down", 0)
        assert "refused" in said["reason"]
        metrics = (await ask(world.admin, "/metrics", method="GET")).body
        assert b'aibrix_gateway_replica_up{replica="e1"} 0.0' in metrics
        assert b'aibrix_gateway_replica_up{replica="e0"} 1.0' in metrics


@ensureDeferred
async def test_a_busy_one_stays_in() -> None:
    """Its probes time out again and again, but it speaks."""
    async with Fleet(0, engines=1) as world:
        client = await connect(world.port)
        streaming = client.request(
            "/v1/chat/completions", chat(stream=True, tokens=250), headers={"x-demo-fault": "busy"}
        )
        await client.head()
        await world.until(lambda: "in time" in world.replica("e0").last_error)
        states = set()
        while world.engines[0].stats.running:
            states.add((await world.facts("e0"))["state"])
            assert (await ask(world.port, "/v1/chat/completions", chat())).status == 200
        assert states == {"up"}
        assert (await streaming).whole
        assert world.replica("e0").health.rises == 0


@ensureDeferred
async def test_one_that_hangs_is_left_out() -> None:
    """It takes requests and says nothing, neither to clients nor to probes; the others serve."""
    async with Fleet(0, 1) as world:
        world.engines[0].faults.arm("busy,hang_after=2", count=1 << 20)
        clients = [await connect(world.port) for _ in range(2)]
        asked = [client.request("/v1/chat/completions", chat(stream=True)) for client in clients]
        await world.until(lambda: world.replica("e0").health.ejected(reactor.seconds()))
        said = await world.facts("e0")
        assert (said["state"], said["reason"].startswith("hangs")) == ("ejected", True)
        answers = [await ask(world.port, "/v1/chat/completions", chat(stream=True)) for _ in range(20)]
        assert {(answer.status, answer.whole) for answer in answers} == {(200, True)}
        assert replicas_of(answers) == {"e1"}
        for client in clients:
            client.reset()
        assert sorted([(await answered).whole for answered in asked]) == [False, True]
        world.engines[0].faults.clear()
        await world.until(lambda: world.names == {"e0", "e1"})


@ensureDeferred
async def test_a_flapping_one_does_not_shake_the_others() -> None:
    """Killed and started every second: nobody else is ever doubted, and the others serve no less than in between."""
    async with Fleet(0, 1, 2, engines=3) as world, Load(world, clients=12) as load:
        calm = shaken = 0
        for _ in range(3):  # in turns, so that whatever else this machine does is no reason
            before = len(load.answers)
            await deferLater(reactor, 1.0)
            calm += len(load.answers) - before
            before = len(load.answers)
            await world.stop(0)
            await deferLater(reactor, 0.5)
            world.start(0)
            await deferLater(reactor, 0.5)
            shaken += len(load.answers) - before
        assert load.failed == []
        assert replicas_of(load.cut) <= {"e0"}
        assert shaken > calm / 3, (calm, shaken)
        for name in ("e1", "e2"):
            health = world.replica(name).health
            assert (health.rises, health.reason, health.plain) == (0, "", True)


# -- by hand -----------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_draining() -> None:
    """No new requests; what is under way is finished; undrained, it serves again."""
    async with Fleet(0, 1, speed=Speed(prefill=0.0, decode=50.0)) as world:
        clients = [await connect(world.port) for _ in range(4)]
        streaming = [client.request("/v1/chat/completions", chat(stream=True, tokens=80)) for client in clients]
        await world.until(lambda: world.replica("e0").load.in_flight and world.replica("e1").load.in_flight)
        async with Load(world) as load:
            leased = (await world.api("POST", "replicas/e0/drain"))["leased"]
            assert replicas_of(await load.more()) == {"e1"}
            said = await world.facts("e0")
            assert (said["state"], said["leased"]) == ("draining", leased)
            assert said["in_flight"] > 0
            answers = [await answer for answer in streaming]
            assert {(answer.status, answer.whole, answer.events[-1]) for answer in answers} == {(200, True, b"[DONE]")}
            assert replicas_of(answers) == {"e0", "e1"}
            assert (await world.facts("e0"))["in_flight"] == 0
            await world.api("POST", "replicas/e0/undrain")
            await load.until_served_by("e0")
        assert (load.failed, load.cut) == ([], [])


@ensureDeferred
async def test_all_drained() -> None:
    """Requests wait until one is taken back."""
    async with Fleet(0, speed=STEADY) as world, Load(world) as load:
        await world.api("POST", "replicas/e0/drain")
        await world.until(lambda: world.waiting == load.count)
        await world.api("POST", "replicas/e0/undrain")
        await load.more()
        assert (load.failed, load.cut) == ([], [])
