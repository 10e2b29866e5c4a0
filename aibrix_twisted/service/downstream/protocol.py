"""A client's connection: bytes in, requests out, one at a time and in order.

Where it is:

- *idle*: nothing of a next request has come.
- *reading*: a head or a body is under way.
- *answering*: an exchange has the request; what the client sends meanwhile waits, and past a bound is not read.
- *lingering*: the last answer was given before the request was read; what still comes is read and thrown away
  for a moment, because a close with bytes unread would take the answer from the client (RFC 9112 §9.6).

Every deadline is asked for by the wheel, in C{check}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHandshakeListener, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from aibrix_twisted.domain.client import Client
from aibrix_twisted.domain.exchange import Spooled
from aibrix_twisted.errors import BodyTooLarge, ClientTooSlow, GatewayError, MalformedRequest
from aibrix_twisted.service.downstream.flow import Flow
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.downstream.spool import Spool
from aibrix_twisted.service.downstream.unsent import unread_bytes, unsent_bytes
from aibrix_twisted.service.downstream.work import Exchanges, Work
from aibrix_twisted.service.wheel import Watched
from aibrix_twisted.wire.head import BadMessage, RequestHead
from aibrix_twisted.wire.request import RequestParser
from aibrix_twisted.wire.unquoted import unquoted

_log = Logger()

#: Bytes of further requests that may wait while one is answered.
PIPELINED_BYTES = 65536

#: How long, and for how many bytes, an unread rest is thrown away before the connection is closed.
LINGER_S = 2.0
LINGER_BYTES = 1 << 20

#: A body may come as slowly as it likes for this long.
MIN_RATE_GRACE_S = 5.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class DownstreamConnection:
    """One client.  It is the producer of its own transport: what it is told of the client's speed it passes on."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.transport: Any = None  # TCP, TLS or a Unix socket: Twisted's own annotation promises less
        self._exchanges = exchanges
        self._wheel = exchanges.wheel
        self._settings = exchanges.settings
        self._slot: set[Watched] | None = None
        self._work: Work | None = None
        self._reply: Reply | None = None
        self._spool: Spool | None = None  # of the current answer, where the client is too slow
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._since = 0.0  # when the current state began
        self._born = 0.0
        self._requests = 0
        self._body_came = 0.0  # when the last of a body did
        self._accepted = 0.0  # when the current request did
        self._lingered = -1  # bytes thrown away; -1: not lingering
        self._why_gone = "the client left"
        self._unsent = 0  # bytes that it had yet to take at the last check
        self._reading_paused = False
        self._refusal: GatewayError | None = None  # said once the request, which has no body, is over
        self._unread = False
        self._advancing = False
        self._closing = False
        self._over = False
        self._shaking_hands = False

    # -- the transport's side --------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """From the transport."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """A client is here."""
        if self._exchanges.flooded:  # even those who are told that they are too many are too many
            self._exchanges.dropped("flood")
            self.transport.abortConnection()
            return
        limits = self._settings.limits
        self._parser = RequestParser(
            self,
            max_head_bytes=limits.header_bytes,
            max_line_bytes=limits.header_line_bytes,
            max_headers=limits.headers,
            max_bytes=limits.body_bytes,
        )
        transport = self.transport
        if hasattr(transport, "setTcpNoDelay"):  # a Unix socket has no such thing
            transport.setTcpNoDelay(True)
        self._flow = Flow(transport, self._exchanges.memory)
        transport.registerProducer(self, True)
        self.client = str(getattr(transport.getPeer(), "host", "") or "unix")
        self._shaking_hands = secure = hasattr(transport, "carrier")
        self.peer = Client(self.client, secure=secure)
        self._since = self._born = self._wheel.now
        self.rejoin()
        unwelcome = self._exchanges.connected(self)
        if unwelcome is not None:
            self._refuse(unwelcome)

    def handshakeCompleted(self) -> None:
        """TLS is spoken from here on."""
        self._shaking_hands = False
        self._since = self._wheel.now
        self.peer = Client(self.client, self.transport.identity, secure=True)
        self._exchanges.handshakes.complete()

    def rejoin(self) -> None:
        """Let the wheel mind its deadlines."""
        self._slot = self._wheel.join(self)

    @property
    def work(self) -> Work | None:
        """The exchange that has its request."""
        return self._work

    @property
    def stuck(self) -> bool:
        """An answer was begun or is owed, and there is nobody who makes it."""
        owed = self._reply is not None and self._work is None and self._refusal is None
        return owed and not self._closing and self._lingered < 0 and not self._unread

    def dataReceived(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._lingered >= 0:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.transport.abortConnection()
            return
        if self._work is None and self._parser.idle:
            self._since = self._wheel.now
            self._accepted = self._exchanges.seconds()
        try:
            self._parser.feed(data)
        except BadMessage as bad:
            self._malformed(bad)
        except Exception:  # noqa: BLE001 - the door: a defect of ours ends this connection only
            self._defect()
        if self._work is not None and not self._reading_paused and self._parser.pending_bytes > PIPELINED_BYTES:
            self._reading_paused = True
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone, whatever was under way."""
        self._over = True
        if self._slot is None:  # it was turned away
            return
        self._slot.discard(self)
        self._parser.close()
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close(Spooled.LEFT)
        work, self._work = self._work, None
        self._reply = None  # it knows us: a circle would wait for the collector
        self._flow.clear()
        self._exchanges.disconnected(self)
        if self._shaking_hands and not self._closing:
            self._exchanges.handshakes.over(self.client, reason)
        if work is not None:
            work.client_gone(self._why_gone)

    def pauseProducing(self) -> None:
        """From the transport: the client takes less than we send."""
        self._flow.paused(self._wheel.now, self._exchanges.seconds())
        if self._spool is not None:
            self._spool.pause()
        elif self._work is not None:
            self._work.pause()

    def resumeProducing(self) -> None:
        """From the transport: it has taken what there was."""
        size, took = self._flow.resumed(self._exchanges.seconds())
        if self._work is not None:
            self._exchanges.taken(self._work.exchange, size, took)
        if self._spool is not None:
            self._spool.resume()
        elif self._work is not None:
            self._work.resume()

    def stopProducing(self) -> None:
        """From the transport: C{connectionLost} follows and says it all."""

    # -- the parser's side -----------------------------------------------------------------------------------

    def request_head(self, head: RequestHead) -> None:
        """A head came; its body may follow."""
        self._head = head
        self._since = self._body_came = self._wheel.now
        self._requests += 1
        if self._requests == 1:
            self._exchanges.spoke(self)
        reply = self._reply = self._reply_to(
            head.minor_version, head.keep_alive and self._may_stay(), without_body=head.method == "HEAD"
        )
        work = self._exchanges.open(head, reply, self.peer, self._accepted)
        if isinstance(work, GatewayError):
            if head.chunked or head.content_length:
                self._refuse(work)
            else:
                self._refusal = work
            return
        self._work = work
        if head.expects_continue:
            self.transport.write(_CONTINUE)

    def request_body(self, data: bytes) -> None:
        """Some of the body."""
        self._body.append(data)
        self._body_bytes += len(data)
        self._body_came = self._wheel.now

    def request_complete(self) -> None:
        """The request is there whole."""
        work, refusal, head = self._work, self._refusal, self._head
        pieces, self._body = self._body, []
        self._body_bytes = 0
        self._head = self._refusal = None
        if work is not None:
            work.begin(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        elif refusal is not None:
            assert self._reply is not None
            self._exchanges.refuse(refusal, head, self._reply, self.peer, self._accepted)

    # -- the reply's side ------------------------------------------------------------------------------------

    @property
    def write(self) -> Callable[[bytes], None]:
        """The transport's own: what is written once a read should not pass through here."""
        write: Callable[[bytes], None] = self.transport.write
        return write

    @property
    def ahead(self) -> int:
        """Bytes by which what is written may get ahead of the client."""
        return self._flow.ahead

    @property
    def spool(self) -> Spool | None:
        """What the client is fed from, where it is too slow."""
        return self._spool

    def cut_off(self, why: str) -> None:
        """Close at once.

        @param why: for people.
        """
        if not self._over:
            self._why_gone = why
            self.transport.abortConnection()

    def reply_over(self, *, keep: bool) -> None:
        """The answer was given whole: on to the next request, or good-bye."""
        self._work = self._reply = self._spool = None
        self._flow.over()
        if self._over:
            return
        if self._unread or (not keep and self._parser.pending_bytes):  # it may be sending still
            self._linger()
        elif not keep:
            self._close()
        else:
            self._since = self._wheel.now
            self._advance()

    def reply_cut(self) -> None:
        """The answer ends unfinished, for all to see."""
        self._work = self._reply = self._spool = None
        self._close()

    def limit_ahead(self, ahead: int) -> None:
        """Let the answer get ahead of the client by so many bytes, and no more."""
        self._flow.limit(ahead)

    # -- deadlines -------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """From the wheel."""
        if not (self._requests or self._unread or self._closing or self._shaking_hands):
            self._check_newcomer(now - self._since)
            return
        timeouts = self._settings.timeouts
        waited, unsent = now - self._since, self._unsent
        self._unsent = unsent_bytes(self.transport, beneath=bool(unsent) or waited > timeouts.keepalive)
        if self._unsent < unsent:
            self._takes(now)
            waited = now - self._since
        flow = self._flow
        self.account()
        if self._lingered >= 0 or self._closing:
            if waited > (timeouts.client_stall if self._closing else LINGER_S):
                self.transport.abortConnection()
        elif self._shaking_hands:
            if waited > timeouts.tls_handshake:
                self._closing = True
                self._exchanges.handshakes.late(self.client)
                self.transport.abortConnection()
        elif flow.stalled_since is not None and now - flow.stalled_since > timeouts.client_stall:
            self.cut_off(f"the client took nothing for {timeouts.client_stall:g} s")
        elif self._spool is None and self._is_too_slow(now):
            self._be_spooled(f"the client took less than {self._settings.limits.client_read_rate} bytes a second")
        elif self._head is not None:
            self._check_body(now, waited)
        elif self._work is not None:
            self._work.check(now)
        elif not self._parser.idle:
            if waited > timeouts.client_header:
                self._head_is_late()
        elif waited > self._patience(timeouts.keepalive) + (timeouts.client_stall if self._unsent else 0.0):
            self._close_idle()

    def _check_newcomer(self, waited: float) -> None:
        """Nothing was asked, nothing was written: of thousands that are there for nothing none costs more than this."""
        timeouts = self._settings.timeouts
        if not self._parser.idle:
            if waited > timeouts.client_header:
                self._head_is_late()
        elif waited > self._patience(min(timeouts.client_header, timeouts.keepalive)):
            if self._close_idle():
                self._exchanges.dropped("silent")  # a word to it would be the answer to a request that is just coming

    def _close_idle(self) -> bool:
        """Unless it has asked for something: where we were kept from looking, its request may have waited longer than
        we have patience.

        @return: whether it is closed.
        """
        idle = not unread_bytes(self.transport)
        if idle:
            self._close()
        return idle

    def _head_is_late(self) -> None:
        if self._exchanges.may_tell():
            seconds = self._settings.timeouts.client_header
            self._refuse(ClientTooSlow(f"the request's head did not come within {seconds:g} s"))
        else:
            self._exchanges.dropped("slow")
            self.transport.abortConnection()

    def _patience(self, keepalive: float) -> float:
        """How long it may idle: a gateway that drains waits for what may be on its way, and no longer."""
        return min(keepalive, self._exchanges.draining_idle_s) if self._exchanges.draining else keepalive

    def _takes(self, now: float) -> None:
        """The client took some of what waits for it, however slowly: it is neither gone nor idle."""
        if self._flow.stalled_since is not None:
            self._flow.stalled_since = now
        over = self._closing or self._lingered >= 0
        if over or (self._work is None and self._head is None and self._parser.idle):
            self._since = now

    def account(self) -> None:
        """Say what is kept for this client."""
        answers, kept = (0, 0) if self._work is None else self._work.held
        self._flow.account(self._body_bytes, answers, kept)

    def _is_too_slow(self, now: float) -> bool:
        limits, reply = self._settings.limits, self._reply
        given = 0 if reply is None else reply.bytes_out
        return self._flow.is_too_slow(now, given, limits.client_read_rate, limits.client_read_time)

    def _be_spooled(self, slow: str) -> None:
        """The rest of the answer goes into a file, where that is so set, and its engine is read on; else the client is
        cut off.

        One that has yet to take an answer that is over has no engine wait for it: it is let, while there is memory for
        what it was given.

        @param slow: why, for people.
        """
        spools, work, reply = self._exchanges.spools, self._work, self._reply
        if not spools.wanted:
            self.cut_off(slow)
        elif work is None or reply is None or self._head is not None:
            if self._flow.is_short:
                self.cut_off(slow)
        else:
            paused = self._flow.stalled_since is not None
            spool = spools.begin(work.exchange, self, paused=paused)
            if isinstance(spool, str):
                self.cut_off(f"{slow}, and {spool}")
                return
            self._spool = spool
            reply.spool_to(spool)
            if paused:
                work.resume()

    def _check_body(self, now: float, waited: float) -> None:
        timeouts, rate = self._settings.timeouts, self._settings.limits.client_min_rate
        if waited > timeouts.client_body:
            self._refuse(ClientTooSlow(f"the request's body did not come within {timeouts.client_body:g} s"))
        elif now - self._body_came > timeouts.client_body_idle:
            self._refuse(ClientTooSlow(f"nothing of the request's body came for {timeouts.client_body_idle:g} s"))
        elif waited > MIN_RATE_GRACE_S and self._body_bytes < (waited - MIN_RATE_GRACE_S) * rate:
            self._refuse(ClientTooSlow(f"the request's body came slower than {rate} bytes a second"))

    def drain(self) -> None:
        """The gateway is stopping: close after the first answer that can say so, or once it has idled: see C{check}.
        A client that was not told asks again, and may have done so before the close reaches it."""
        if self._reply is not None and not self._reply.begun:
            self._reply.close_after()

    def expire(self, reason: str) -> None:
        """The gateway has drained for long enough: end what is under way."""
        if self._work is None:
            self._close()
            return
        self._work.expire(reason)
        if self._spool is not None:  # it will not have taken it in time
            self._spool.close(Spooled.STOPPED)
            self.cut_off(reason)

    # -- inside ----------------------------------------------------------------------------------------------

    def _may_stay(self) -> bool:
        """Whether another request may follow on this connection."""
        settings, exchanges = self._settings, self._exchanges
        return (
            self._requests < settings.limits.keepalive_requests
            and self._wheel.now - self._born < settings.timeouts.keepalive_age
            and not exchanges.overload.closes
            and not exchanges.draining
        )

    def _reply_to(self, minor_version: int, keep_alive: bool, *, without_body: bool = False) -> Reply:
        added = self._exchanges.hsts if self.peer.secure else b""
        return Reply(self, minor_version=minor_version, keep_alive=keep_alive, without_body=without_body, added=added)

    def _advance(self) -> None:
        """Parse the next request of those that came already; a loop, for their answers may be immediate."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._reply is None and self._parser.complete and not self._ending:
                self._accepted = self._exchanges.seconds()
                self._parser.next()
        except BadMessage as bad:
            self._malformed(bad)
        except Exception:  # noqa: BLE001 - the door, as above
            self._defect()
        finally:
            self._advancing = False
        if self._reading_paused and self._parser.pending_bytes <= PIPELINED_BYTES and not self._closing:
            self._reading_paused = False
            self.transport.resumeProducing()

    @property
    def _ending(self) -> bool:
        """Nothing more is read of what it sends."""
        return self._closing or self._unread or self._lingered >= 0

    def _malformed(self, bad: BadMessage) -> None:
        """Framing is in doubt: one answer, then the end."""
        if self._reply is None:
            self._reply = self._reply_to(1, keep_alive=False)
        kind = BodyTooLarge if bad.status == BodyTooLarge.status else MalformedRequest
        self._refuse(kind(str(bad), status=bad.status, logged=unquoted(str(bad), bad.reason)))

    def _defect(self) -> None:
        """Called where one was caught: say so, and end what is under way, and the connection with it."""
        id = "" if self._work is None else self._work.exchange.id
        form = "while reading a request of {client}, exchange {id}"
        self._exchanges.seldom.failure(_log, form, client=self.client, id=id or "none")
        self._parser.close()
        try:
            if self._work is not None and self._reply is not None:
                self._reply.close_after()
                self._work.fail()
        except Exception:  # noqa: BLE001 - the door, as above: it was broken beyond telling
            self._exchanges.seldom.failure(_log, "while ending the exchange {id}", id=id)
        if not self._closing:
            self.transport.abortConnection()

    def _refuse(self, error: GatewayError) -> None:
        """Answer a request that is not read, or not read to its end."""
        work, reply, head = self._work, self._reply, self._head
        self._head = None
        self._body.clear()
        self._unread = True
        self._parser.close()
        if reply is None:
            reply = self._reply = self._reply_to(1, keep_alive=False)
        reply.close_after()
        if work is not None:
            work.refuse(error)
        else:
            self._exchanges.refuse(error, head, reply, self.peer, self._accepted or self._exchanges.seconds())

    def _linger(self) -> None:
        self._lingered = 0
        self._since = self._wheel.now
        self._parser.close()
        self.transport.unregisterProducer()
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _close(self) -> None:
        if not self._closing and not self._over:
            self._closing = True
            self._since = self._wheel.now
            self.transport.unregisterProducer()  # Twisted does not close beneath a producer that it has paused
            self.transport.loseConnection()


classImplements(DownstreamConnection, IProtocol, IHandshakeListener, IPushProducer)
