"""What single requests meet in a fleet: the waiting room, answers that decline, late replicas, and new settings."""

from __future__ import annotations

from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults

from aibrix_twisted.demo.speed import Speed
from tests.e2e.client import Answer, ask, chat, connect
from tests.e2e.fleet import QUICK, STEADY, Fleet, Load, replicas_of

CHAT = "/v1/chat/completions"


async def asked(world: Fleet, *, stream: bool = False, tokens: int = 4, **headers: str) -> Answer:
    """One request."""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(world.port, CHAT, chat(stream=stream, tokens=tokens), headers=lines)


# -- the waiting room --------------------------------------------------------------------------------------------


@ensureDeferred
async def test_higher_classes_go_first() -> None:
    """One at a time, and the order of the answers is that of their classes, then that of their coming."""
    async with Fleet(engines=1) as world:
        table = {"name": "e0", "url": world.urls[0], "max_in_flight": 1}
        await world.api("POST", "replicas", table)
        await world.until(lambda: world.names == {"e0"})
        order: list[str] = []
        coming: list[Deferred[None]] = []

        async def client(name: str, priority: str) -> None:
            headers = {"x_aibrix_priority": priority} if priority else {}
            assert (await asked(world, tokens=10, **headers)).status == 200
            order.append(name)

        for number, (name, priority) in enumerate(
            (("first", ""), ("low", "low"), ("usual", ""), ("high", "high"), ("late low", "low"), ("late high", "high"))
        ):
            coming.append(Deferred.fromCoroutine(client(name, priority)))
            await world.until(lambda: world.waiting == number and world.in_flight == 1)  # noqa: B023 - waited for here
        await gatherResults(coming, consumeErrors=True)
        assert order == ["first", "high", "late high", "usual", "low", "late low"]
        assert (await asked(world, x_aibrix_priority="highest")).status == 400


@ensureDeferred
async def test_tenants_take_turns() -> None:
    """One that asks for a lot does not keep the other waiting until it has it all."""
    more = QUICK + "[auth]\ntrust_user_header = true\n"
    async with Fleet(engines=1, more=more) as world:
        await world.api("POST", "replicas", {"name": "e0", "url": world.urls[0], "max_in_flight": 1})
        await world.until(lambda: world.names == {"e0"})
        order: list[str] = []

        async def client(tenant: str) -> None:
            assert (await asked(world, tokens=4, user=tenant)).status == 200
            order.append(tenant)

        coming = []
        for number, tenant in enumerate(("busy",) * 12 + ("modest",) * 2):
            coming.append(Deferred.fromCoroutine(client(tenant)))
            await world.until(lambda: world.waiting + len(order) == number)  # noqa: B023 - waited for here
        await gatherResults(coming, consumeErrors=True)
        assert order.count("busy") == 12
        assert order[-4:] == ["busy"] * 4, order


@ensureDeferred
async def test_waiting_has_an_end_and_a_bound() -> None:
    """Late is 503, full is 429 at once, a client that leaves makes room; each says when to come again."""
    more = QUICK + "[queue]\nwait_down = 1.0\nmax_requests = 2\n"
    async with Fleet(0, engines=1, more=more) as world:
        await world.stop(0)
        await world.until(lambda: not world.names)
        leaving = await connect(world.port)
        leaving.request(CHAT, chat()).addErrback(lambda _: None)
        waiting = Deferred.fromCoroutine(asked(world))
        await world.until(lambda: world.waiting == 2)
        full = await asked(world)
        assert (full.status, full.code) == (429, "queue_full")
        leaving.reset()
        await world.until(lambda: world.waiting == 1)
        late = await waiting
        assert (late.status, late.code) == (503, "no_replica_available")
        assert full.headers["retry-after"] == late.headers["retry-after"] == "1"
        assert world.waiting == 0


@ensureDeferred
async def test_pings() -> None:
    """A stream that waits is kept awake with comments, of a model that wants that; then the answer follows."""
    more = QUICK + '[[model]]\nname = "demo-model"\nping = 0.2\n'
    async with Fleet(0, engines=1, more=more) as world:
        await world.api("POST", "replicas/e0/drain")
        client = await connect(world.port)
        streaming = client.request(CHAT, chat(stream=True))
        whole = Deferred.fromCoroutine(asked(world))
        head = await client.head()
        assert head.status == 200
        await world.until(lambda: head.body.count(b": waiting") >= 3)
        await world.api("POST", "replicas/e0/undrain")
        answer = await streaming
        assert (answer.whole, answer.events[-1]) == (True, b"[DONE]")
        assert "x-aibrix-replica" not in answer.headers, "it was not known when the head went out"
        assert (await whole).json["choices"]


@ensureDeferred
async def test_pings_before_an_error() -> None:
    """Where none comes back in time, the stream that has begun ends with an error event, and not as if it were whole."""
    more = QUICK + '[queue]\nwait_down = 1.5\n[[model]]\nname = "demo-model"\nping = 0.2\n'
    async with Fleet(0, engines=1, more=more) as world:
        await world.api("POST", "replicas/e0/drain")
        answer = await asked(world, stream=True)
        assert (answer.status, answer.whole, answer.code) == (200, False, "no_replica_available")


# -- another replica ---------------------------------------------------------------------------------------------


@ensureDeferred
async def test_one_that_has_too_much_to_do() -> None:
    """What it declines is answered elsewhere, and it is left alone for as long as it asks; all declining, one passes."""
    async with Fleet(0, 1) as world, Load(world) as load:
        for status in (429, 503):
            world.engines[0].faults.arm(f"status={status}", count=3)
        before = world.engines[0].stats.finished
        await load.more(80)
        await world.until(lambda: not world.engines[0].faults.waiting())
        await world.until(lambda: world.engines[0].stats.finished > before)
        assert (load.failed, load.cut) == ([], [])
        assert any("x-aibrix-attempts" in answer.headers for answer in load.answers)
        assert world.replica("e0").health.reason == ""
    async with Fleet(0, 1) as world:
        for engine in world.engines:
            engine.faults.arm("status=429")
        answer = await asked(world)
        assert (answer.status, answer.headers["retry-after"], answer.headers["x-aibrix-attempts"]) == (429, "1", "2")
        assert "asked to fail with 429" in answer.body.decode(), "the engine's own words"


@ensureDeferred
async def test_hedging() -> None:
    """A slow replica's streams are overtaken by one that is free, and no more than one request in fifty gets two."""
    more = 'policy = "round-robin"\n' + QUICK + "[hedge]\nenabled = true\n"
    async with Fleet(0, 1, 2, engines=3, more=more) as world:
        hedges = world.gateway.metrics.hedges
        async with Load(world, clients=6) as load:
            await load.more(300)
        world.engines[0].speed = Speed(prefill=5.0, decode=100.0, batch=1 << 30, prefix_cache=False)
        clients = [await connect(world.port) for _ in range(3)]
        streams = await gatherResults([client.request(CHAT, chat(stream=True)) for client in clients])
        assert {(answer.status, answer.whole, answer.events[-1]) for answer in streams} == {(200, True, b"[DONE]")}
        assert replicas_of(list(streams)) == {"e1", "e2"}
        assert hedges["won"] >= 1
        await world.until(world.settled)
        assert world.engines[0].stats.cancelled == hedges["won"]
        async with Load(world, clients=6) as load:
            await load.more(30)
        assert (load.failed, load.cut) == ([], [])
        assert "e0" in replicas_of(load.answers), "what is beyond the bound waits"
        assert sum(hedges.values()) <= 0.02 * len(world.over), hedges
        for client in clients:
            client.reset()


# -- new settings ------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_settings_hold_for_what_begins_under_them() -> None:
    """A reload amid a stream changes its bounds for those that come after it, and not for it."""
    slow = Speed(prefill=0.0, decode=25.0)
    async with Fleet(0, speed=slow, engines=1) as world:
        client = await connect(world.port)
        streaming = client.request(CHAT, chat(stream=True, tokens=60))
        await client.head()
        world.tell(0, more=QUICK + "[timeouts]\ntotal = 0.4\n[limits]\nbody_bytes = 1024\n")
        world.gateway.reload()
        cut = await asked(world, stream=True, tokens=60)
        assert (cut.status, cut.whole, cut.code) == (200, False, "upstream_timeout")
        large = chat(tokens=1)
        large["messages"][0]["content"] = "word " * 300
        assert (await ask(world.port, CHAT, large)).status == 413
        answer = await streaming
        assert (answer.whole, answer.events[-1]) == (True, b"[DONE]")
        world.tell(0)
        world.gateway.reload()
        assert (await ask(world.port, CHAT, large)).status == 200


@ensureDeferred
async def test_reloads_under_load() -> None:
    """Again and again, while requests are under way: nobody notices."""
    async with Fleet(0, 1, speed=STEADY) as world, Load(world) as load:
        for number in range(20):
            world.tell(0, 1, more=f"{QUICK}[timeouts]\nstall = {100 + number}.0\n[retry]\nattempts = {1 + number}\n")
            world.gateway.reload()
            await load.more(8)
        assert world.gateway.metrics.reloads["taken",] == 20
        assert (load.failed, load.cut) == ([], [])
