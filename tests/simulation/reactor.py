"""The gateway's own reactor, with its real loop, timers and transports, on a network and a clock in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from twisted.python.failure import Failure
from zope.interface import implementer

from aibrix_twisted.service.reactor import RelayClient, RelayConnector, RelayPort, RelayReactor, RelayServer
from tests.simulation.network import Network
from tests.simulation.poller import Poller
from tests.simulation.sockets import Socket


class _Server(RelayServer):
    """A connection that was accepted in memory."""

    @property
    def bufferSize(self) -> int:  # type: ignore[override]
        """Known before it is first read from."""
        buffer: int = self.reactor.network.temper.buffer
        return buffer

    def write_later(self, data: bytes) -> None:
        """What is kept for a client that does not keep up is remembered."""
        super().write_later(data)
        kept = self._tempDataLen + len(self.dataBuffer) - self.offset - 3 * self.bufferSize
        if kept > self.reactor.most_kept:
            self.reactor.most_kept = kept


class _Port(RelayPort):
    """Listens in memory."""

    transport = _Server

    def createInternetSocket(self) -> Any:
        return Socket(self.reactor.network)


class _Client(RelayClient):
    """Connects in memory."""

    def createInternetSocket(self) -> Any:
        network = self.connector.reactor.network
        self.bufferSize = network.temper.buffer
        return Socket(network)


class _Connector(RelayConnector):
    """Makes those."""

    def _makeTransport(self) -> RelayClient:
        return _Client(self.host, self.port, self.bindAddress, self, self.reactor)


class Threads:
    """A pool of threads that are none: what is called in one happens a while later, all at once.

    @ivar slow: says how long the next call takes.
    """

    def __init__(self, network: Network, slow: Callable[[], float]) -> None:
        self._network = network
        self.slow = slow

    def callInThreadWithCallback(self, told: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        """See C{twisted.python.threadpool.ThreadPool}."""

        def run() -> None:
            try:
                result = function(*args, **kwargs)
            except Exception:  # noqa: BLE001 - as a thread pool has it
                told(False, Failure())
            else:
                told(True, result)

        self._network.after(self.slow(), run)


@implementer(IHostResolution)
class _Resolution:
    """One name that is looked up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def cancel(self) -> None:
        """See L{IHostResolution}."""
        self.cancelled = True


@implementer(IHostnameResolver)
class Resolver:
    """Names of hosts.

    @ivar names: each with its addresses; none: it cannot be resolved now.
    """

    def __init__(self, reactor: SimulatedReactor) -> None:
        self._reactor = reactor
        self.names: dict[str, tuple[str, ...]] = {}

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *args: Any, **kwargs: Any) -> _Resolution:
        """See L{IHostnameResolver}."""
        resolution = _Resolution(name)
        receiver.resolutionBegan(resolution)
        literal = isIPAddress(name)

        def resolved() -> None:
            if not resolution.cancelled:
                for address in (name,) if literal else self.names.get(name, ()):
                    receiver.addressResolved(IPv4Address("TCP", address, portNumber))
                receiver.resolutionComplete()

        network = self._reactor.network
        if literal:
            resolved()
        else:
            network.after(network.latency(), lambda: self._reactor.callFromThread(resolved))
        return resolution


class SimulatedReactor(RelayReactor):
    """What the daemon runs on, but for sockets, threads and time.

    @ivar most_kept: bytes that were kept for one client beyond what may wait for it.
    @ivar left: what was still open when everything had been told to stop.
    """

    _registerAsIOThread = False

    def __init__(self, network: Network) -> None:
        self.network = network
        self.left: list[Any] = []
        self.most_kept = 0
        self.threads = Threads(network, network.latency)
        self.seconds = lambda: network.now + network.offset  # type: ignore[method-assign]
        super().__init__()
        self._poller.close()  # a real one, which it cannot help making
        self._poller = Poller(network, lambda: bool(self.threadCallQueue))

    def _initThreads(self) -> None:
        self.resolver_in_memory = Resolver(self)
        self.installNameResolver(self.resolver_in_memory)
        self.usingThreads = True

    def installWaker(self) -> None:
        """Nobody sleeps."""

    def getThreadPool(self) -> Any:
        """See L{twisted.internet.interfaces.IReactorThreads}."""
        return self.threads

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See L{twisted.internet.interfaces.IReactorTCP}."""
        listening = _Port(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> RelayConnector:
        """See L{twisted.internet.interfaces.IReactorTCP}."""
        connector = _Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def disconnectAll(self) -> None:
        """The last thing that a reactor does."""
        self.left = self.removeAll()
