"""Opening a connection to a replica, by address or by name, without the wrapping that Twisted's endpoints put
around each protocol: it would cost a call for every chunk that passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionRefusedError, NoRouteError
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import classImplements

from aibrix_twisted.service.tls.failed import TlsFailed, why
from aibrix_twisted.service.tls.transport import TlsFactory
from aibrix_twisted.service.upstream.protocol import UpstreamConnection


class _OneConnection(ClientFactory):
    """Gives the one connection that it was given to whatever transport comes."""

    noisy = False

    def __init__(self, attempt: Connecting, connection: UpstreamConnection) -> None:
        self._attempt = attempt
        self._connection: UpstreamConnection | None = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A transport is there, which has it from now on."""
        connection, self._connection = self._connection, None
        return connection

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The next address, if there is one."""
        there_is_nobody = reason.check(ConnectionRefusedError, NoRouteError) is not None
        self._attempt.failed(reason.getErrorMessage(), sure=there_is_nobody)


#: Makes the protocol of a connection, given whom it tells that it may be sent on, and whom that TLS did not come about.
Make = Callable[
    [Callable[[UpstreamConnection], None], Callable[[UpstreamConnection, Failure], None]], UpstreamConnection
]


class Failed(Protocol):
    """Told that there is no connection."""

    def __call__(self, why: str, *, refused: bool, tls: bool) -> None:
        """
        @param why: for people.
        @param refused: it is sure that nothing listens there.
        @param tls: it was TLS that did not come about.
        """
        ...


class Connecting:
    """One try to connect, and where TLS is spoken to shake hands, too: ends in exactly one of C{connected(protocol)},
    C{failed(why)}, or a cancel."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        timeout_s: float,
        make: Make,
        connected: Callable[[UpstreamConnection], None],
        failed: Failed,
    ) -> None:
        self._reactor = reactor
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._make, self._connected, self._failed = make, connected, failed
        self._addresses: list[str] = []
        self._why = f"{host} has no address"
        self._connector: IConnector | None = None
        self._resolution: IHostResolution | None = None
        self._connection: UpstreamConnection | None = None
        self._handshake: IDelayedCall | None = None
        self._over = False
        self._sure = True
        self._tls = False

    def start(self) -> None:
        """Begin.  C{failed} may be called beneath this frame."""
        if isIPAddress(self._host) or isIPv6Address(self._host):
            self._addresses = [self._host]
            self._next()
        else:
            self._reactor.nameResolver.resolveHostName(self, self._host, self._port)

    def cancel(self) -> None:
        """Neither callback is called after this."""
        self._over = True
        self._calm()
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.abortConnection()
        elif self._connector is not None:
            self._connector.stopConnecting()
        elif self._resolution is not None:
            self._resolution.cancel()
        self._let_go()

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """From the resolver."""
        self._resolution = resolution

    def addressResolved(self, address: IAddress) -> None:
        """From the resolver, once an address."""
        if isinstance(address, (IPv4Address, IPv6Address)):
            self._addresses.append(address.host)

    def resolutionComplete(self) -> None:
        """From the resolver."""
        self._resolution = None
        if not self._over:
            self._sure = bool(self._addresses)  # a name without an address may be a name server in trouble
            self._next()

    def made(self, connection: UpstreamConnection) -> None:
        """From the connection: it has its transport."""
        self._calm()
        if not self._over:
            self._over = True
            connected = self._connected
            self._let_go()
            connected(connection)

    def unmade(self, connection: UpstreamConnection, reason: Failure) -> None:
        """From the connection: it had its transport, and TLS did not come about."""
        if connection is not self._connection:  # it was given up already
            return
        said = why(reason) if reason.check(SSL.Error, TlsFailed) else "it was closed amid the handshake"
        self.failed(f"TLS: {said}", sure=False, tls=True)

    def failed(self, why: str, *, sure: bool, tls: bool = False) -> None:
        """From the factory.

        @param sure: nothing listens at that address; else it may be slow, or we may be short of something.
        """
        self._calm()
        if not self._over:
            self._why, self._tls = why, tls
            self._sure = self._sure and sure
            self._next()

    def _next(self) -> None:
        if not self._addresses:
            self._over = True
            self._failed(self._why, refused=self._sure, tls=self._tls)
            return
        address = self._addresses.pop(0)
        try:
            self._connection = connection = self._make(self.made, self.unmade)
        except TlsFailed as error:  # a file of ours cannot be read any more, for whichever address
            self._addresses.clear()
            self.failed(f"TLS: {error}", sure=False, tls=True)
            return
        factory: Any = _OneConnection(self, connection)
        if connection.tls is not None:
            factory = TlsFactory(connection.tls, factory, self._reactor, client=True)
            self._handshake = self._reactor.callLater(self._timeout_s, self._late, connection)
        self._connector = self._reactor.connectTCP(address, self._port, factory, timeout=self._timeout_s)

    def _late(self, connection: UpstreamConnection) -> None:
        """The handshake is not over.  That there is no connection at all is told by the reactor."""
        self._handshake = None
        if connection.transport is not None:
            self._connection = None
            connection.transport.abortConnection()
            self.failed(f"TLS: no handshake within {self._timeout_s:g} s", sure=False, tls=True)

    def _let_go(self) -> None:
        """It is over: nobody is told any more.  The transport keeps us; whoever asked should not be kept, nor should
        there be a circle, which would wait for the collector."""
        self._connected = self._failed = self._make = None  # type: ignore[assignment]
        self._connection = self._connector = self._resolution = None

    def _calm(self) -> None:
        """Wait for no handshake any more."""
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake.cancel()


classImplements(Connecting, IResolutionReceiver)
