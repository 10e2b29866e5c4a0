"""Requests that no replica can take now: who waits, for how long, in which order, and what becomes of them."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import (
    AuthSettings,
    BreakerSettings,
    HealthSettings,
    ModelSettings,
    QueueSettings,
    Retry,
    Settings,
    Timeouts,
)
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post, replica
from tests.service.exchange.test_story import _body
from tests.wire.streams import DONE, _chat

RNG = random.Random(1)
STREAM = b'{"model":"m","stream":true}'
EVENTS = (_chat('{"content":"a"}'), _chat("{}", '"stop"') + DONE)
BUSY = b'{"error":{"message":"too much", "code":429}}'
COMMENT = b": waiting for a replica\n\n"


def probed(name: str = "gpu0", **more: Any) -> Replica:
    """A replica whose probes the test makes."""
    return replica(name, health=Health(HealthSettings(slow_start=0.0), BreakerSettings()), **more)


class Fixture(SynchronousTestCase):
    """A gateway without a network, and words for what happens to it."""

    def set_up(self, *replicas: Replica, **sections: Any) -> Bench:
        sections.setdefault("retry", Retry(backoff=0.0))
        self.bench = Bench(Settings(**sections), replicas)
        return self.bench

    def ask(self, body: bytes = b'{"model":"m"}', *lines: bytes) -> Wire:
        """A client that asks."""
        connection, wire = self.bench.client()
        connection.dataReceived(post(body, b"/v1/chat/completions", *lines))
        return wire

    def down(self, *replicas: Replica) -> None:
        for each in replicas or self.bench.replicas:
            each.health.refused("gone", self.bench.reactor.seconds(), RNG)

    def up(self, *replicas: Replica) -> None:
        """Their probes pass, and that is published."""
        for each in replicas or self.bench.replicas:
            each.health.probed_with(ProbeResult.PASSED, "", self.bench.reactor.seconds(), in_flight=0)
        self.bench.publish()
        self.bench.reactor.advance(0)

    def serve(self, raw: bytes | None = None) -> Wire:
        """The newest connect succeeds, and the engine answers and closes.

        @return: what it was sent.
        """
        connection, wire = self.bench.upstream()
        connection.dataReceived(answer() if raw is None else raw)
        wire.lose()
        return wire

    @property
    def waiting(self) -> int:
        return self.bench.exchanges.waiting.room.count

    @property
    def connects(self) -> int:
        return len(self.bench.reactor.connects)

    def is_over(self) -> None:
        """Nothing is left of anything."""
        room = self.bench.exchanges.waiting.room
        self.assertEqual((room.count, room.bytes, self.bench.exchanges.under_way), (0, 0, 0))
        self.assertEqual([each.load.in_flight for each in self.bench.replicas], [0] * len(self.bench.replicas))
        self.assertEqual(len(self.bench.reactor.getDelayedCalls()), 1, "the wheel's")


class DownTests(Fixture):
    """While no replica is up."""

    def test_refused_then_up(self) -> None:
        """The request waits, and is answered; the refused connect is no attempt."""
        bench = self.set_up(probed())
        wire = self.ask()
        bench.reactor.connects[-1].refused()
        self.assertEqual((self.waiting, bench.replicas[0].load.in_flight, wire.written), (1, 0, b""))
        bench.advance(30)
        self.assertEqual((self.connects, self.waiting), (1, 1))
        self.up()
        self.serve()
        got = wire.take()
        self.assertIn(b"200", got[:13])
        self.assertNotIn(b"x-aibrix-attempts", got)
        self.assertEqual(bench.log.seen[0].attempts, 1)
        self.assertApproximates(bench.log.seen[0].queued_s, 30.0, 0.2)
        self.is_over()

    def test_refused_again_and_again(self) -> None:
        """A replica whose probes pass and whose connects are refused keeps a request no longer than one that is down."""
        bench = self.set_up(probed(), queue=QueueSettings(wait_down=10.0))
        wire = self.ask()
        for _ in range(30):
            bench.reactor.connects[-1].refused()
            bench.advance(1)
            self.up()
            if wire.written:
                break
        bench.advance(1)
        self.assertIn(b"503", wire.take()[:13])
        self.assertLessEqual(bench.reactor.seconds(), 12.5)
        self.is_over()

    def test_runs_out(self) -> None:
        """503 with C{Retry-After}, after so long, to half a second; it says how long it was."""
        bench = self.set_up(probed(), queue=QueueSettings(wait_down=5.0))
        self.down()
        wire = self.ask()
        bench.advance(4.9)
        self.assertEqual(wire.written, b"")
        bench.advance(0.7)
        got = wire.take()
        self.assertIn(b"503", got[:13])
        self.assertIn(b"retry-after: 1\r\n", got)
        self.assertIn(b"x-error-no-model-backends: m\r\n", got)
        self.assertRegex(got, rb"no replica of the model 'm' is up, after 5\.[0-6] s of waiting")
        self.is_over()

    def test_never(self) -> None:
        """0: at once."""
        self.set_up(probed(), queue=QueueSettings(wait_down=0.0))
        self.down()
        got = self.ask().take()
        self.assertIn(b"503", got[:13])
        self.assertIn(b"retry-after: 1\r\n", got)
        self.assertNotIn(b"of waiting", got)
        self.is_over()

    def test_everyone_waits_as_long(self) -> None:
        """Who comes while others wait for a replica that is down waits for that, too, not for one that is busy."""
        bench = self.set_up(probed(), queue=QueueSettings(wait_down=60.0, wait_busy=1.0))
        self.down()
        wires = [self.ask() for _ in range(3)]
        bench.advance(50)
        self.assertEqual((self.waiting, {wire.written for wire in wires}), (3, {b""}))
        self.up()
        self.assertEqual(self.connects, 3)

    def test_a_model_that_only_the_settings_know(self) -> None:
        """It waits like one whose replicas are down, until there is one."""
        bench = self.set_up(probed(), model=(ModelSettings(name="later"),))
        wire = self.ask(b'{"model":"later"}')
        bench.advance(20)
        self.assertEqual((self.connects, self.waiting), (0, 1))
        bench.replicas = (*bench.replicas, probed("gpu1", models=("later",)))
        self.up()
        self.serve()
        self.assertIn(b"200", wire.take()[:13])
        self.is_over()

    def test_its_model_goes_away_while_it_waits(self) -> None:
        """Nobody serves it any more, and all have said what they serve: 404; else it goes on waiting."""
        for models, status in ((("n",), b"404"), (None, b"")):
            bench = self.set_up(probed())
            self.down()
            wire = self.ask()
            bench.replicas = (probed("gpu1", models=models),)
            bench.publish()
            bench.advance(5)
            self.assertEqual(wire.take()[9:12], status)


class BusyTests(Fixture):
    """While all that are up have as much as they may."""

    def test_next_when_one_is_over(self) -> None:
        """At once, without waiting for the wheel."""
        bench = self.set_up(replica("gpu0", max_in_flight=1))
        first, second = self.ask(), self.ask()
        self.assertEqual((self.connects, self.waiting), (1, 1))
        self.serve()
        bench.reactor.advance(0)
        self.assertEqual((self.connects, self.waiting), (2, 0))
        self.serve()
        self.assertTrue(first.written.startswith(b"HTTP/1.1 200") and second.written.startswith(b"HTTP/1.1 200"))
        self.is_over()

    def test_runs_out(self) -> None:
        """503 with C{Retry-After}; whoever is served is not disturbed by it."""
        bench = self.set_up(replica("gpu0", max_in_flight=1), queue=QueueSettings(wait_busy=2.0))
        first, second = self.ask(), self.ask()
        bench.advance(2.6)
        got = second.take()
        self.assertIn(b"503", got[:13])
        self.assertIn(b"retry-after: 1\r\n", got)
        self.assertRegex(got, rb"all replicas of the model 'm' are busy, after 2\.[0-6] s of waiting")
        self.serve()
        self.assertIn(b"200", first.take()[:13])
        self.is_over()

    def test_never(self) -> None:
        """0: at once."""
        self.set_up(replica("gpu0", max_in_flight=1), queue=QueueSettings(wait_busy=0.0))
        self.ask()
        self.assertIn(b"503", self.ask().take()[:13])
        self.serve()
        self.is_over()

    def test_busy_then_down(self) -> None:
        """What it lacks at the end of its patience is looked at again, and is waited for as long as that may take."""
        bench = self.set_up(probed(max_in_flight=1), queue=QueueSettings(wait_busy=2.0, wait_down=60.0))
        self.ask()
        second = self.ask()
        self.down()
        bench.advance(30)
        self.assertEqual((second.written, self.waiting), (b"", 1))

    def test_attempts_are_no_waiting(self) -> None:
        """One that has waited, and whose attempt then took long and broke, has not used up its patience."""
        bench = self.set_up(probed(), queue=QueueSettings(wait_down=10.0))
        self.down()
        wire = self.ask()
        bench.advance(5)
        self.up()
        _, upwire = bench.upstream()
        bench.advance(50)
        self.down()
        upwire.lose(clean=False)
        bench.advance(4)
        self.assertEqual((wire.written, self.waiting), (b"", 1))
        self.up()
        self.serve()
        got = wire.take()
        self.assertIn(b"200", got[:13])
        self.assertIn(b"x-aibrix-attempts: 2\r\n", got)
        self.assertApproximates(bench.log.seen[0].queued_s, 9.0, 0.3)

    def test_full(self) -> None:
        """429 for who comes too late, by number and by bytes; the others go on waiting."""
        for queue in (QueueSettings(max_requests=1), QueueSettings(max_bytes=20)):
            bench = self.set_up(replica("gpu0", max_in_flight=1), queue=queue)
            self.ask()
            second, third = self.ask(), self.ask()
            got = third.take()
            self.assertIn(b"429", got[:13])
            self.assertIn(b"retry-after: 1\r\n", got)
            self.assertEqual((second.written, self.waiting), (b"", 1))
            self.serve()
            bench.reactor.advance(0)
            self.serve()
            self.assertIn(b"200", second.take()[:13])
            self.is_over()

    def test_who_comes_now_gets_in_line(self) -> None:
        """Behind those who wait, though there is room just now; and is called with them."""
        bench = self.set_up(replica("gpu0", max_in_flight=1))
        self.ask()
        self.ask(b'{"model":"m","n":1}')
        self.serve()
        bench.replicas[0].max_in_flight = 2
        self.ask(b'{"model":"m","n":2}')
        self.assertEqual((self.connects, self.waiting), (1, 2))
        bench.reactor.advance(0)
        sent = [connector.made()[1].take() for connector in bench.reactor.connects[1:]]
        self.assertEqual([each[-6:] for each in sent], [b'"n":1}', b'"n":2}'])

    def test_who_has_tried_it_does_not_keep_it_from_others(self) -> None:
        """One waits for a replica that it has not tried; who comes now may have the one that it has."""
        tried, full = replica("a"), replica("b", max_in_flight=1)
        bench = self.set_up(tried, full)
        full.load.lease("m")
        self.ask()
        self.serve(answer(BUSY, status=b"429 Too Many Requests"))
        self.assertEqual(self.waiting, 1)
        wire = self.ask()
        bench.reactor.advance(0)
        self.serve()
        self.assertIn(b"x-aibrix-replica: a\r\n", wire.take())
        self.assertEqual(self.waiting, 1)

    def test_order(self) -> None:
        """By class, then the tenants in turn, each in its own order; as many as there is room for."""
        bench = self.set_up(replica("gpu0", max_in_flight=1), auth=AuthSettings(trust_user_header=True))
        self.ask()
        padding = b"x" * 16384
        for number, (user, priority) in enumerate(
            [
                (b"a", b"low"),
                (b"a", b"normal"),
                (b"a", b"Normal"),
                (b"a", b"normal"),
                (b"b", b"normal"),
                (b"b", b"HIGH"),
            ]
        ):
            body = b'{"model":"m","user":"%d","x":"%b"}' % (number, padding)
            self.ask(body, b"user: " + user, b"x-aibrix-priority: " + priority)
        self.assertEqual(self.waiting, 6)
        order = []
        for _ in range(7):
            sent = self.serve().take()
            order.append(sent[sent.find(b'"user":"') + 8 : sent.find(b'"user":"') + 9].decode())
            bench.reactor.advance(0)
        self.assertEqual("".join(order[1:]), "514230", "high; a and b in turn; low")
        self.is_over()

    def test_unknown_class(self) -> None:
        """400, and what there is instead."""
        self.set_up(replica("gpu0"))
        got = self.ask(b'{"model":"m"}', b"x-aibrix-priority: urgent").take()
        self.assertIn(b"400", got[:13])
        self.assertIn(b"expected one of high, normal, low", got)

    def test_engine_waiting(self) -> None:
        """A replica with enough waiting inside is busy until its engine says otherwise."""
        bench = self.set_up(replica("gpu0"), queue=QueueSettings(engine_waiting=2))
        load = bench.replicas[0].load
        load.read(EngineLoad(at=0.0, waiting=2.0), 1000.0)
        self.ask()
        self.assertEqual((self.connects, self.waiting), (0, 1))
        load.read(EngineLoad(at=0.0, waiting=0.0), 1000.0)
        bench.advance(0.6)
        self.assertEqual((self.connects, self.waiting), (1, 0))


class LeavingTests(Fixture):
    """What else ends the waiting."""

    def test_client_leaves(self) -> None:
        """Its place is free; it is logged once; nothing is sent for it later."""
        bench = self.set_up(probed(), queue=QueueSettings(max_requests=1))
        self.down()
        wire = self.ask()
        wire.lose()
        self.is_over()
        self.assertEqual([(each.outcome, each.status) for each in bench.log.seen], [(Outcome.ABANDONED, 499)])
        other = self.ask()
        self.up()
        self.assertEqual((self.connects, other.written), (1, b""))

    def test_client_leaves_beneath_a_comment(self) -> None:
        """The very write tells that it is gone: one end."""
        bench = self.set_up(probed(), model=(ModelSettings(name="m", ping=1.0),))
        self.down()
        for comments in (0, 1):
            wire = self.ask(STREAM)
            bench.advance(1.6 * comments)
            wire.beneath_write = wire.lose
            bench.advance(1.6)
            self.is_over()
        self.assertEqual(len(bench.log.seen), 2)

    def test_client_leaves_while_it_is_to_be_tried_again(self) -> None:
        """Between two attempts, and while it is suspected: no timer is left."""
        for replicas in ((replica("a"), replica("b")), (probed(),)):
            bench = self.set_up(*replicas, retry=Retry(backoff=1.0))
            wire = self.ask()
            bench.upstream()[1].lose(clean=False)
            self.assertEqual((self.connects, wire.written), (1, b""))
            self.assertEqual(len(bench.reactor.getDelayedCalls()), 2)
            wire.lose()
            self.is_over()
            bench.advance(3)
            self.assertEqual((self.connects, len(bench.log.seen)), (1, 1))

    def test_total(self) -> None:
        """The exchange's own time runs while it waits."""
        bench = self.set_up(probed(), timeouts=Timeouts(total=3.0))
        self.down()
        wire = self.ask()
        bench.advance(3.6)
        self.assertIn(b"504", wire.take()[:13])
        self.is_over()

    def test_gateway_stops(self) -> None:
        """Whoever still waits then is told so."""
        bench = self.set_up(probed())
        self.down()
        wire = self.ask()
        bench.exchanges.draining = True
        for connection in tuple(bench.exchanges.live):
            connection.drain()
            connection.expire("the gateway is stopping")
        self.assertIn(b"503", wire.take()[:13])
        self.assertTrue(wire.closing)
        self.is_over()


class CommentTests(Fixture):
    """C{ping}: a stream that waits is kept alive."""

    def set_up_pinged(self, *replicas: Replica, **sections: Any) -> Bench:
        return self.set_up(*replicas, model=(ModelSettings(name="m", ping=2.0),), **sections)

    def test_comments_then_the_stream(self) -> None:
        """One head, comments, the engine's events, the last chunk."""
        bench = self.set_up_pinged(probed())
        self.down()
        wire = self.ask(STREAM)
        bench.advance(1.9)
        self.assertEqual(wire.written, b"")
        bench.advance(5)
        self.up()
        up, _ = bench.upstream()
        up.dataReceived(STREAM_HEAD + b"".join(chunk(event.encode()) for event in EVENTS) + b"0\r\n\r\n")
        head, _, body = wire.take().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"))
        self.assertEqual(head.count(b"HTTP/1.1"), 1)
        self.assertIn(b"content-type: text/event-stream", head)
        comments = body.count(COMMENT)
        self.assertIn(comments, (2, 3))
        self.assertTrue(body.startswith(chunk(COMMENT) * comments))
        self.assertEqual(_body(head + b"\r\n\r\n" + body), COMMENT * comments + "".join(EVENTS).encode())
        self.assertTrue(body.endswith(b"\r\n0\r\n\r\n"))
        self.assertIs(bench.log.seen[0].outcome, Outcome.COMPLETE)
        self.is_over()

    def test_only_streams_and_only_where_wanted(self) -> None:
        """Whoever asked for a whole answer gets no comment, nor does a stream of another model."""
        bench = self.set_up_pinged(probed(models=("m", "n")))
        self.down()
        wires = [self.ask(), self.ask(b'{"model":"n","stream":true}')]
        bench.advance(20)
        self.assertEqual([wire.written for wire in wires], [b"", b""])

    def test_an_error_after_a_comment(self) -> None:
        """The engine's own object as the one event, on one line, then a cut; what is no object is said by us."""
        for status, body, event in (
            (b"500 Oops", b'{"error":\n {"message":"boom"}}', b'data: {"error":  {"message":"boom"}}\n\n'),
            (b"500 Oops", b"<html>", b'"message":"the replica answered with status 500"'),
            (b"200 OK", b'{"id":"c"}', b'"message":"the replica answered with status 200"'),
        ):
            bench = self.set_up_pinged(probed())
            self.down()
            wire = self.ask(STREAM)
            bench.advance(3)
            self.up()
            self.serve(answer(body, status=status))
            bench.advance(3)  # a 500 may mean that it is about to be gone: no probe says so
            got = wire.take()
            self.assertIn(event, got)
            self.assertEqual(got.count(b"data: "), 1)
            self.assertFalse(got.endswith(b"0\r\n\r\n"))
            self.assertTrue(wire.closing)
            self.assertEqual((bench.log.seen[0].outcome, bench.log.seen[0].error), (Outcome.BROKEN, "engine_reported"))
            self.is_over()

    def test_no_replica_after_a_comment(self) -> None:
        """503 as an event."""
        bench = self.set_up_pinged(probed(), queue=QueueSettings(wait_down=5.0))
        self.down()
        wire = self.ask(STREAM)
        bench.advance(6)
        got = wire.take()
        self.assertRegex(got, rb'data: {"error":{.*"code":"no_replica_available"}}')
        self.assertFalse(got.endswith(b"0\r\n\r\n"))
        self.assertTrue(wire.closing)
        self.is_over()

    def test_declined_before_a_comment(self) -> None:
        """An engine's 429 from before the first comment cannot be passed on after it: one error event, and a cut."""
        full = replica("gpu1", max_in_flight=1)
        bench = self.set_up_pinged(replica("gpu0"), full, queue=QueueSettings(wait_busy=5.0))
        lease = full.load.lease("m")
        wire = self.ask(STREAM)
        self.serve(answer(BUSY, status=b"429 Too Many Requests"))
        bench.advance(7)
        got = wire.take()
        self.assertIn(chunk(COMMENT), got)
        self.assertEqual(got.count(b"data: "), 1)
        self.assertNotIn(BUSY, got)
        self.assertFalse(got.endswith(b"0\r\n\r\n"))
        lease.release()
        self.is_over()

    def test_retried_after_a_comment(self) -> None:
        """A comment is nothing of an answer: what breaks after it is tried elsewhere."""
        bench = self.set_up_pinged(probed("gpu0"), probed("gpu1"))
        self.down()
        wire = self.ask(STREAM)
        bench.advance(3)
        self.up()
        bench.upstream()[1].lose(clean=False)
        self.assertEqual(self.connects, 2)
        self.serve(STREAM_HEAD + b"".join(chunk(event.encode()) for event in EVENTS) + b"0\r\n\r\n")
        self.assertTrue(wire.take().endswith(b"0\r\n\r\n"))
        self.assertEqual(bench.log.seen[0].attempts, 2)
        self.is_over()


class FallbackTests(Fixture):
    """Another model stands in."""

    def set_up_fallback(self, **more: Any) -> Bench:
        models = (ModelSettings(name="m", fallbacks=("n",)),)
        return self.set_up(probed("gpu0", **more), probed("gpu1", models=("n",)), model=models)

    def test_while_it_is_down(self) -> None:
        """At once, and the body names it."""
        bench = self.set_up_fallback()
        self.down(bench.replicas[0])
        wire = self.ask()
        self.assertIn(b'{"model":"n"}', self.serve().take())
        got = wire.take()
        self.assertIn(b"x-aibrix-edited: model\r\n", got)
        self.assertIn(b"x-aibrix-replica: gpu1\r\n", got)

    def test_once_all_were_tried(self) -> None:
        """What is suspected is waited for first; when it is well, the other model is asked."""
        bench = self.set_up_fallback()
        wire = self.ask()
        bench.upstream()[1].lose(clean=False)
        self.assertEqual(self.connects, 1)
        self.up(bench.replicas[0])
        bench.advance(0.1)
        self.assertEqual(self.connects, 2)
        self.serve()
        self.assertIn(b"x-aibrix-attempts: 2\r\n", wire.take())

    def test_not_while_it_is_only_busy(self) -> None:
        """It can serve, soon."""
        self.set_up_fallback(max_in_flight=1)
        self.ask()
        self.ask()
        self.assertEqual((self.connects, self.waiting), (1, 1))

    def test_both_down(self) -> None:
        """It waits for either."""
        bench = self.set_up_fallback()
        self.down()
        wire = self.ask()
        bench.advance(3)
        self.up(bench.replicas[1])
        self.serve()
        self.assertIn(b"x-aibrix-replica: gpu1\r\n", wire.take())
        self.is_over()


class AgainTests(Fixture):
    """An attempt has failed, and nobody else is left."""

    def test_all_tried(self) -> None:
        """502 at once, by what the last one did."""
        bench = self.set_up(replica("a"), replica("b"))
        wire = self.ask()
        for _ in range(2):
            bench.upstream()[1].lose()
        self.assertEqual(self.connects, 2)
        got = wire.take()
        self.assertIn(b"502", got[:13])
        self.assertIn(b"x-aibrix-attempts: 2\r\n", got)
        self.is_over()

    def test_suspect_then_down_then_up(self) -> None:
        """The same replica is asked again once it is there again."""
        bench = self.set_up(probed())
        suspected: list[Replica] = []
        bench.exchanges.suspect = suspected.append
        wire = self.ask()
        bench.upstream()[1].lose(clean=False)
        self.assertEqual(suspected, list(bench.replicas))
        bench.advance(0.3)
        self.assertEqual((wire.written, self.connects, self.waiting), (b"", 1, 0))
        self.down()
        bench.advance(20)
        self.assertEqual(self.waiting, 1)
        self.up()
        self.serve()
        got = wire.take()
        self.assertIn(b"200", got[:13])
        self.assertIn(b"x-aibrix-attempts: 2\r\n", got)
        self.is_over()

    def test_suspect_then_well(self) -> None:
        """It is there, and broke: 502, as soon as the probe says so."""
        bench = self.set_up(probed())
        wire = self.ask()
        bench.upstream()[1].lose(clean=False)
        self.up()
        bench.advance(0.1)
        self.assertIn(b"502", wire.take()[:13])
        self.is_over()

    def test_failed_then_well(self) -> None:
        """What it says of itself is passed on once the probe says that it is there all the same."""
        bench = self.set_up(probed())
        wire = self.ask()
        failed = answer(b'{"error":{"message":"boom"}}', status=b"500 Oops")
        self.serve(failed)
        self.assertEqual(wire.written, b"")
        self.up()
        bench.advance(0.1)
        got = wire.take()
        self.assertIn(b"500", got[:13])
        self.assertTrue(got.endswith(b'{"error":{"message":"boom"}}'))
        self.is_over()

    def test_failed_then_down(self) -> None:
        """As an engine does that is being stopped: it is waited for."""
        bench = self.set_up(probed())
        wire = self.ask()
        self.serve(answer(b'{"error":{"message":"boom"}}', status=b"500 Oops"))
        bench.replicas[0].health.probed_with(ProbeResult.FAILED, "GET /health: status 503", 0.0, in_flight=0)
        bench.advance(20)
        self.assertEqual(self.waiting, 1)
        self.up()
        self.serve()
        self.assertIn(b"200", wire.take()[:13])
        self.is_over()

    def test_failed_elsewhere_it_works(self) -> None:
        """Another replica may do what one could not; where none can, what the last one said is passed on."""
        for last in (b"200 OK", b"500 Oops"):
            bench = self.set_up(replica("a"), replica("b"), retry=Retry(backoff=0.0))
            wire = self.ask()
            self.serve(answer(b'{"error":{"message":"boom"}}', status=b"500 Oops"))
            self.assertEqual(self.connects, 2)
            bench.upstream()[1].protocol.dataReceived(answer(b'{"id":"last"}', status=last))
            got = wire.take()
            self.assertIn(last, got)
            self.assertTrue(got.endswith(b'{"id":"last"}'))
            self.is_over()

    def test_suspect_and_no_word(self) -> None:
        """No longer than a probe can take."""
        bench = self.set_up(probed())
        wire = self.ask()
        bench.upstream()[1].lose(clean=False)
        bench.advance(1.9)
        self.assertEqual(wire.written, b"")
        bench.advance(0.4)
        self.assertIn(b"502", wire.take()[:13])
        self.is_over()

    def test_backoff(self) -> None:
        """Before another replica is tried, a while; none where nothing was sent."""
        bench = self.set_up(replica("a"), replica("b"), replica("c"), retry=Retry(backoff=0.4))
        self.ask()
        bench.reactor.connects[-1].refused()
        self.assertEqual(self.connects, 2)
        bench.upstream()[1].lose()
        self.assertEqual(self.connects, 2)
        bench.advance(0.5)
        self.assertEqual(self.connects, 3)

    def test_bounded_by_attempts(self) -> None:
        """Refused connects are none of them."""
        bench = self.set_up(*(replica(f"r{n}") for n in range(9)), retry=Retry(attempts=2, backoff=0.0))
        wire = self.ask()
        for number in range(6):
            if number % 3 == 2:
                bench.upstream()[1].lose()
            else:
                bench.reactor.connects[-1].refused()
        self.assertEqual(self.connects, 6)
        got = wire.take()
        self.assertIn(b"502", got[:13])
        self.assertEqual(bench.log.seen[0].attempts, 2)
        self.is_over()


class DeclinedTests(Fixture):
    """An engine's own 429 and 503."""

    def test_elsewhere(self) -> None:
        """The client never hears of it; nor does the breaker."""
        for status in (b"429 Too Many Requests", b"503 Service Unavailable"):
            bench = self.set_up(probed("a"), probed("b"))
            wire = self.ask()
            self.serve(answer(BUSY, status=status))
            self.serve()
            self.assertIn(b"200", wire.take()[:13])
            self.assertTrue(all(each.health.plain for each in bench.replicas))
            self.is_over()

    def test_all_say_so(self) -> None:
        """The last one's word, byte for byte."""
        self.set_up(replica("a"), replica("b"))
        wire = self.ask()
        self.serve(answer(b"first", status=b"429 Too Many Requests"))
        self.serve(answer(BUSY, b"Retry-After: 7", b"X-Own: 1", status=b"429 Enough"))
        head, _, body = wire.take().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 429 Enough\r\n"))
        self.assertIn(b"Retry-After: 7\r\n", head)
        self.assertIn(b"X-Own: 1\r\n", head)
        self.assertEqual(body, BUSY)
        self.is_over()

    def test_stateful_is_not_asked_again(self) -> None:
        """It is passed on at once."""
        bench = self.set_up(replica("a"), replica("b"))
        connection, wire = bench.client()
        connection.dataReceived(post(b'{"model":"m"}', b"/v1/responses"))
        self.serve(answer(BUSY, status=b"429 Too Many Requests"))
        self.assertEqual(self.connects, 1)
        self.assertTrue(wire.take().endswith(BUSY))

    def test_retry_after_keeps_it_out(self) -> None:
        """For as long as it says, and no longer than a minute; who comes meanwhile waits."""
        for said, kept_s in ((b"3", 3.0), (b"86400", 60.0)):
            bench = self.set_up(replica("a"), queue=QueueSettings(wait_busy=100.0))
            first = self.ask()
            self.serve(answer(BUSY, b"Retry-After: " + said, status=b"503 Busy"))
            self.assertIn(b"503", first.take()[:13])
            second = self.ask()
            bench.advance(kept_s - 0.2)
            self.assertEqual((self.connects, self.waiting), (1, 1))
            bench.advance(0.8)
            self.assertEqual((self.connects, self.waiting), (2, 0))
            self.serve()
            self.assertIn(b"200", second.take()[:13])
            self.is_over()

    def test_the_others_take_over(self) -> None:
        """While one wants to be left alone."""
        bench = self.set_up(replica("a"), replica("b"))
        self.ask()
        self.serve(answer(BUSY, b"Retry-After: 30", status=b"503 Busy"))
        self.serve()
        took = bench.log.seen[0].replica
        for _ in range(10):
            self.ask()
            self.serve()
        self.assertEqual({each.replica for each in bench.log.seen}, {took})
