"""Connections to replicas: used again while they are fit, given up before the engine gives them up."""

from __future__ import annotations

import dataclasses
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import ReplicaTlsSettings, Retry, Settings
from aibrix_twisted.service.upstream.pool import MOST_USES
from tests.fakes import STREAM_HEAD, Bench, answer, chunk, post


class _Remembers:
    """In the place of what there is of TLS for a replica."""

    def __init__(self) -> None:
        self.remembered: list[Any] = []

    def remember(self, connection: Any) -> None:
        self.remembered.append(connection)


class PoolTests(SynchronousTestCase):
    """Through the whole gateway, without a network."""

    def served(self, bench: Bench) -> tuple[object, object]:
        """One request, served on a new connection."""
        client, _wire = bench.client()
        client.dataReceived(post())
        up, upwire = bench.upstream()
        up.dataReceived(answer())
        return up, upwire

    def test_a_connection_is_used_again(self) -> None:
        """The newest first."""
        bench = Bench()
        up, _upwire = self.served(bench)
        self.assertEqual((bench.pool.open, bench.pool.idle), (1, 1))
        client, _wire = bench.client()
        client.dataReceived(post())
        self.assertEqual(len(bench.reactor.connects), 1)
        self.assertEqual(up.uses, 2)  # type: ignore[attr-defined]

    def test_idle_for_too_long(self) -> None:
        """Closed by us within five seconds, which is when engines close."""
        bench = Bench()
        _, upwire = self.served(bench)
        bench.advance(3.5)
        self.assertFalse(upwire.aborted)  # type: ignore[attr-defined]
        bench.advance(1.4)
        self.assertTrue(upwire.aborted)  # type: ignore[attr-defined]
        self.assertEqual((bench.pool.open, bench.pool.idle), (0, 0))

    def test_closed_by_the_engine_while_idle(self) -> None:
        """It is not used."""
        bench = Bench()
        _, upwire = self.served(bench)
        upwire.lose()  # type: ignore[attr-defined]
        self.assertEqual(bench.pool.idle, 0)
        bench.client()[0].dataReceived(post())
        self.assertEqual(len(bench.reactor.connects), 2)

    def test_connections_with_tls_are_apart(self) -> None:
        """One that was verified otherwise, or not at all, is not used; and none that was made by files since changed."""
        bench = Bench()
        up: Any
        up, upwire = self.served(bench)
        up.tls = _Remembers()
        (here,) = bench.replicas
        for tls in (ReplicaTlsSettings(), ReplicaTlsSettings(insecure=True)):
            self.assertIsNone(bench.pool.take(dataclasses.replace(here, tls=tls)))
        self.assertEqual(bench.pool.idle, 1)
        bench.pool.renew_tls()
        self.assertTrue(upwire.aborted)  # type: ignore[attr-defined]
        self.assertEqual(bench.pool.idle, 0)

    def test_sessions_are_kept(self) -> None:
        """Of each connection once, when its first answer is over: by then the tickets of TLS 1.3 have come."""
        bench = Bench()
        up: Any
        up, upwire = self.served(bench)
        up.tls, upwire.connection = _Remembers(), "its session"  # type: ignore[attr-defined]
        up.uses = 0
        for _ in range(2):
            client, _wire = bench.client()
            client.dataReceived(post())
            up.dataReceived(answer())
        self.assertEqual(up.tls.remembered, ["its session"])

    def test_a_close_that_the_reactor_has_not_told_of(self) -> None:
        """It is seen by a glance, and the connection is not used."""
        bench = Bench()
        up, upwire = self.served(bench)

        class Glance:
            def poll(self, timeout: int) -> list[int]:
                return [1]

        up.glance = Glance()  # type: ignore[attr-defined]
        bench.client()[0].dataReceived(post())
        self.assertTrue(upwire.aborted)  # type: ignore[attr-defined]
        self.assertEqual(len(bench.reactor.connects), 2)

    def test_what_comes_unasked_ends_an_idle_connection(self) -> None:
        """Bytes that no request asked for: it is out of step."""
        bench = Bench()
        up, upwire = self.served(bench)
        up.dataReceived(b"HTTP/1.1 408 Timeout\r\n\r\n")  # type: ignore[attr-defined]
        self.assertTrue(upwire.aborted)  # type: ignore[attr-defined]
        self.assertEqual(bench.pool.idle, 0)

    def test_closed_by_us_and_not_yet_gone(self) -> None:
        """Until the reactor says that it is gone it is neither used nor taken for one that is forgotten."""
        for unasked in (False, True):
            bench = Bench()
            up, upwire = self.served(bench)
            upwire.aborted = True  # type: ignore[attr-defined]  # so that nothing comes of the next call of it
            if unasked:
                up.dataReceived(b"HTTP/1.1 408 Timeout\r\n\r\n")  # type: ignore[attr-defined]
            else:
                bench.advance(5.0)
            self.assertEqual((bench.pool.open, bench.pool.strays()), (1, []))
            bench.client()[0].dataReceived(post())
            self.assertEqual(len(bench.reactor.connects), 2)
            self.assertEqual((bench.pool.open, bench.pool.strays()), (1, []))

    def test_a_connection_that_has_served_enough(self) -> None:
        """It is closed, so that a leak of the engine's that hangs on one is bounded."""
        bench = Bench()
        up, upwire = self.served(bench)
        up.uses = MOST_USES - 1  # type: ignore[attr-defined]
        bench.client()[0].dataReceived(post())
        up.dataReceived(answer())  # type: ignore[attr-defined]
        self.assertEqual((bench.pool.idle, upwire.aborted), (0, True))  # type: ignore[attr-defined]

    def test_unfit_connections_are_not_kept(self) -> None:
        """After a close that was announced, HTTP/1.0, excess bytes, or an end that was none."""
        for raw in (
            answer(b"{}", b"connection: close"),
            answer().replace(b"HTTP/1.1", b"HTTP/1.0"),
            answer() + b"x",
            b"HTTQ/1.1\r\n",
        ):
            bench = Bench(Settings(retry=Retry(attempts=1)))
            bench.client()[0].dataReceived(post())
            up, upwire = bench.upstream()
            up.dataReceived(raw)
            self.assertEqual((bench.pool.idle, upwire.aborted), (0, True), raw)

    def test_a_resend_on_a_fresh_connection(self) -> None:
        """A used connection that dies before a byte came: once more, to the same replica, and it is one attempt."""
        for clean in (True, False):
            bench = Bench()
            _, upwire = self.served(bench)
            client, wire = bench.client()
            client.dataReceived(post())
            upwire.lose(clean=clean)  # type: ignore[attr-defined]
            self.assertEqual(wire.take(), b"")
            self.assertEqual(len(bench.reactor.connects), 2)
            up, _ = bench.upstream()
            up.dataReceived(answer())
            out = wire.take()
            self.assertIn(b"200 OK", out)
            self.assertNotIn(b"x-aibrix-attempts", out)
            self.assertEqual(bench.replicas[0].load.in_flight, 0)

    def test_no_resend_where_it_is_off_or_was_heard(self) -> None:
        """By the setting; and not once a byte of an answer came."""
        bench = Bench(Settings(retry=Retry(attempts=1, resend_reused=False)))
        _, upwire = self.served(bench)
        client, wire = bench.client()
        client.dataReceived(post())
        upwire.lose()  # type: ignore[attr-defined]
        self.assertIn(b"502", wire.take())
        bench = Bench(Settings(retry=Retry(attempts=1)))
        up, upwire = self.served(bench)
        client, wire = bench.client()
        client.dataReceived(post())
        up.dataReceived(b"HTT")  # type: ignore[attr-defined]
        upwire.lose()  # type: ignore[attr-defined]
        self.assertIn(b"upstream_truncated", wire.take())

    def test_closing_the_pool(self) -> None:
        """Idle or not, every connection ends."""
        bench = Bench()
        _, _idle = self.served(bench)
        bench.client()[0].dataReceived(post(b'{"model":"m","stream":true}'))
        bench.client()[0].dataReceived(post(b'{"model":"m","stream":true}'))
        up, busy = bench.upstream()
        up.dataReceived(STREAM_HEAD + chunk(b"data: x\n\n"))
        bench.pool.close()
        self.assertTrue(busy.aborted)
        self.assertEqual(bench.pool.open, 0)
