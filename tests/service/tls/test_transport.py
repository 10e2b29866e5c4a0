"""TLS beneath a client's and an engine's connection, in memory."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.tls import transport
from aibrix_twisted.service.tls.doors import Doors
from aibrix_twisted.service.tls.transport import MOST_OWN_BYTES, NoGoodBye, TlsTransport
from tests.authority import Authority
from tests.service.tls.peer import Peer, TlsWire, folder_of, tls, trusting


@implementer(IHandshakeListener)
class Taker(Protocol):
    """Writes down what it is told."""

    transport: Any

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.beneath: Any = None

    def connectionMade(self) -> None:
        self.told.append("made")
        self.transport.registerProducer(self, True)

    def handshakeCompleted(self) -> None:
        self.told.append("handshake")

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)
        if self.beneath is not None:
            self.beneath()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append(reason.type)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class TransportTests(SynchronousTestCase):
    """One connection of a listener."""

    def setUp(self) -> None:
        self.authority = Authority(folder_of(self))
        issued = self.authority.issue("localhost")
        settings = Settings(listen=("ssl:1",), admin="none", tls=tls(issued))
        self.doors = Doors(Clock(), settings, lambda: 0.0)
        self.connect()

    def connect(self) -> None:
        """A client, before its handshake."""
        self.taker = Taker()
        factory = Factory()
        factory.buildProtocol = lambda addr: self.taker  # type: ignore[method-assign]
        made: Any = self.doors.factory(self.doors.clients[0], factory)
        self.transport: TlsTransport = made.buildProtocol(None)
        self.wire = TlsWire(self.transport)
        self.transport.makeConnection(self.wire)  # type: ignore[arg-type]
        self.peer = Peer(self.transport, self.wire, trusting(self.authority))

    def ready(self) -> None:
        """A client, after it."""
        self.connect()
        self.peer.pump()
        self.taker.told.clear()

    def test_the_handshake_is_told(self) -> None:
        """Once, after the connection, and before any byte."""
        self.peer.pump()
        self.assertEqual(self.taker.told, ["made", "handshake"])
        self.peer.say(b"hello")
        self.assertEqual(self.taker.told[2:], [b"hello"])

    def test_writes_are_sent_at_once(self) -> None:
        """Each is on the wire when it returns; one that comes before the handshake is over waits for it."""
        self.transport.write(b"early ")
        self.peer.pump()
        self.assertEqual(self.peer.got, b"early ")
        for size in (1, 16384, 16385, 100_000):
            self.peer.got = b""
            self.transport.write(b"x" * size)
            self.assertTrue(self.wire.written)
            self.peer.pump()
            self.assertEqual(self.peer.got, b"x" * size)

    def test_what_tls_itself_says_is_bounded(self) -> None:
        """A client that has it say more and more, and reads nothing, is cut off; what is written is not counted."""
        self.ready()
        own = self.transport._own_bytes
        self.assertTrue(0 < own < MOST_OWN_BYTES / 50, own)
        for size in (1, 50_000):
            self.transport.write(b"x" * size)
        self.peer.say(b"more")
        self.assertEqual(self.transport._own_bytes, own)
        self.patch(transport, "MOST_OWN_BYTES", 100)
        self.connect()
        self.peer.pump()
        self.assertTrue(self.wire.aborted)
        self.wire.lose(clean=False)
        self.assertEqual(self.taker.told, ["made", ConnectionLost])

    def test_closing_does_not_wait_for_a_good_bye(self) -> None:
        """A client that keeps a connection for later says nothing; it is told, and the socket is closed."""
        self.ready()
        self.transport.write(b"the end")
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self.assertTrue(self.wire.closing)
        self.peer.pump()
        self.assertEqual((self.peer.got, self.peer.good_bye), (b"the end", True))
        self.wire.lose()
        self.assertEqual(self.taker.told, [ConnectionDone])
        for again in (
            self.transport.loseConnection,
            self.transport.abortConnection,
            self.transport.loseWriteConnection,
        ):
            again()
        self.transport.write(b"nobody")
        self.assertEqual(self.taker.told, [ConnectionDone])

    def test_half_a_close(self) -> None:
        """The client is told that no more comes, and what it sends is still read."""
        self.ready()
        self.transport.write(b"go away")
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.assertTrue(self.wire.half_closed)
        self.peer.say(b"more")
        self.assertEqual((self.peer.got, self.peer.good_bye, self.taker.told), (b"go away", True, [b"more"]))

    def test_the_rest_of_a_close(self) -> None:
        """A socket that writes no more is lost as soon as it is closed, beneath the read of the other's good-bye."""
        self.ready()
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.wire.loseConnection = self.wire.lose  # type: ignore[method-assign]
        self.peer.leave()
        self.assertEqual(len(self.taker.told), 1, "one end")

    def test_half_a_close_amid_the_handshake(self) -> None:
        """It waits until what was written before is out."""
        self.transport.write(b"too many")
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self.assertFalse(self.wire.half_closed)
        self.peer.pump()
        self.assertEqual((self.peer.got, self.peer.good_bye, self.wire.half_closed), (b"too many", True, True))

    def test_the_other_side_closes(self) -> None:
        """With a good-bye it has closed; without one anyone may have; a reset is a reset."""
        self.ready()
        self.peer.leave()
        self.wire.lose()
        self.assertEqual(self.taker.told, [ConnectionDone])
        self.ready()
        self.wire.lose()
        self.assertEqual(self.taker.told, [NoGoodBye])
        self.ready()
        self.wire.lose(clean=False)
        self.assertEqual(self.taker.told, [ConnectionLost])

    def test_a_good_bye_beneath_a_paused_producer(self) -> None:
        """What waits is not wanted any more: it is broken off, for nobody would close it."""
        self.ready()
        self.wire._tempDataLen = 1000  # type: ignore[attr-defined]
        self.peer.leave()
        self.assertTrue(self.wire.aborted)
        self.wire.lose(clean=False)
        self.assertEqual(self.taker.told, [ConnectionDone])

    def test_what_is_not_tls(self) -> None:
        """Ends it, with OpenSSL's reason; so does a client that leaves amid the handshake, without one."""
        self.transport.dataReceived(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        self.assertTrue(self.wire.closing)
        self.wire.lose()
        self.assertEqual(self.taker.told[0::1], ["made", SSL.Error])
        self.connect()
        self.wire.lose()
        self.assertEqual(self.taker.told, ["made", ConnectionLost])

    def test_abort_amid_the_handshake(self) -> None:
        """Nothing is told any more but that it is over."""
        self.transport.abortConnection()
        self.assertTrue(self.wire.aborted)
        self.wire.lose(clean=False)
        self.assertEqual(self.taker.told, ["made", ConnectionLost])

    def test_aborted_beneath_a_read(self) -> None:
        """The rest of what came is not passed on."""
        self.ready()
        self.taker.beneath = self.transport.abortConnection
        self.peer.tls.send(b"one")
        self.peer.tls.send(b"two")
        self.peer.pump()
        self.assertEqual(self.taker.told, [b"one"])

    def test_backpressure(self) -> None:
        """What the socket says, the connection is told, each time."""
        self.ready()
        producer = self.wire.producer
        for call in (producer.pauseProducing, producer.pauseProducing, producer.resumeProducing):
            call()
        self.assertEqual(self.taker.told, ["pause", "pause", "resume"])
        self.transport.unregisterProducer()
        self.assertIsNone(self.wire.producer)

    def test_a_connection_that_was_cut_in_its_stream(self) -> None:
        """A byte that was changed on the way is the end, and told as what it is."""
        self.ready()
        self.peer.tls.send(b"hello")
        sent = bytearray(self.peer.tls.bio_read(4096))
        sent[-1] ^= 1
        self.transport.dataReceived(bytes(sent))
        self.wire.lose()
        self.assertEqual(self.taker.told, [SSL.Error])
