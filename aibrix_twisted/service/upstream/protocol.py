"""One connection to a replica: joins the bytes of HTTP/1.1 to a L{ResponseAssembly}.

It serves one attempt at a time.  Everything that can end a response here (the last chunk, a close, a reset, bytes
that are not HTTP) goes through C{_end}, which lets go of the assembly first and tells it second, so that whatever
comes after finds nobody to tell.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any
from typing import Protocol as Typed

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from aibrix_twisted.domain.assembly import Cause, ResponseAssembly
from aibrix_twisted.domain.settings import ReplicaTlsSettings
from aibrix_twisted.service.seldom import Seldom
from aibrix_twisted.service.tls.failed import WITHOUT_A_WORD, TlsFailed, why
from aibrix_twisted.service.tls.replicas import ReplicaTls
from aibrix_twisted.service.tls.transport import NoGoodBye
from aibrix_twisted.wire.head import BadMessage, Framing, ResponseHead
from aibrix_twisted.wire.remembered import LastHead
from aibrix_twisted.wire.response import ResponseParser
from aibrix_twisted.wire.unquoted import unquoted

_log = Logger()

#: A request's body up to this size goes out in one piece with its head.
ONE_WRITE_BYTES = 65536


#: Where a connection leads: host, port, and how TLS is spoken there, where it is.
Key = tuple[str, int, ReplicaTlsSettings | None]


class Home(Typed):
    """Where a connection belongs: the pool."""

    seldom: Seldom

    def lost(self, connection: UpstreamConnection) -> None:
        """The connection is gone."""
        ...


class UpstreamConnection:
    """A client of one replica.

    @ivar key: where it leads, as the pool files it.
    @ivar tls: how TLS is spoken on it; C{None}: it is not.
    @ivar tls_failed: it was TLS that broke.
    @ivar uses: requests sent on it, the current one included.
    @ivar answered: some byte of the current response came.
    @ivar reusable: the last response left it fit for another request.
    @ivar closing: we have closed it; the reactor tells of that in its next turn.
    @ivar idle_since: when it last became idle, by the clock of the pool.
    @ivar glance: tells without waiting whether anything, a close too, has come that the reactor has not told of.
    @ivar fault: what was wrong with what came, for people; C{""} where nothing was.
    """

    def __init__(
        self,
        home: Home,
        key: Key,
        made: Callable[[UpstreamConnection], None],
        unmade: Callable[[UpstreamConnection, Failure], None] | None = None,
        tls: ReplicaTls | None = None,
    ) -> None:
        """
        @param made: told once it may be sent on.
        @param unmade: told if TLS does not come about.
        """
        self.transport: Any = None  # TCP: Twisted's own annotation promises less
        self._home = home
        self._made: Callable[[UpstreamConnection], None] | None = made
        self._unmade = None if tls is None else unmade
        self.key = key
        self.tls = tls
        self.tls_failed = False
        self._assembly: ResponseAssembly | None = None
        self._parser: ResponseParser | None = None
        self._last_head = LastHead()
        self._keep_alive = False
        self._paused = False
        self.uses = 0
        self.answered = False
        self.reusable = False
        self.closing = False
        self.idle_since = 0.0
        self.fault = ""
        self.defect = False
        self.glance: select.poll | None = None

    def makeConnection(self, transport: Any) -> None:
        """From the transport."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """A request is one write and every event of a stream is one; none should wait for another."""
        transport = self.transport
        transport.setTcpNoDelay(True)
        if hasattr(transport, "fileno"):  # a transport in memory has none
            self.glance = select.poll()
            self.glance.register(transport.fileno(), select.POLLIN | select.POLLRDHUP)
        if self.tls is None:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """It may be sent on."""
        made, self._made, self._unmade = self._made, None, None
        if made is not None:
            made(self)

    def send(self, assembly: ResponseAssembly, head: bytes, body: bytes) -> None:
        """Send a request; its response goes to C{assembly}."""
        self.uses += 1
        self.answered = self.reusable = False
        self.fault = ""
        self._assembly = assembly
        self._parser = ResponseParser(self, assembly.body, last=self._last_head)
        transport = self.transport
        if len(body) <= ONE_WRITE_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    @property
    def busy(self) -> bool:
        """A response is awaited, or is under way."""
        return self._assembly is not None

    def abandon(self) -> None:
        """Nobody wants the response any more: close, which is how HTTP/1.1 cancels."""
        self._assembly = self._parser = None
        self._close()

    def pause(self) -> None:
        """Stop reading: the client does not keep up."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """HOT: once a read."""
        parser = self._parser
        if parser is None:  # nobody asked: whatever it is, the connection is out of step
            self._close()
            return
        self.answered = True
        try:
            parser.feed(data)
        except BadMessage as bad:
            if bad.reason == "start_line" and self.uses > 1:  # the rest of a response before: nothing of this one came
                self.answered = False
            self._broke(unquoted(str(bad), bad.reason))
        except Exception:  # noqa: BLE001 - the door: a defect on the client's side of the relay ends this response only
            self._home.seldom.failure(_log, "while relaying a response")
            self.defect = True
            self._broke("a defect of the gateway")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Clean or not, if a response was under way this is what ends it."""
        self.reusable = False
        self._home.lost(self)
        unmade, self._made, self._unmade = self._unmade, None, None
        if unmade is not None:
            unmade(self, reason)
            return
        clean = reason.check(ConnectionDone) is not None
        if not clean and not self.fault:
            self.tls_failed = reason.check(SSL.Error, TlsFailed) is not None
            self.fault = f"TLS: {why(reason)}" if self.tls_failed else reason.getErrorMessage()
            tls = self.key[2]
            if tls is not None and not (tls.cert or self.tls_failed or self.answered) and self.uses == 1:
                self.fault = f"TLS: {WITHOUT_A_WORD}"
        unsigned = reason.check(NoGoodBye) is not None
        self._end(Cause.UPSTREAM_CLOSED if clean or unsigned else Cause.UPSTREAM_BROKE, unsigned=unsigned)

    def response_head(self, head: ResponseHead) -> None:
        """From the parser."""
        self._keep_alive = head.keep_alive
        if head.framing is Framing.CHUNKED and self.tls is None and self.glance is not None:
            # The system acknowledges each segment that is read; asked not to hurry (tcp(7), TCP_QUICKACK), each second
            # one, which of a stream of tokens is half a send saved for each.  Where it then has to wait for the second
            # (40 ms), it hurries again by itself: an engine that sends only what was acknowledged waits once.
            self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        if self._assembly is not None:
            self._assembly.head(head, close_delimited=head.framing is Framing.CLOSE)

    def response_complete(self) -> None:
        """From the parser: the framing says that the body is over."""
        parser = self._parser
        self.reusable = self._keep_alive and parser is not None and not parser.excess
        self._end(Cause.FINAL_CHUNK)

    def _broke(self, fault: str) -> None:
        self.fault = fault
        self.reusable = False
        self._end(Cause.UPSTREAM_BROKE)
        self._close()

    def _close(self) -> None:
        self.reusable = False
        self.closing = True
        self.transport.abortConnection()

    def _end(self, cause: Cause, *, unsigned: bool = False) -> None:
        assembly, self._assembly, self._parser = self._assembly, None, None
        if self._paused and self.reusable:  # paused by the response's last bytes: the next one is to be read
            self.resume()
        if assembly is not None:
            assembly.end(cause, unsigned=unsigned)


classImplements(UpstreamConnection, IProtocol, IHandshakeListener)
