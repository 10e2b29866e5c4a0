"""A whole gateway in memory, and everything that can happen to it in any order: what is taken is given back, once.

Each run ends by letting everything finish.  Then nothing is in flight, nobody waits, every exchange is over and in the
log once, every client has one answer or one that is visibly cut, and no breaker waits for an attempt that is over.
"""

from __future__ import annotations

import dataclasses
import random
import re
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import (
    BreakerSettings,
    HealthSettings,
    HedgeSettings,
    ModelSettings,
    QueueSettings,
    Retry,
    Settings,
    Timeouts,
)
from tests.fakes import STREAM_HEAD, Bench, Connector, Wire, chunk, post, replica
from tests.service.exchange.engines import ANSWERS, Engine

RNG = random.Random(1)
PROBED = HealthSettings(slow_start=3.0)
UNPROBED = HealthSettings(probe_interval=0.0, slow_start=0.0)
BREAKER = BreakerSettings(failures=2, open=1.0, open_max=2.0)


class GatewayMachine(RuleBasedStateMachine):
    """Clients, engines, probes, people, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Any] = []
        globalLogPublisher.addObserver(self.observe)
        self.asked = 0
        self.made = 0
        self.clients: list[tuple[Any, Wire]] = []
        self.gone: list[Wire] = []
        self.engines: list[Engine] = []
        self.decided: set[Connector] = set()
        self.ever: list[Replica] = []

    def observe(self, event: Any) -> None:
        if "log_failure" in event:
            self.failures.append(event)

    @initialize(
        hedged=st.booleans(),
        places=st.sampled_from((0, 2, 100)),
        wait=st.sampled_from((0.0, 3.0, 30.0)),
        attempts=st.sampled_from((1, 3)),
        backoff=st.sampled_from((0.0, 0.3)),
        ping=st.sampled_from((0.0, 1.0)),
    )
    def set_up(self, hedged: bool, places: int, wait: float, attempts: int, backoff: float, ping: float) -> None:
        self.settings = Settings(
            timeouts=Timeouts(first_byte=20.0, stall=10.0, total=100.0),
            health=PROBED,
            breaker=BREAKER,
            retry=Retry(attempts=attempts, backoff=backoff),
            queue=QueueSettings(wait_down=wait, wait_busy=wait, max_requests=places),
            model=(ModelSettings(name="m", ping=ping, fallbacks=("n",)),),
            hedge=HedgeSettings(enabled=hedged, budget=1.0),
        )
        self.bench = Bench(self.settings, (self.a_replica(), self.a_replica(max_in_flight=1)))
        self.know_times()

    def a_replica(
        self, *, models: tuple[str, ...] | None = ("m",), probes: HealthSettings = PROBED, **more: Any
    ) -> Replica:
        made = replica(f"r{len(self.ever)}", models, health=Health(probes, BREAKER), **more)
        made.port = len(self.ever) + 1
        self.ever.append(made)
        return made

    def know_times(self) -> None:
        """Every stream that has not begun after a moment is late."""
        hedges = self.bench.exchanges.hedges
        if hedges is not None:
            for size in (20, 100):
                for _ in range(32):
                    hedges.began("m", size, 0.05)

    @property
    def now(self) -> float:
        return self.bench.reactor.seconds()

    # -- clients ---------------------------------------------------------------------------------------------

    @rule(
        stream=st.booleans(),
        model=st.sampled_from("mmmno"),
        stateful=st.sampled_from((False, False, True)),
        low=st.booleans(),
    )
    def asks(self, stream: bool, model: str, stateful: bool, low: bool) -> None:
        """Some of a model that nobody serves, or not yet."""
        connection, wire = self.bench.client()
        self.clients.append((connection, wire))
        body = b'{"model":"%b"%b}' % (model.encode(), b',"stream":true' if stream else b"")
        self.asked += 1
        lines = (b"x-aibrix-priority: low",) if low else ()
        connection.dataReceived(post(body, b"/v1/responses" if stateful else b"/v1/chat/completions", *lines))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), how=st.sampled_from(("leaves", "leaves beneath a write", "reads slowly", "reads on")))
    def client(self, data: st.DataObject, how: str) -> None:
        connection, wire = data.draw(st.sampled_from(self.clients))
        if wire.protocol is None:
            return
        if how == "leaves":
            self.gone.append(wire)
            wire.lose()
        elif how == "leaves beneath a write":
            self.gone.append(wire)
            wire.beneath_write = wire.lose
        elif how == "reads slowly":
            connection.pauseProducing()
        else:
            connection.resumeProducing()

    # -- engines ---------------------------------------------------------------------------------------------

    @property
    def connects(self) -> list[Connector]:
        """That are not decided."""
        return [each for each in self.bench.reactor.connects if each not in self.decided and not each.stopped]

    @precondition(lambda self: self.connects)
    @rule(data=st.data(), how=st.sampled_from(("made", "made", "made", "refused", "late")))
    def connect(self, data: st.DataObject, how: str) -> None:
        connector = data.draw(st.sampled_from(self.connects))
        self.decide(connector, how)

    def decide(self, connector: Connector, how: str) -> None:
        self.decided.add(connector)
        if how == "made":
            self.made += 1
            self.engines.append(Engine(*connector.made(), self.made))
        else:
            connector.refused(late=how == "late")

    @property
    def busy(self) -> list[Engine]:
        return [engine for engine in self.engines if engine.asked]

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), how=st.sampled_from(sorted(ANSWERS)))
    def answers(self, data: st.DataObject, how: str) -> None:
        engine = data.draw(st.sampled_from(self.busy))
        if not engine.begun:
            engine.begin(how)
            engine.say(ANSWERS[how])

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), how=st.sampled_from(("events", "events", "finish", "fails", "closes", "resets")))
    def goes_on(self, data: st.DataObject, how: str) -> None:
        engine = data.draw(st.sampled_from(self.busy))
        if how == "finish":
            engine.finish()
        elif how == "closes":
            engine.wire.lose()
        elif how == "resets":
            engine.wire.lose(clean=False)
        elif engine.begun in ("", "head of a stream"):
            if not engine.begun:
                engine.begin("head of a stream")
                engine.say(STREAM_HEAD)
            engine.say(engine.event() if how == "events" else chunk(b'data: {"error":{"message":"x"}}\n\n'))

    @rule(data=st.data())
    def closes_idle(self, data: st.DataObject) -> None:
        idle = [engine for engine in self.engines if engine.open and not engine.asked]
        if idle:
            data.draw(st.sampled_from(idle)).wire.lose()

    # -- what is known of replicas ---------------------------------------------------------------------------

    @rule(data=st.data(), result=st.sampled_from((*ProbeResult, ProbeResult.PASSED)))
    def probe(self, data: st.DataObject, result: ProbeResult) -> None:
        probed = data.draw(st.sampled_from(self.bench.replicas))
        if probed.health.probed:
            probed.health.probed_with(result, "probe", self.now, in_flight=probed.load.in_flight)
            self.bench.publish()

    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        """With all its connections; what connects next is refused."""
        dead = data.draw(st.sampled_from(self.bench.replicas))
        for engine in tuple(self.engines):
            if engine.connection.key == (dead.host, dead.port) and engine.open:
                engine.wire.lose(clean=False)

    @rule(data=st.data(), what=st.sampled_from(("drain", "eject")), on=st.booleans())
    def by_hand(self, data: st.DataObject, what: str, on: bool) -> None:
        getattr(data.draw(st.sampled_from(self.bench.replicas)).health, what)(self.now, on=on)
        self.bench.exchanges.waiting.stir()

    @rule(
        cap=st.sampled_from((0, 0, 1, 2)),
        models=st.sampled_from((("m",), ("m", "n"), ("n",), None)),
        drains=st.booleans(),
        probed=st.booleans(),
    )
    def comes(self, cap: int, models: tuple[str, ...] | None, drains: bool, probed: bool) -> None:
        probes = PROBED if probed else UNPROBED
        new = self.a_replica(models=models, probes=probes, max_in_flight=cap, drains=drains)
        self.bench.replicas = (*self.bench.replicas, new)
        self.bench.publish()

    @precondition(lambda self: len(self.bench.replicas) > 1)
    @rule(data=st.data())
    def goes(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.bench.replicas))
        self.bench.replicas = tuple(each for each in self.bench.replicas if each is not gone)
        self.bench.publish()

    @rule(hedged=st.booleans())
    def reload(self, hedged: bool) -> None:
        self.settings = dataclasses.replace(self.settings, hedge=HedgeSettings(enabled=hedged, budget=1.0))
        self.bench.exchanges.configure(self.settings)
        self.know_times()

    # -- time ------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.1, 0.1, 0.6, 0.6, 1.0, 5.0, 12.0, 25.0)))
    def time_passes(self, seconds: float) -> None:
        self.bench.advance(seconds)

    @rule()
    def a_turn(self) -> None:
        self.bench.reactor.advance(0)

    # -- what has to hold ------------------------------------------------------------------------------------

    @invariant()
    def counts_agree(self) -> None:
        """What is in flight is what is connecting and what an engine has; every exchange is under way or in the log."""
        if not self.ever:
            return
        exchanges, room = self.bench.exchanges, self.bench.exchanges.waiting.room
        assert not self.failures, self.failures
        in_flight = sum(each.load.in_flight for each in self.ever)
        assert in_flight == len(self.connects) + len(self.busy), (in_flight, self.connects, self.busy)
        assert all(each.load.in_flight == sum(each.load.by_model.values()) for each in self.ever)
        assert all(count >= 0 for each in self.ever for count in each.load.by_model.values())
        assert exchanges.under_way + len(self.bench.log.seen) == self.asked
        assert room.count == len(list(room)) <= exchanges.under_way
        assert room.bytes == sum(ticket.size for ticket in room)
        assert all(each.load.in_flight <= each.max_in_flight for each in self.ever if each.max_in_flight)

    def teardown(self) -> None:
        """Let everything finish."""
        globalLogPublisher.removeObserver(self.observe)
        if not self.ever:
            return
        bench = self.bench
        for each in bench.replicas:
            each.models = each.models or ("m",)
            each.health.drain(self.now, on=False)
            each.health.eject(self.now, on=False)
        for connection, wire in self.clients:
            if wire.protocol is not None:
                connection.resumeProducing()
        for _ in range(400):
            for each in bench.replicas:
                if each.health.probed:
                    each.health.probed_with(ProbeResult.PASSED, "", self.now, in_flight=0)
            bench.publish()
            for connector in self.connects:
                self.decide(connector, "made")
            for engine in self.busy:
                engine.finish()
            bench.advance(0.5)
            if not bench.exchanges.under_way and not self.busy and not self.connects:
                break
        self.counts_agree()
        self.nothing_is_left()
        for _, wire in self.clients:
            self.one_answer(wire)

    def nothing_is_left(self) -> None:
        bench = self.bench
        room = bench.exchanges.waiting.room
        assert bench.exchanges.under_way == 0
        assert (room.count, room.bytes, room.models) == (0, 0, [])
        assert [each.load.in_flight for each in self.ever] == [0] * len(self.ever)
        assert len({each.id for each in bench.log.seen}) == len(bench.log.seen) == self.asked
        assert bench.pool.open == bench.pool.idle
        bench.advance(5)
        assert bench.pool.open == 0, "idle for too long"
        assert len(bench.reactor.getDelayedCalls()) == 1, "the wheel's"
        assert not self.failures, self.failures
        for each in bench.replicas:
            assert each.health.is_standing(self.now + 100.0)
            assert not each.health.ejected(self.now + 100.0), "its breaker waits for an attempt that is over"

    def one_answer(self, wire: Wire) -> None:
        """Whole or visibly cut, out of one engine's mouth; none only for who left."""
        got = wire.written
        left = wire in self.gone or wire.aborted  # the gateway's own doing, where a client takes nothing for too long
        if not got:
            assert left, "no answer"
            return
        head, _, body = got.partition(b"\r\n\r\n")
        assert len(re.findall(rb"HTTP/1\.1 [2345][0-9][0-9] ", got)) == 1
        assert got.startswith(b"HTTP/1.1 ")
        length = re.search(rb"content-length: (\d+)", head)
        assert len(set(re.findall(rb"<(\d+)>", body))) <= 1, "two engines' events in one answer"
        if left:
            return
        if length is not None:
            assert len(body) == int(length[1]), got
        else:
            whole = body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
            assert body.count(b"\r\n0\r\n\r\n") <= 1
            assert whole or (wire.closing and b'data: {"error":{' in body), got


class MachineTests(SynchronousTestCase):
    """The gateway, whatever happens."""

    def test_any_sequence(self) -> None:
        """Of so many steps, as many times."""
        run_state_machine_as_test(
            GatewayMachine,
            settings=settings(max_examples=100, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
        )
