"""Clients of a gateway that drains: nobody who is connected loses a request."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.exchange.exchanges import DRAINING_IDLE_S
from tests.fakes import STREAM_HEAD, Bench, answer, chunk, post, replica
from tests.service.downstream.test_protocol import error_of, statuses


class DrainingTests(SynchronousTestCase):
    """On one gateway without a network."""

    def test_draining(self) -> None:
        """Whoever is connected is served once more, and told so."""
        bench = Bench(replicas=(replica("a"),))
        busy, busy_wire = bench.client()
        late, late_wire = bench.client()
        busy.dataReceived(post())
        up, _ = bench.upstream()
        late.dataReceived(post()[:20])
        bench.exchanges.draining = True
        busy.drain()
        late.drain()
        up.dataReceived(answer())
        self.assertIn(b"connection: close", busy_wire.take())
        self.assertTrue(busy_wire.closing)
        late.dataReceived(post()[20:])
        up.dataReceived(answer())
        self.assertIn(b"connection: close", late_wire.take())
        self.assertTrue(late_wire.closing)

    def test_draining_beneath_a_stream(self) -> None:
        """Its head has promised to keep the connection: it is kept, until the next answer can say otherwise."""
        bench = Bench(replicas=(replica("a"),))
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m","stream":true}'))
        up, _ = bench.upstream()
        up.dataReceived(STREAM_HEAD + chunk(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'))
        self.assertNotIn(b"connection: close", wire.take())
        bench.exchanges.draining = True
        client.drain()
        up.dataReceived(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self.assertFalse(wire.closing)
        client.dataReceived(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        self.assertIn(b"connection: close", wire.take())
        self.assertTrue(wire.closing)

    def test_idling_while_draining(self) -> None:
        """For a moment, for what may be on its way."""
        bench = Bench(replicas=(replica("a"),))
        bench.exchanges.draining = True
        client, wire = bench.client()
        client.drain()
        bench.advance(DRAINING_IDLE_S - 0.2)
        self.assertFalse(wire.closing)
        bench.advance(0.8)
        self.assertTrue(wire.closing)

    def test_what_has_come_is_read_first(self) -> None:
        """Kept from looking for longer than we are patient, we would else close on a request that waits."""
        bench = Bench(replicas=(replica("a"),))
        bench.exchanges.draining = True
        client, wire = bench.client()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        wire.fileno = ours.fileno
        theirs.send(post())
        bench.advance(DRAINING_IDLE_S + 1)
        self.assertFalse(wire.closing)
        client.dataReceived(ours.recv(65536))
        up, _ = bench.upstream()
        up.dataReceived(answer())
        self.assertEqual(statuses(wire.take()), [200])

    def test_refusing(self) -> None:
        """The time is up: there is no new work."""
        bench = Bench(replicas=(replica("a"),))
        bench.exchanges.draining = bench.exchanges.refusing = True
        client, wire = bench.client()
        client.dataReceived(post())
        out = wire.take()
        self.assertEqual((statuses(out), error_of(out)["code"]), ([503], "gateway_draining"))
