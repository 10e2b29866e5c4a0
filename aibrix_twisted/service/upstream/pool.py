"""Connections to replicas that wait for their next request.

The one used last is used next, so that those in excess grow old and are closed.  An idle connection is given up
before the engine would give it up (uvicorn's servers and llama-server do so after five seconds), and one whose
engine has closed it already, though the reactor has not come to say so yet, is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.seldom import Seldom
from aibrix_twisted.service.tls.replicas import ReplicasTls
from aibrix_twisted.service.upstream.connect import Connecting, Failed
from aibrix_twisted.service.upstream.protocol import Key, UpstreamConnection
from aibrix_twisted.service.wheel import Wheel

#: Below the five seconds after which the engines close an idle connection.
IDLE_LIMIT_S = 4.0

#: Requests on one connection.
MOST_USES = 1000


class Pool:
    """All connections to all replicas, filed by address, and by how TLS is spoken there.

    @ivar tls: what there is for each replica.
    """

    def __init__(self, reactor: Any, wheel: Wheel, tls: ReplicasTls | None = None) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self.seldom = Seldom(reactor.seconds)
        self.tls = tls or ReplicasTls()
        self._idle: dict[Key, list[UpstreamConnection]] = {}
        self._all: set[UpstreamConnection] = set()
        self.rejoin()

    def rejoin(self) -> None:
        """Let the wheel look for what has been idle for too long."""
        self._slot = self._wheel.join(self)

    @property
    def open(self) -> int:
        """Connections there are, idle or not."""
        return len(self._all)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return sum(map(len, self._idle.values()))

    def strays(self) -> list[UpstreamConnection]:
        """Connections that have no request, do not wait for one, and are not closed: there should be none."""
        waiting = set[UpstreamConnection]().union(*self._idle.values())
        return [connection for connection in self._all - waiting if not (connection.busy or connection.closing)]

    def take(self, replica: Replica) -> UpstreamConnection | None:
        """An idle connection to it that is fit to be used, or C{None}."""
        idle = self._idle.get((replica.host, replica.port, replica.tls))
        while idle:
            connection = idle.pop()
            if not connection.closing and _still_open(connection):
                return connection
            connection.abandon()
        return None

    def connect(
        self,
        replica: Replica,
        timeout_s: float,
        connected: Callable[[UpstreamConnection], None],
        failed: Failed,
    ) -> Connecting:
        """Open a new one; C{start()} what is returned."""
        key = (replica.host, replica.port, replica.tls)

        def make(
            made: Callable[[UpstreamConnection], None], unmade: Callable[[UpstreamConnection, Failure], None]
        ) -> UpstreamConnection:
            return UpstreamConnection(self, key, made, unmade, self.tls.of(replica))

        def taken_in(connection: UpstreamConnection) -> None:
            self._all.add(connection)
            connected(connection)

        return Connecting(self._reactor, replica.host, replica.port, timeout_s, make, taken_in, failed)

    def give_back(self, connection: UpstreamConnection) -> None:
        """The attempt is over: keep the connection if it may be used again, else close it."""
        if connection.tls is not None and connection.uses == 1:
            connection.tls.remember(connection.transport.connection)
        if connection.reusable and connection.uses < MOST_USES:
            connection.idle_since = self._wheel.now
            self._idle.setdefault(connection.key, []).append(connection)
        else:
            connection.abandon()

    def lost(self, connection: UpstreamConnection) -> None:
        """From a connection: it is gone."""
        self._all.discard(connection)
        idle = self._idle.get(connection.key)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def check(self, now: float) -> None:
        """From the wheel: close what has been idle for too long.  The oldest are at the front."""
        for key, idle in tuple(self._idle.items()):
            fresh = 0
            while fresh < len(idle) and now - idle[fresh].idle_since > IDLE_LIMIT_S:
                fresh += 1
            old, idle[:fresh] = idle[:fresh], []
            for connection in old:
                connection.abandon()
            if not idle:
                del self._idle[key]

    def renew_tls(self) -> None:
        """Files of certificates may have changed: read them again, and use no connection that the old ones made."""
        self.tls.renew()
        for idle in self._idle.values():
            for connection in [each for each in idle if each.tls is not None]:
                connection.abandon()

    def close(self) -> None:
        """Close every connection, and stop watching."""
        self._slot.discard(self)
        self._idle.clear()
        for connection in tuple(self._all):
            connection.abandon()


def _still_open(connection: UpstreamConnection) -> bool:
    """Whether neither a close nor unasked bytes wait to be read.

    The reactor will tell of both in its next turn; a request sent before that would be lost.
    """
    return connection.glance is None or not connection.glance.poll(0)
