"""Where clients and operators connect.  They are opened together, and closed each in its own time."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService, Service
from twisted.application.strports import service as listener
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.protocols.policies import WrappingFactory

from aibrix_twisted.service.config.secure_endpoint import Door
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.process.sockets import Sockets
from aibrix_twisted.service.tls.doors import Doors


class ClientFactory(Factory):
    """Gives each client's connection its protocol."""

    noisy = False

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    def buildProtocol(self, addr: Any) -> Any:
        """A client is coming."""
        return DownstreamConnection(self._exchanges)


class Listeners(MultiService):
    """Those of one gateway: they listen while this service runs.

    @ivar handed_over: another process has them now.
    """

    def __init__(self, reactor: Any, doors: Doors, sockets: Sockets | None, clients: Any, admin: Any) -> None:
        """
        @param sockets: what is listened on, where it is to outlive the process; C{None}: the reactor opens it.
        @param clients: the factory of what clients speak to.
        @param admin: that of what operators speak to.
        @raise ValueError: an endpoint cannot be understood, or systemd passed no such socket.
        """
        super().__init__()
        self._reactor = reactor
        self._doors = doors
        self._sockets = sockets
        self.handed_over = False
        self._clients, self._admin = MultiService(), MultiService()
        self._operators = WrappingFactory(admin)
        self._operators.noisy = False
        for door in doors.clients:
            self._listener(door, clients).setServiceParent(self._clients)
        if doors.admin is not None:
            self._listener(doors.admin, self._operators).setServiceParent(self._admin)
        self._clients.setServiceParent(self)
        self._admin.setServiceParent(self)

    def _listener(self, door: Door, factory: Any) -> Service:
        factory = self._doors.factory(door, factory)
        if self._sockets is not None:
            return self._sockets.service(door.endpoint, factory)
        return listener(door.endpoint, factory, reactor=self._reactor)

    def hold(self, held: bool) -> None:
        """Let new clients wait in the system's queue, or accept them again."""
        for service in self._clients:
            port = getattr(service._waitingForPort, "result", None)  # Twisted says in no other way where it listens
            if port is not None and port.connected:
                (port.stopReading if held else port.startReading)()

    def hand_over(self) -> Deferred[Any]:
        """Another process has them, too, from now on: operators are to ask there, at once."""
        self.handed_over = True
        for client in tuple(self._operators.protocols):
            client.loseConnection()
        stopped: Deferred[Any] = maybeDeferred(self._admin.stopService)
        return stopped

    async def close_to_clients(self) -> None:
        """New connections are refused, or wait for the next process where somebody keeps the sockets for it."""
        sockets = self._sockets
        if sockets is not None and self.handed_over:
            sockets.hand_on()
        elif sockets is not None:
            sockets.take_waiting()
        await self._clients.stopService()
        if sockets is not None:
            sockets.close()
