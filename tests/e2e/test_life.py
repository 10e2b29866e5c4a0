"""The daemon's life: replicas that come and go, reloads, draining."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.demo.speed import INSTANT, Speed
from aibrix_twisted.domain.settings import ReplicaSettings, Timeouts
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.gateway import Gateway
from tests.e2e.client import ask, chat, connect
from tests.e2e.harness import World, free_port
from tests.e2e.secure import SCHEME, SECURE, TLS_LINE, TLS_SETTINGS, listens_with_tls


class Stopped:
    """In the reactor's place, where it is asked to stop."""

    def __init__(self) -> None:
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1


@ensureDeferred
async def test_models_are_asked_until_answered() -> None:
    """A replica that is not there yet serves nothing, and requests wait for it; once it answers, it serves them."""
    port = free_port()
    world = World(engines=0)
    engine = DemoEngine(reactor, models=("late-model",), speed=INSTANT)
    if SECURE:
        listens_with_tls(engine)
    late = ReplicaSettings(name="late", url=f"{SCHEME}://127.0.0.1:{port}", tls=TLS_SETTINGS)
    settings = dataclasses.replace(world.gateway.settings, replica=(late,))
    world.gateway = Gateway(reactor, settings, Source(None, {}))
    world.gateway.privilegedStartService()
    world.gateway.startService()
    try:
        await world.until(lambda: world.gateway.fleet.replicas[0].last_error)
        early = Deferred.fromCoroutine(ask(world.port, "/v1/chat/completions", chat(model="late-model")))
        await world.until(lambda: world.gateway.exchanges.waiting.room.count)
        assert (await ask(world.port, "/readyz", method="GET")).status == 503
        engine.listen(port)
        await world.until(lambda: world.gateway.fleet.settled)
        assert (await ask(world.port, "/readyz", method="GET")).status == 200
        listed = (await ask(world.port, "/v1/models", method="GET")).json
        assert [model["id"] for model in listed["data"]] == ["late-model"]
        assert (await early).status == 200
        assert (await ask(world.port, "/v1/chat/completions", chat(model="late-model"))).status == 200
    finally:
        await world.gateway.stopService()
        await engine.stop()


@ensureDeferred
async def test_a_reload_does_not_touch_what_is_under_way() -> None:
    """A good file is taken, for what comes; a bad one changes nothing, and is counted."""
    async with World(engines=2, speed=Speed(prefill=0.0, decode=50.0)) as world:
        path = Path(tempfile.mkdtemp()) / "gateway.toml"
        url = [f"{SCHEME}://127.0.0.1:{port.getHost().port}" for port in world.ports]
        world.gateway._source = Source(str(path), {})
        client = await connect(world.port)
        streaming = client.request("/v1/chat/completions", chat(stream=True, tokens=40))
        await client.head()
        served_by = next(engine for engine in world.engines if engine.stats.running)
        other = next(engine for engine in world.engines if engine is not served_by)
        path.write_text("nonsense = 1\n")
        world.gateway.reload()
        assert world.gateway.metrics.reloads["refused",] == 1
        assert len(world.gateway.fleet.replicas) == 2
        path.write_text(
            f'admin = "none"\nlisten = ["tcp:{world.port}:interface=127.0.0.1"]\n'
            f'[access_log]\npath = ""\n[[replica]]\nname = "only"\nurl = "{url[world.engines.index(other)]}"\n{TLS_LINE}'
        )
        world.gateway.reload()
        assert world.gateway.metrics.reloads["taken",] == 1
        await world.until(lambda: world.gateway.fleet.settled)
        answer = await ask(world.port, "/v1/chat/completions", chat())
        assert answer.headers["x-aibrix-replica"] == "only"
        answer = await streaming
        assert answer.whole
        assert answer.events[-1] == b"[DONE]"
        await world.until(world.settled)


@ensureDeferred
async def test_draining() -> None:
    """No new connection; what is under way is finished; then the reactor is asked to stop, once."""
    async with World(speed=Speed(prefill=0.0, decode=100.0)) as world:
        stopped = Stopped()
        world.gateway.drain._end_process = stopped.stop
        client = await connect(world.port)
        streaming = client.request("/v1/chat/completions", chat(stream=True, tokens=30))
        await client.head()
        world.gateway.drain_and_stop()
        try:
            await connect(world.port)
        except Exception as refused:  # noqa: BLE001 - whatever the system says of a port that is closed
            assert "refused" in str(refused)
        else:
            raise AssertionError("it still listens")
        answer = await streaming
        assert answer.whole
        await world.until(lambda: stopped.stopped == 1)
        assert not world.gateway.readiness()[0]


@ensureDeferred
async def test_draining_for_too_long() -> None:
    """A stream that does not end in time ends with an error event, and the gateway stops all the same."""
    async with World(speed=Speed(prefill=0.0, decode=20.0), timeouts=Timeouts(drain=0.2)) as world:
        stopped = Stopped()
        world.gateway.drain._end_process = stopped.stop
        client = await connect(world.port)
        streaming = client.request("/v1/chat/completions", chat(stream=True, tokens=2000))
        await client.head()
        world.gateway.drain_and_stop()
        answer = await streaming
        assert not answer.whole
        assert answer.code == "gateway_draining"
        await world.until(lambda: stopped.stopped == 1)
        assert world.in_flight == 0


@ensureDeferred
async def test_a_second_signal_does_not_wait() -> None:
    """Whoever asks twice means it."""
    async with World(speed=Speed(prefill=0.0, decode=20.0), timeouts=Timeouts(drain=30.0)) as world:
        stopped = Stopped()
        world.gateway.drain._end_process = stopped.stop
        client = await connect(world.port)
        streaming: Deferred[Any] = client.request("/v1/chat/completions", chat(stream=True, tokens=2000))
        await client.head()
        world.gateway.drain_and_stop()
        world.gateway.drain_and_stop()
        assert stopped.stopped == 1
        client.reset()
        await streaming
        await world.until(world.settled)
        assert stopped.stopped == 1
