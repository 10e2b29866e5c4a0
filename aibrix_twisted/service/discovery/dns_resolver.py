"""Twisted's DNS client, as a daemon wants it that asks for years.

As it comes, it opens a UDP port for each question and writes two lines about that to the log.  It waits its time out
where nobody listens, keeps a TCP connection that has died without a word, and asks the same server first for ever.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReadDescriptor
from twisted.names import client, dns
from twisted.names.error import DNSQueryTimeoutError
from twisted.python.failure import Failure
from zope.interface import implementer

RESOLV_CONF: Final = "/etc/resolv.conf"

#: For an answer over UDP: each server in turn has the first, then each the second …
PATIENCE_S: Final = (1, 2, 4)

_MAX_DATAGRAM: Final = 65535


class NameResolver(client.Resolver):
    """Asks name servers: over UDP, and over TCP what UDP cannot hold."""

    def __init__(self, servers: Sequence[tuple[str, int]], reactor: Any, resolv_conf: str = RESOLV_CONF) -> None:
        """
        @param servers: addresses and ports; none: those of C{resolv_conf}, which is read again from time to time.
        @raise OSError: C{resolv_conf} is there, but cannot be read.
        """
        self._closed = False
        resolv = None if servers else resolv_conf
        super().__init__(resolv=resolv, servers=list(servers), timeout=PATIENCE_S, reactor=reactor)

    def next_server(self) -> None:
        """Ask another server first from now on, if there is another."""
        for servers in (self.servers, self.dynServers):
            if len(servers) > 1:
                servers.append(servers.pop(0))

    def hang_up(self) -> None:
        """Close TCP connections: one that idles until the next question may have died by then, unheard."""
        for connection in tuple(self.connections):
            connection.transport.loseConnection()

    def close(self) -> None:
        """Ask no more."""
        self._closed = True
        self.hang_up()
        reading = getattr(self, "_parseCall", None)
        if reading is not None and reading.active():
            reading.cancel()

    def connectionMade(self, protocol: Any) -> None:
        """From a TCP connection; it may have been on its way when we closed."""
        super().connectionMade(protocol)
        if self._closed:
            protocol.transport.loseConnection()

    def _query(
        self, address: tuple[str, int], queries: list[Any], timeout: float, id: int | None = None
    ) -> Deferred[Any]:
        """In the place of Twisted's: see L{_Question}.

        @param id: of the same question when it was asked before.
        """
        try:
            question = _Question(self._reactor, address, queries, dns.randomSource() if id is None else id)
        except OSError:
            return fail()
        question.ask(timeout)
        return question.answered


@implementer(IReadDescriptor)
class _Question:
    """One question to one server: a UDP socket of its own, on a port that nobody can foretell.

    It is connected, so that nobody but the server is heard, and that the server is not there is heard at once.

    @ivar answered: fires with the server's message; fails as Twisted's does where none comes.
    """

    def __init__(self, reactor: Any, address: tuple[str, int], queries: list[Any], id: int) -> None:
        """@raise OSError: there are no more sockets."""
        self.answered: Deferred[Any] = Deferred(self._cancelled)
        self._reactor = reactor
        self._address = address
        self._message = dns.Message(id, recDes=1)
        self._message.queries = queries
        self._timer: Any = None
        family = socket.AF_INET6 if isIPv6Address(address[0]) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ask(self, patience_s: float) -> None:
        """Send it, and wait."""
        self._timer = self._reactor.callLater(patience_s, self._fail)
        self._reactor.addReader(self)
        try:
            self._socket.connect(self._address)
            self._socket.send(self._message.toStr())
        except OSError:  # no way there
            self._fail()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For the reactor."""
        return "dns"

    def doRead(self) -> None:
        """From the reactor.  What is not the answer does not keep the answer from coming."""
        try:
            data = self._socket.recv(_MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self._fail()
            return
        message = dns.Message()
        try:
            message.fromStr(data)
        except (EOFError, ValueError):
            return
        # A server that fails need not repeat the question.
        same = message.queries == self._message.queries or (message.rCode != dns.OK and not message.queries)
        if message.answer and message.id == self._message.id and same:
            self._close()
            self.answered.callback(message)

    def connectionLost(self, reason: Failure) -> None:
        """From the reactor."""
        self._fail()

    def _cancelled(self, answered: Deferred[Any]) -> None:
        self._close()

    def _fail(self) -> None:
        if self._close():
            self.answered.errback(DNSQueryTimeoutError(self._message.id))

    def _close(self) -> bool:
        """@return: whether it was open."""
        timer, self._timer = self._timer, None
        if timer is None:
            return False
        if timer.active():
            timer.cancel()
        self._reactor.removeReader(self)
        self._socket.close()
        return True
