"""TLS between a connection of ours and its socket: Twisted's, with what a relay wants otherwise.

- What is written goes out at once; C{twisted.protocols.tls} gathers small writes until the reactor's next turn.
- C{loseConnection} says good-bye (C{close_notify}) and closes.  Twisted's waits for the other side to say so, too, and
  clients that keep a connection for later say nothing until they want it.
- C{loseWriteConnection} says good-bye and closes one direction, as over TCP.
- A producer is told each time that it is too fast, as a socket's is: not once until it may go on, for what is answered
  next on a connection may not have been told.
- Whether the other side has said good-bye before it closed is told: without that, anyone could have cut what came.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol, _ProducerMembrane
from twisted.python.failure import Failure

from aibrix_twisted.service.downstream.unsent import buffered_bytes
from aibrix_twisted.service.tls.identity import UNREADABLE, identity_of

#: A record's payload at most (RFC 8446 §5.1): what is written up to this size is one record.
RECORD_BYTES: Final = 16384

#: What TLS itself says at most: handshake, tickets, answers to updates of keys.  A client could ask for the last again
#: and again, and read nothing.
MOST_OWN_BYTES: Final = 262144

_READ_BYTES: Final = 32768


class NoGoodBye(ConnectionLost):
    """The other side closed without C{close_notify} (RFC 8446 §6.1)."""

    def __str__(self) -> str:
        return "it was closed without TLS's close_notify"


class _Untold(_ProducerMembrane):
    """Passes on all that the socket says to its producer."""

    def pauseProducing(self) -> None:
        """It is too fast."""
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """It may go on."""
        self._producer.resumeProducing()


class TlsTransport(TLSMemoryBIOProtocol):
    """The transport of a connection that speaks TLS."""

    _half_closing = False
    _own_bytes = 0
    _writing = False

    @property
    def carrier(self) -> Any:
        """The transport of the socket."""
        return self.transport

    @property
    def identity(self) -> str:
        """Who the other side is by its certificate; C{""}: it has shown none."""
        try:
            shown = self._tlsConnection.get_peer_certificate(as_cryptography=True)
            return "" if shown is None else identity_of(shown)
        except UNREADABLE:
            return "a certificate that cannot be read"

    @property
    def connection(self) -> SSL.Connection | None:
        """OpenSSL's; C{None} once it is over."""
        return self._tlsConnection

    def write(self, data: bytes) -> None:
        """Encrypt and send.  HOT: as Twisted's does, in one frame for what is one record."""
        plain = self._handshakeDone and not (self._appSendBuffer or self.disconnecting or self._lostTLSConnection)
        if not plain or not 0 < len(data) <= RECORD_BYTES:
            self._writing = True
            super().write(data)
            self._writing = False
            return
        try:
            self._tlsConnection.send(data)
        except SSL.WantReadError:
            self._bufferedWrite(data)
        except SSL.Error:
            self._tlsShutdownFinished(Failure())
        else:
            self.carrier.write(self._tlsConnection.bio_read(_READ_BYTES))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """From the protocol."""
        if streaming and not self._lostTLSConnection:
            self._producer = _Untold(producer)
            self.carrier.registerProducer(self._producer, True)
        else:
            super().registerProducer(producer, streaming)

    def loseConnection(self) -> None:
        """Close once what was written is out; beneath a producer, once it has unregistered."""
        if self.connected:
            super().loseConnection()

    def abortConnection(self) -> None:
        """Close now."""
        if self.connected and not self._aborted:
            super().abortConnection()

    def loseWriteConnection(self) -> None:
        """Write no more.  What comes is still read."""
        if self._lostTLSConnection or self.disconnecting or not self.connected:
            return
        if self._appSendBuffer or not self._handshakeDone:
            self._half_closing = True
            return
        self._half_closing = False
        self._say_good_bye()
        self.carrier.loseWriteConnection()

    def failVerification(self, reason: Failure) -> None:
        """Why the other side's certificate is not believed.  OpenSSL tells it by an alert, and then it ends."""
        self._reason = reason

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """From the socket."""
        if self._handshakeDone and not self._lostTLSConnection and reason.check(ConnectionDone):
            if self.disconnecting:  # it was we who closed
                self._lostTLSConnection = True
            else:
                self._reason = Failure(NoGoodBye())
        super().connectionLost(reason)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        """It is over: by the other side's good-bye, or by what it sent.  Nothing that waits to be sent is wanted any
        more, and beneath a producer that is paused the socket would never be closed."""
        if reason is None and self._reason is None:
            self._reason = Failure(ConnectionDone())
        super()._tlsShutdownFinished(reason)
        if self._handshakeDone and buffered_bytes(self.transport):
            self.carrier.abortConnection()

    def _flushSendBIO(self) -> None:
        """Send what OpenSSL has to say: what was written, or, beneath a read, what TLS itself says."""
        connection = self.connection
        if connection is None:  # half-closed, the socket is lost as soon as it is closed: beneath this read
            return
        try:
            said = connection.bio_read(_READ_BYTES)
        except SSL.WantReadError:
            return
        if not self._writing:
            self._own_bytes += len(said)
            if self._own_bytes > MOST_OWN_BYTES:
                self.carrier.abortConnection()
                return
        self.carrier.write(said)

    def _unbufferPendingWrites(self) -> None:
        self._writing = True
        super()._unbufferPendingWrites()
        self._writing = False
        if self._half_closing:
            self.loseWriteConnection()

    def _shutdownTLS(self) -> None:
        """Twisted's, where it has to say good-bye."""
        self._say_good_bye()
        self.carrier.loseConnection()

    def _say_good_bye(self) -> None:
        try:
            self._tlsConnection.shutdown()
        except SSL.Error:  # amid the handshake there is nothing to say
            pass
        self._flushSendBIO()


class TlsFactory(TLSMemoryBIOFactory):
    """Puts L{TlsTransport}s beneath what another factory makes."""

    protocol = TlsTransport

    def __init__(self, creator: Any, factory: IProtocolFactory, clock: Any, *, client: bool = False) -> None:
        """
        @param creator: makes OpenSSL's connections: an C{IOpenSSLServerConnectionCreator} of Twisted's, or its like for
            clients.
        """
        super().__init__(creator, client, factory, clock)
