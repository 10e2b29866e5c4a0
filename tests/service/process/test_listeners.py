"""Listeners without a network: who is let wait, who is closed first, and what becomes of sockets that are kept."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.process.listeners import Listeners
from aibrix_twisted.service.tls.doors import Doors

SETTINGS = Settings(listen=("tcp:8080", "tcp:8081"), admin="tcp:9090")


class Port:
    """It is one once it has been opened."""

    def __init__(self, said: list[str], number: int) -> None:
        self._said = said
        self._number = number
        self.connected = True

    def stopReading(self) -> None:
        self._said.append(f"hold {self._number}")

    def startReading(self) -> None:
        self._said.append(f"accept {self._number}")

    def stopListening(self) -> Deferred[None]:
        self.connected = False
        self._said.append(f"close {self._number}")
        return succeed(None)


class Reactor(MemoryReactorClock):
    """Opens such ports.

    @ivar said: what was done with them, in this order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.ports: dict[int, Port] = {}
        self.factories: dict[int, Any] = {}

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self.ports[port], self.factories[port] = Port(self.said, port), factory
        return self.ports[port]


class Sockets:
    """Where those that are to outlive the process are kept."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def service(self, description: str, factory: Any) -> StreamServerEndpointService:
        self._reactor.said.append(f"keep {description}")
        return StreamServerEndpointService(serverFromString(self._reactor, description), factory)

    def take_waiting(self) -> None:
        self._reactor.said.append("take who waits")

    def hand_on(self) -> None:
        self._reactor.said.append("hand on")

    def close(self) -> None:
        self._reactor.said.append("let go")


class ListenersTests(SynchronousTestCase):
    """Two for clients, one for operators."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.said = self.reactor.said

    def listeners(self, *, kept: bool = False, settings: Settings = SETTINGS) -> Listeners:
        """They listen."""
        sockets: Any = Sockets(self.reactor) if kept else None
        doors = Doors(self.reactor, settings, self.reactor.seconds)
        listeners = Listeners(
            self.reactor, doors, sockets, Factory.forProtocol(Protocol), Factory.forProtocol(Protocol)
        )
        listeners.privilegedStartService()
        listeners.startService()
        return listeners

    def operator(self) -> StringTransport:
        """Somebody is connected to the admin listener."""
        protocol = self.reactor.factories[9090].buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        return transport

    def test_they_listen(self) -> None:
        """On all that is configured; without an admin listener, where there is to be none."""
        self.listeners()
        self.assertEqual(sorted(self.reactor.ports), [8080, 8081, 9090])
        self.reactor.ports.clear()
        self.listeners(settings=Settings(listen=("tcp:8080",), admin="none"))
        self.assertEqual(sorted(self.reactor.ports), [8080])

    def test_hold(self) -> None:
        """New clients wait, operators do not; a port that is closed is left alone."""
        listeners = self.listeners()
        listeners.hold(True)
        self.reactor.ports[8081].connected = False
        listeners.hold(False)
        self.assertEqual(self.said, ["hold 8080", "hold 8081", "accept 8080"])

    def test_close_to_clients(self) -> None:
        """Operators still come; what is said is there without kept sockets, too."""
        self.successResultOf(Deferred.fromCoroutine(self.listeners().close_to_clients()))
        self.assertEqual(sorted(self.said), ["close 8080", "close 8081"])

    def test_close_kept_sockets(self) -> None:
        """Who has connected is taken first, and they are let go of last."""
        listeners = self.listeners(kept=True)
        self.assertEqual(self.said, ["keep tcp:8080", "keep tcp:8081", "keep tcp:9090"])
        self.said.clear()
        self.successResultOf(Deferred.fromCoroutine(listeners.close_to_clients()))
        self.assertEqual((self.said[0], self.said[-1]), ("take who waits", "let go"))
        self.assertEqual(sorted(self.said[1:-1]), ["close 8080", "close 8081"])

    def test_hand_over(self) -> None:
        """Operators are sent away at once, and the admin listener is closed; clients are taken until they are not."""
        listeners = self.listeners(kept=True)
        self.said.clear()
        operator = self.operator()
        self.assertFalse(listeners.handed_over)
        self.successResultOf(listeners.hand_over())
        self.assertTrue(operator.disconnecting)
        self.assertEqual((self.said, listeners.handed_over), (["close 9090"], True))
        self.successResultOf(Deferred.fromCoroutine(listeners.close_to_clients()))
        self.assertEqual((self.said[1], self.said[-1]), ("hand on", "let go"))
        self.assertNotIn("take who waits", self.said)
