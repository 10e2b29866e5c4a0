"""Opening a connection to a replica, by address or by name, without the wrapping that Twisted's endpoints put
around each protocol: it would cost a call for every chunk that passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionRefusedError, NoRouteError
from twisted.internet.interfaces import IAddress, IConnector, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from aibrix_twisted.service.upstream.protocol import UpstreamConnection


class _OneConnection(ClientFactory):
    """Gives the one connection that it was given to whatever transport comes."""

    noisy = False

    def __init__(self, attempt: Connecting, connection: UpstreamConnection) -> None:
        self._attempt = attempt
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> UpstreamConnection:
        """A transport is there."""
        return self._connection

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The next address, if there is one."""
        there_is_nobody = reason.check(ConnectionRefusedError, NoRouteError) is not None
        self._attempt.failed(reason.getErrorMessage(), sure=there_is_nobody)


class Failed(Protocol):
    """Told that there is no connection."""

    def __call__(self, why: str, *, refused: bool) -> None:
        """
        @param why: for people.
        @param refused: it is sure that nothing listens there.
        """
        ...


@implementer(IResolutionReceiver)
class Connecting:
    """One try to connect: ends in exactly one of C{connected(protocol)}, C{failed(why)}, or a cancel."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        timeout_s: float,
        make: Callable[[Callable[[UpstreamConnection], None]], UpstreamConnection],
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
        self._over = False
        self._sure = True

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
        if self._connector is not None:
            self._connector.stopConnecting()
        elif self._resolution is not None:
            self._resolution.cancel()

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
        if not self._over:
            self._over = True
            connected = self._connected
            del self._connected, self._failed  # the transport keeps us; whoever asked for it should not be kept, too
            connected(connection)

    def failed(self, why: str, *, sure: bool) -> None:
        """From the factory.

        @param sure: nothing listens at that address; else it may be slow, or we may be short of something.
        """
        if not self._over:
            self._why = why
            self._sure = self._sure and sure
            self._next()

    def _next(self) -> None:
        if not self._addresses:
            self._over = True
            self._failed(self._why, refused=self._sure)
            return
        address = self._addresses.pop(0)
        factory = _OneConnection(self, self._make(self.made))
        self._connector = self._reactor.connectTCP(address, self._port, factory, timeout=self._timeout_s)
