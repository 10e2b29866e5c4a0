"""A replica that was sent a request and has gone silent: the request moves on while nothing of an answer has come, and
a stream that has begun is continued elsewhere."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post, replica
from tests.service.exchange.healed import CHAT, Engine, Healed


class SilentTests(SynchronousTestCase):
    """A replica that has a request and will never answer it."""

    def hung(self, *more: bytes, path: bytes = b"/v1/chat/completions") -> tuple[Bench, Wire, Wire]:
        """Of two replicas, the one that was asked hangs."""
        health = [Health(HealthSettings(), BreakerSettings()) for _ in range(2)]
        bench = Bench(replicas=tuple(replica(f"gpu{n}", health=each) for n, each in enumerate(health)))
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m"}', path, b"routing-strategy: round-robin"))
        up, upwire = bench.upstream()
        for piece in more:
            up.dataReceived(piece)
        for _ in range(2):
            bench.advance(10)
            health[0].probed_with(ProbeResult.TIMED_OUT, "late", bench.reactor.seconds(), in_flight=1)
        bench.advance(1)
        return bench, wire, upwire

    def test_nothing_came(self) -> None:
        """The request is given to the other one, and its work here is cancelled."""
        for more in ((), (STREAM_HEAD,)):
            bench, wire, upwire = self.hung(*more)
            self.assertTrue(upwire.aborted)
            up, _ = bench.upstream()
            up.dataReceived(answer())
            self.assertTrue(wire.written.startswith(b"HTTP/1.1 200"))
            self.assertIn(b"x-aibrix-attempts: 2", wire.written)
            self.assertIn(b"x-aibrix-replica: gpu1", wire.written)

    def test_something_came(self) -> None:
        """Whoever has begun to answer may go on, where nobody else could."""
        _, _, upwire = self.hung(STREAM_HEAD + chunk(b'data: {"choices":[]}\n\n'))
        self.assertFalse(upwire.aborted)

    def test_what_must_not_be_repeated(self) -> None:
        """It may be done there all the same."""
        _, _, upwire = self.hung(path=b"/v1/responses")
        self.assertFalse(upwire.aborted)

    def test_nobody_else(self) -> None:
        """The only replica is waited for."""
        health = Health(HealthSettings(), BreakerSettings())
        bench = Bench(replicas=(replica("gpu0", health=health),))
        client, _ = bench.client()
        client.dataReceived(post())
        _, upwire = bench.upstream()
        health.probed_with(ProbeResult.REFUSED, "gone", bench.reactor.seconds(), in_flight=1)
        bench.advance(2)
        self.assertFalse(upwire.aborted)


class SilentStreamTests(SynchronousTestCase):
    """A replica that has begun a stream, and says no more."""

    def begun(self, **asked: object) -> tuple[Healed, Engine]:
        """Some of it came."""
        healed = Healed({**CHAT, **asked})
        first = healed.next()
        first.say(*first.events[:4], head=True)
        return healed, first

    def silent(self, healed: Healed, *which: int) -> None:
        """Those do not answer their probes either."""
        for _ in range(2):
            healed.bench.advance(10)
            for at in which:
                health = healed.replicas[at].health
                health.probed_with(ProbeResult.TIMED_OUT, "late", healed.bench.reactor.seconds(), in_flight=1)
        healed.bench.advance(1)

    def test_it_goes_on_elsewhere(self) -> None:
        """Long before C{stall}."""
        healed, first = self.begun()
        self.silent(healed, 0)
        self.assertTrue(first.wire.aborted)
        second = healed.next()
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.check(self), "complete")
        self.assertEqual(healed.exchange.heal, "healed")

    def test_it_speaks_again(self) -> None:
        """Where it can't be continued, or nobody is there who would, it is not broken off; that is no failed healing."""
        for which, asked in (((0,), {"seed": 3, "temperature": 1}), ((0, 1), {})):
            healed, first = self.begun(**asked)
            self.silent(healed, *which)
            self.assertFalse(first.wire.aborted, which)
            first.say(*first.events[4:], end=True)
            self.assertEqual(healed.check(self), "complete")
            self.assertEqual((healed.exchange.heal, healed.exchange.heal_reason), (None, ""))

    def test_its_client_takes_nothing(self) -> None:
        """It may have said more, which was not read."""
        healed, first = self.begun()
        healed.wire.producer.pauseProducing()
        self.silent(healed, 0)
        self.assertFalse(first.wire.aborted)
        healed.wire.producer.resumeProducing()
        healed.bench.advance(1)
        self.assertFalse(first.wire.aborted)
        healed.bench.advance(10)
        self.assertTrue(first.wire.aborted)

    def test_it_stalls_before_anything_whole_came(self) -> None:
        """The client has nothing of it: it is asked for anew, elsewhere."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(b'data: {"choices":[{"index":0,"del', head=True)
        healed.bench.advance(130.0)
        self.assertTrue(first.wire.aborted)
        second = healed.next()
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.check(self), "complete")
        self.assertEqual((healed.exchange.heal, healed.exchange.attempts), (None, 2))
