"""TLS towards replicas: OpenSSL on the other end, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaTlsSettings
from aibrix_twisted.service.tls.failed import TlsFailed
from aibrix_twisted.service.tls.replicas import ReplicasTls
from aibrix_twisted.service.upstream.connect import Connecting
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from tests.authority import Authority, Issued
from tests.fakes import MemoryReactor, replica
from tests.service.tls.peer import Peer, TlsWire, folder_of, showing, to_replica


class ReplicaTlsTests(SynchronousTestCase):
    """One connect, as the pool makes it."""

    def setUp(self) -> None:
        self.authority = Authority(folder_of(self))
        self.tls = ReplicasTls()
        self.good = self.authority.issue("gpu0.example", "*.c.example", "192.0.2.1", "2001:db8::1", subject="gpu0")

    def a_replica(self, host: str = "gpu0.example", tls: ReplicaTlsSettings | None = None, **more: Any) -> Replica:
        """At a host; TLS as the tests' authority allows it, where nothing else is said."""
        made = replica("gpu0", tls=tls or to_replica(self.authority, **more))
        made.host = host
        return made

    def connect(self, to: Replica, timeout_s: float = 2.0) -> Any:
        """Begin; the socket is there at once.

        @return: its wire.
        """
        self.reactor: Any = MemoryReactor()
        self.made: list[UpstreamConnection] = []
        self.failed: list[tuple[str, bool, bool]] = []

        def make(made: Any, unmade: Any) -> UpstreamConnection:
            return UpstreamConnection(self, (to.host, 1, to.tls), made, unmade, self.tls.of(to))  # type: ignore[arg-type]

        self.connecting = Connecting(
            self.reactor, "192.0.2.1", 1, timeout_s, make, self.made.append,
            lambda why, *, refused, tls: self.failed.append((why, refused, tls)),
        )  # fmt: skip
        self.connecting.start()
        if not self.reactor.connects:
            return None
        transport = self.reactor.connects[-1].factory.buildProtocol(None)
        wire = TlsWire(transport)
        transport.makeConnection(wire)
        return wire

    def lost(self, connection: UpstreamConnection) -> None:
        """In the pool's place."""

    def meet(self, to: Replica, shown: Issued | None = None, **wants: Any) -> Peer:
        """Connect to an engine that shows this, and shake hands."""
        wire = self.connect(to)
        peer = Peer(wire.protocol, wire, showing(shown or self.good, **wants), client=False).pump()
        if wire.closing:
            wire.lose()
        return peer

    def fails(self, expected: str, to: Replica, shown: Issued | None = None, **wants: Any) -> Peer:
        """It does not come about, and why."""
        peer = self.meet(to, shown, **wants)
        self.assertEqual(self.made, [])
        ((why, refused, tls),) = self.failed
        self.assertEqual((refused, tls), (False, True))
        self.assertIn(expected, why)
        self.assertTrue(why.startswith("TLS: "))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return peer

    def test_it_is_who_it_should_be(self) -> None:
        """By name, by wildcard, by address; asked for by name, and by no name where there is only an address."""
        for host, asked in (
            ("gpu0.example", b"gpu0.example"), ("GPU0.example", b"gpu0.example"), ("x.c.example", b"x.c.example"),
            ("192.0.2.1", None), ("2001:db8::1", None),
        ):  # fmt: skip
            peer = self.meet(self.a_replica(host))
            self.assertEqual((len(self.made), self.failed, peer.error), (1, [], ""), host)
            self.assertEqual(peer.tls.get_servername(), asked)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_another_name(self) -> None:
        """The one that the settings say, whatever the URL's host is."""
        peer = self.meet(self.a_replica("10.0.0.1", server_name="gpu0.example"))
        self.assertEqual((len(self.made), peer.tls.get_servername()), (1, b"gpu0.example"))

    def test_it_is_not(self) -> None:
        """Which certificate, and why; the engine is told by an alert."""
        issue, other = self.authority.issue, Authority(self.authority.folder, "Another")
        between = Authority(self.authority.folder, "Between", self.authority)
        for expected, host, shown in (
            ("it is for gpu0.example, *.c.example, 192.0.2.1, 2001:db8::1, and not for gpu1.example", "gpu1.example", self.good),
            ("and not for 192.0.2.9", "192.0.2.9", self.good),
            ("it is for nobody, and not for gpu0.example", "gpu0.example", issue(subject="x", uris=("urn:x",))),
            ("CN=gpu0: its issuer is not one", "gpu0.example", other.issue("gpu0.example", subject="gpu0")),
            ("CN=gpu0: it has expired", "gpu0.example", issue("gpu0.example", subject="gpu0", days=(-9, -2))),
            ("CN=gpu0: it is not valid yet", "gpu0.example", issue("gpu0.example", subject="gpu0", days=(2, 9))),
            ("CN=gpu0: it is for another purpose", "gpu0.example", issue("gpu0.example", subject="gpu0", client=True)),
            ("CN=gpu0: its issuer is not one", "gpu0.example", between.issue("gpu0.example", subject="gpu0", whole=False)),
        ):  # fmt: skip
            peer = self.fails("TLS: certificate verify failed: ", self.a_replica(host), shown)
            self.assertIn(expected, self.failed[0][0])
            self.assertIn("alert", peer.error)
        self.meet(self.a_replica(), between.issue("gpu0.example"))
        self.assertEqual(len(self.made), 1)

    def test_the_system_is_who_is_believed(self) -> None:
        """Where the settings name no authority: it knows nothing of ours."""
        self.fails("its issuer is not one that is trusted", self.a_replica(tls=ReplicaTlsSettings()))

    def test_insecure(self) -> None:
        """Anyone will do, but only where that is spelled out."""
        anyone = Authority(self.authority.folder, "Anyone").issue("elsewhere.example", days=(-9, -2))
        peer = self.meet(self.a_replica(tls=ReplicaTlsSettings(insecure=True)), anyone)
        self.assertEqual((len(self.made), peer.error), (1, ""))

    def test_our_own_certificate(self) -> None:
        """Is shown to an engine that wants one."""
        mine = self.authority.issue(subject="gateway", client=True)
        peer = self.meet(self.a_replica(cert=mine.cert, key=mine.key), wants=self.authority)
        self.assertEqual((len(self.made), peer.error), (1, ""))
        self.assertEqual(peer.tls.get_peer_certificate(as_cryptography=True), mine.certificate)

    def test_an_engine_that_wants_one_that_we_have_not(self) -> None:
        """TLS 1.3: we have shaken hands before it says so; what was sent by then is answered by its alert."""
        wire = self.connect(self.a_replica())
        Peer(wire.protocol, wire, showing(self.good, wants=self.authority), client=False).pump()
        (connection,) = self.made
        wire.lose()
        self.assertTrue(connection.tls_failed)
        self.assertIn("certificate required (it wants a client's certificate)", connection.fault)

    def test_what_speaks_no_tls(self) -> None:
        """An engine of plain HTTP; one that closes; one that resets; one that says nothing."""
        for act, expected in (
            (lambda wire: wire.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak TLS"),
            (lambda wire: wire.lose(), "it was closed amid the handshake"),
            (lambda wire: wire.lose(clean=False), "it was closed amid the handshake"),
            (lambda wire: self.reactor.advance(3.0), "no handshake within 2 s"),
        ):
            wire = self.connect(self.a_replica())
            act(wire)
            if wire.closing or wire.aborted:
                wire.lose(clean=False)
            ((why, refused, tls),) = self.failed
            self.assertIn(expected, why)
            self.assertEqual((refused, tls, self.made), (False, True, []))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled_amid_the_handshake(self) -> None:
        """No outcome follows, and the socket is closed."""
        wire = self.connect(self.a_replica())
        self.connecting.cancel()
        self.assertTrue(wire.aborted)
        wire.lose(clean=False)
        self.assertEqual((self.made, self.failed, self.reactor.getDelayedCalls()), ([], [], []))

    def test_no_socket_at_all(self) -> None:
        """Is told as without TLS."""
        self.connect(self.a_replica())
        for late in (False, True):
            self.connect(self.a_replica())
            self.reactor.connects[0].refused(late=late)
            ((_, refused, tls),) = self.failed
            self.assertEqual((refused, tls), (not late, False))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_file_that_is_gone(self) -> None:
        """Is a failure of that connect, and no exception."""
        mine = self.authority.issue(subject="gateway", client=True)
        to = self.a_replica(cert=mine.cert, key=mine.key)
        Path(mine.key).unlink()
        self.assertIsNone(self.connect(to))
        self.assertEqual(self.failed[0][1:], (False, True))
        self.assertIn(mine.key, self.failed[0][0])
        gone = self.a_replica(tls=ReplicaTlsSettings(ca="/nonexistent"))
        self.assertIn("/nonexistent", str(self.assertRaises(TlsFailed, self.tls.of, gone)))

    def test_sessions_are_resumed(self) -> None:
        """With tickets that came after the handshake; not once files are read again."""
        to, context = self.a_replica(), showing(self.good)
        before = self.tls.of(to)
        resumed = []
        for _ in range(3):
            wire = self.connect(to)
            peer = Peer(wire.protocol, wire, context, client=False).pump()
            (connection,) = self.made
            transport: Any = connection.transport
            resumed.append(_is_resumed(peer.tls))
            tls = self.tls.of(to)
            assert tls is not None
            tls.remember(transport.connection)
            connection.abandon()
            peer.pump()
            wire.lose(clean=False)
        self.assertEqual(resumed, [False, True, True])
        self.assertIs(self.tls.of(to), before)
        self.tls.renew()
        self.assertIsNot(self.tls.of(to), before)
        self.assertEqual(_is_resumed(self.meet(to).tls), False)

    def test_without_tls(self) -> None:
        """There is nothing."""
        self.assertIsNone(self.tls.of(replica("gpu0")))


def _is_resumed(connection: SSL.Connection) -> bool:
    """An engine's: whether the handshake was a short one."""
    return bool(SSL._lib.SSL_session_reused(connection._ssl))
