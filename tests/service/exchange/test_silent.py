"""A replica that was sent a request and has gone silent: the request moves on while nothing of an answer has come."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post, replica


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
        """Whoever has begun to answer may go on."""
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
