"""Asking an engine for a document of its own: its models, its metrics, its health."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredList, TimeoutError, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseNeverReceived, _HTTP11ClientFactory
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS, IResponse
from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaTlsSettings
from aibrix_twisted.service.tls.failed import WITHOUT_A_WORD, TlsFailed, why
from aibrix_twisted.service.tls.replicas import ReplicasTls, ReplicaTls


class TooLong(Exception):
    """There was more of an answer than is read."""


class _QuietFactory(_HTTP11ClientFactory):
    """Does not log that it starts and stops."""

    noisy = False


@implementer(IPolicyForHTTPS)
class _OneReplica:
    """Speaks TLS as one replica wants it."""

    def __init__(self, tls: ReplicaTls) -> None:
        self._tls = tls

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """A connection is to be made."""
        return self._tls


class Fetcher:
    """Asks with GET.  What it is answered with may have any status, and is read to its end."""

    def __init__(self, reactor: Any, idle_s: int = 0, tls: ReplicasTls | None = None) -> None:
        """
        @param idle_s: for how long a connection is kept for the next question; 0: not at all.
        """
        self._reactor = reactor
        self._idle_s = idle_s
        self._tls = tls or ReplicasTls()
        self._pools: dict[ReplicaTlsSettings | None, HTTPConnectionPool] = {}

    def get(self, replica: Replica, path: bytes, max_bytes: int, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """Ask, with the replica's own key.

        @param path: below the replica's prefix.
        @param timeout_s: from now to the end of the body.
        @return: status and body.  It fails as Twisted has it, with the innermost of its failures (a refused connect
            with C{ConnectionRefusedError}), with C{TimeoutError}, or with L{TooLong}.  A cancel breaks it off.
        """
        headers = Headers({b"accept": [b"application/json, text/plain;version=0.0.4"]})
        if replica.authorization is not None:
            headers.setRawHeaders(b"authorization", [replica.authorization])
        uri = b"%b://%b%b%b" % (b"https" if replica.tls else b"http", replica.authority, replica.prefix, path)
        try:
            fetched = self._agent_of(replica).request(b"GET", uri, headers).addCallback(_read, max_bytes)
        except TlsFailed as error:
            return fail(error)
        return fetched.addTimeout(timeout_s, self._reactor, _late).addErrback(_innermost, replica)

    def close(self) -> Deferred[Any]:
        """Let go of the connections that are kept, and of those that are asked on now once they are answered."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.cachedConnectionTimeout = 0
        return DeferredList([pool.closeCachedConnections() for pool in pools.values()])

    def _agent_of(self, replica: Replica) -> Agent:
        """Connections are shared where TLS is spoken alike.

        @raise TlsFailed: a file of its settings cannot be used any more.
        """
        tls = self._tls.of(replica)
        pool = self._pools.get(replica.tls)
        if pool is None:
            pool = self._pools[replica.tls] = HTTPConnectionPool(self._reactor, persistent=self._idle_s > 0)
            pool._factory = _QuietFactory
            pool.cachedConnectionTimeout = self._idle_s
            pool.maxPersistentPerHost = 1
        return Agent(self._reactor, pool=pool) if tls is None else Agent(self._reactor, _OneReplica(tls), pool=pool)


class _Body(Protocol):
    """Gathers a body.

    @ivar whole: fires with it, or fails.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._gathered = bytearray()
        self.whole: Deferred[bytes] = Deferred(lambda _: self._break_off())

    def dataReceived(self, data: bytes) -> None:
        """More of it."""
        if self.whole.called:
            return
        self._gathered += data
        if len(self._gathered) > self._max_bytes:
            self._break_off()
            self.whole.errback(TooLong(f"an answer of over {self._max_bytes} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It ended: well, or because the connection broke, or because we broke it off."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._gathered))
        else:
            self.whole.errback(reason)

    def _break_off(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _read(response: IResponse, max_bytes: int) -> Deferred[tuple[int, bytes]]:
    body = _Body(max_bytes)
    response.deliverBody(body)
    return body.whole.addCallback(lambda gathered: (response.code, gathered))


def _late(_: Any, timeout_s: float) -> Failure:
    return Failure(TimeoutError(f"no whole answer within {timeout_s:g} s"))


def _innermost(failure: Failure, replica: Replica) -> Failure:
    """What really happened: Twisted wraps failures in others, which only say that there are some."""
    unanswered = failure.check(ResponseNeverReceived) is not None
    while reasons := getattr(failure.value, "reasons", None):
        failure = reasons[0]
    if failure.check(SSL.Error, TlsFailed):
        return Failure(TlsFailed(f"TLS: {why(failure)}"))
    known = replica.tls is None or bool(replica.tls.cert)
    if unanswered and not known and failure.check(ConnectionLost, ConnectionDone):
        return Failure(TlsFailed(f"TLS: {WITHOUT_A_WORD}"))
    return failure
