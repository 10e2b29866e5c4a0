"""Questions to engines, over a network in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.health.fetch import Fetcher, TooLong
from tests.cuts import every_cut
from tests.fakes import replica


class Network(MemoryReactorClock):
    """A reactor whose connects wait until the test decides."""

    def connected(self) -> tuple[Any, StringTransport]:
        """The newest connect succeeds."""
        protocol = self.tcpClients[-1][2].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def refused(self) -> None:
        """The newest connect does not."""
        self.tcpClients[-1][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class FetcherTests(SynchronousTestCase):
    """One question each."""

    def setUp(self) -> None:
        self.network = Network()
        self.fetcher = Fetcher(self.network, 4)

    def ask(self, asked: Replica | None = None, max_bytes: int = 100) -> Deferred[tuple[int, bytes]]:
        """One."""
        return self.fetcher.get(asked or replica("gpu0"), b"/metrics", max_bytes, 1.0)

    def test_what_is_asked(self) -> None:
        """A GET of the path below the replica's prefix, with its own key and with no other."""
        for asked, line, key in (
            (replica("gpu0"), b"GET /metrics HTTP/1.1\r\n", None),
            (replica("gpu1", prefix=b"/api", authorization=b"Bearer k"), b"GET /api/metrics HTTP/1.1\r\n", b"Bearer k"),
        ):
            waiting = self.ask(asked)
            _, transport = self.network.connected()
            head = transport.value()
            self.assertTrue(head.startswith(line), head)
            self.assertIn(b"\r\nHost: x:1\r\n", head)
            self.assertEqual(b"authorization" in head.lower(), key is not None)
            self.assertIn(key or b"", head)
            self.failureResultOf(self.cancelled(waiting))

    def cancelled(self, waiting: Deferred[Any]) -> Deferred[Any]:
        """By its owner."""
        waiting.cancel()
        return waiting

    def test_answers_cut_anywhere(self) -> None:
        """Whole whatever the status, and however it is framed."""
        chunked = b"HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        for answer, status in ((ANSWER, 200), (chunked, 404)):
            for pieces in every_cut(answer):
                self.setUp()
                waiting = self.ask()
                protocol, _ = self.network.connected()
                for piece in pieces:
                    self.assertNoResult(waiting)
                    protocol.dataReceived(piece)
                self.assertEqual(self.successResultOf(waiting), (status, b"hello"))
                self.assertEqual([call for call in self.network.getDelayedCalls() if call.getTime() < 4], [])

    def test_until_it_closes(self) -> None:
        """A body without a length ends with the connection."""
        waiting = self.ask()
        protocol, _ = self.network.connected()
        protocol.dataReceived(b"HTTP/1.0 200 OK\r\n\r\nhel")
        protocol.dataReceived(b"lo")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.successResultOf(waiting), (200, b"hello"))

    def test_connections_are_kept(self) -> None:
        """For the next question, if that comes in time; without that, not at all."""
        for fetcher, pause, connects in (
            (self.fetcher, 3, 1),
            (Fetcher(self.network, 4), 5, 2),
            (Fetcher(self.network), 0, 2),
        ):
            self.fetcher, protocol = fetcher, None
            self.network.tcpClients.clear()
            for number in range(2):
                waiting = self.ask()
                if len(self.network.tcpClients) > number:
                    protocol, _ = self.network.connected()
                protocol.dataReceived(ANSWER)
                self.assertEqual(self.successResultOf(waiting), (200, b"hello"))
                self.network.advance(pause)
            self.assertEqual(len(self.network.tcpClients), connects)

    def test_closed(self) -> None:
        """What is kept is let go of."""
        waiting = self.ask()
        protocol, transport = self.network.connected()
        protocol.dataReceived(ANSWER)
        self.successResultOf(waiting)
        closed = self.fetcher.close()
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(closed)

    def test_closed_while_it_asks(self) -> None:
        """The connection is not kept once it is answered: nobody would close it."""
        waiting = self.ask()
        protocol, transport = self.network.connected()
        self.fetcher.close()
        protocol.dataReceived(ANSWER)
        self.successResultOf(waiting)
        self.network.advance(0)
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """Told as what it is."""
        waiting = self.ask()
        self.network.refused()
        self.network.advance(0.3)  # Twisted's pause before it sees that there is no other address
        self.failureResultOf(waiting, ConnectionRefusedError)

    def test_broken(self) -> None:
        """In its head or in its body: what broke it is told, without what Twisted wraps around it."""
        for begun in (b"", b"HTTP/1.1 200", ANSWER[:-1]):
            waiting = self.ask()
            protocol, _ = self.network.connected()
            if begun:
                protocol.dataReceived(begun)
            protocol.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(waiting, ConnectionLost)

    def test_late(self) -> None:
        """Whatever it waits for: a connection, a head, the end of a body."""
        for step in range(3):
            waiting = self.ask()
            if step:
                protocol, transport = self.network.connected()
                if step == 2:
                    protocol.dataReceived(ANSWER[:-1])
            self.network.advance(1.0)
            self.assertEqual(
                self.failureResultOf(waiting, TimeoutError).getErrorMessage(), "no whole answer within 1 s"
            )
        self.assertTrue(transport.disconnecting)

    def test_too_long(self) -> None:
        """It is not read on, and nothing of it is kept."""
        waiting = self.ask(max_bytes=4)
        protocol, transport = self.network.connected()
        protocol.dataReceived(ANSWER)
        self.failureResultOf(waiting, TooLong)
        waiting = self.ask(max_bytes=4)
        protocol, transport = self.network.connected()
        protocol.dataReceived(ANSWER.replace(b"5", b"9"))
        self.failureResultOf(waiting, TooLong)
        protocol.dataReceived(b"more")
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_cancelled(self) -> None:
        """By its owner, in each state: it fails, and is over."""
        waiting = self.ask()
        self.failureResultOf(self.cancelled(waiting))
        waiting = self.ask()
        protocol, transport = self.network.connected()
        protocol.dataReceived(ANSWER[:-1])
        self.failureResultOf(self.cancelled(waiting), CancelledError)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.network.getDelayedCalls(), [])
