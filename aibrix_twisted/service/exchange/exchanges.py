"""What every exchange shares, and the door through which requests become exchanges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from aibrix_twisted.domain.client import Client
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.memory import Memory, Pressure
from aibrix_twisted.domain.overload import Overload
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import Settings, TlsSettings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import (
    Draining,
    GatewayError,
    MemoryFull,
    MethodNotAllowed,
    Overloaded,
    TooManyConnections,
    TooManyRequests,
    UnknownPath,
)
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.retry import RetryBudget
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.downstream.spools import Spools
from aibrix_twisted.service.downstream.work import Work
from aibrix_twisted.service.exchange.admit import bounds_of, coded_body
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.exchange.hedge import Hedges
from aibrix_twisted.service.exchange.local import Local, allowed, is_local, label_of
from aibrix_twisted.service.exchange.redirect import NOT_REDIRECTED, Redirect
from aibrix_twisted.service.exchange.respond import send_error
from aibrix_twisted.service.exchange.run import Run
from aibrix_twisted.service.exchange.settle import settle_exchange
from aibrix_twisted.service.exchange.sizes import Sizes
from aibrix_twisted.service.exchange.waiting import Waiting
from aibrix_twisted.service.process.memory import memory_limit
from aibrix_twisted.service.telemetry.access_log import AccessLog
from aibrix_twisted.service.telemetry.book import Book
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.tracer import Tracer
from aibrix_twisted.service.tls.handshakes import Handshakes
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.wheel import Wheel
from aibrix_twisted.wire.head import RequestHead
from aibrix_twisted.wire.routes import ROUTES

#: A request id that a client may choose: 1 to 128 visible ASCII characters.
_FIT_ID: Final = re.compile(rb"[!-~]{1,128}")

#: Methods that the paths that we answer by ourselves take.
_LOCAL_METHODS: Final = frozenset({"GET", "HEAD"})


#: Where the gateway drains, and is waited for, who has idled for so long is closed.
DRAINING_IDLE_S: Final = 3.0

#: Streams that may be continued in ten seconds, however few requests there were.
HEAL_FLOOR: Final = 256

#: Clients that are told that they are too many: a share of those that may be.  More are not even told.
TOLD: Final = 0.1

#: Clients that are told at one tick of the wheel that they took too long for a head.
TOLD_AT_ONCE: Final = 64

_SOON: Final = ((b"retry-after", b"1"),)

#: One exchange in eight tells how large answers are: that is enough, and it costs.
SAMPLED: Final = 7


#: That of https, where no other is known (RFC 9110 §4.2.2).
HTTPS_PORT: Final = 443


def _hsts(tls: TlsSettings) -> bytes:
    """RFC 6797 §6.1."""
    below = b"; includeSubDomains" if tls.hsts_subdomains else b""
    return b"strict-transport-security: max-age=%d%b\r\n" % (tls.hsts_max_age, below)


def _nobody_probes(replica: Replica) -> None:
    """Until somebody does."""


class Exchanges:
    """Opens exchanges and hears of their ends.

    @ivar draining: it is not ready, and each connection is closed after its answer.
    @ivar draining_idle_s: who has idled for so long is closed then.
    @ivar refusing: the time for that is up: there is no new exchange.
    @ivar waiting: exchanges that no replica can take now.
    @ivar hedges: when a second attempt is made beside a late one; C{None}: never.
    @ivar live: the clients that are connected.
    @ivar newcomers: those of them that have not asked for anything yet; the one who has waited longest is first.
    @ivar by_address: how many of them are of each address.
    @ivar orphans: exchanges whose client left, and whose answer is read to its end all the same.
    @ivar book: exchanges that are not over, and the last that are.
    @ivar tracer: keeps spans of those that are sampled; C{None}: of none.
    @ivar bounds: of bodies.
    @ivar handshakes: how those of TLS went.
    @ivar hsts: a line that is added to each head that goes out over TLS; empty: none.
    @ivar late: counts of what came for a response that had ended, by event.
    @ivar heal_modes: how streams of a model are continued, where that is set for it.
    @ivar fleet: the snapshot that the next exchange begins with; so is C{settings}.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        *,
        wheel: Wheel,
        pool: Pool,
        metrics: Metrics,
        access_log: AccessLog,
        rng: Random,
        boot_id: str,
        max_connections: int,
        tls_port: int | None = None,
    ) -> None:
        """
        @param tls_port: where TLS is spoken, as far as is known.
        @param boot_id: begins the ids of requests whose client chose none.
        @param max_connections: what the process has file descriptors for; the settings may ask for fewer.
        """
        self.reactor = reactor
        self.seconds: Callable[[], float] = reactor.seconds
        self.wheel = wheel
        self.pool = pool
        self.metrics = metrics
        self.late = metrics.late_events
        self.draining = self.refusing = False
        self.draining_idle_s = DRAINING_IDLE_S
        self.live: set[DownstreamConnection] = set()
        self.newcomers: dict[DownstreamConnection, None] = {}
        self.orphans: set[Run] = set()
        self.book = Book()
        self.memory = Memory(memory_limit(settings.limits.memory_bytes))
        self.spools = Spools(reactor, metrics)
        self.overload = Overload()
        self.seldom = pool.seldom
        self.sizes = Sizes(reactor.seconds)
        self.fleet = Fleet()
        self.catalogue = Catalogue(self.fleet, {})
        self.by_address: dict[str, int] = {}
        self._access_log = access_log
        self.tracer: Tracer | None = None
        self.rng = rng
        self.suspect: Callable[[Replica], None] = _nobody_probes
        self.hedges: Hedges | None = None
        self.waiting = Waiting(reactor, self, settings.queue)
        self.chooser = Chooser(settings, rng, self.seconds, metrics.fell_back)
        self._boot_id = boot_id
        self._made = 0
        self._max_connections = max_connections
        self._tls_port = tls_port or HTTPS_PORT
        self.handshakes = Handshakes(reactor.seconds, metrics.handshakes)
        self._told_at, self._told = 0.0, 0
        self.configure(settings)

    @property
    def under_way(self) -> int:
        """How many exchanges are not over."""
        return len(self.book.current)

    def configure(self, settings: Settings) -> None:
        """Take these settings for exchanges that begin from now on."""
        self.settings = settings
        tls = settings.tls
        self._https_port = (tls.redirect_port or self._tls_port) if tls.redirect else 0
        self.hsts = _hsts(tls) if tls.hsts_max_age else b""
        self.memory.configure(memory_limit(settings.limits.memory_bytes))
        self.spools.configure(settings.limits)
        self.bounds = bounds_of(settings.limits)
        self.overload.configure(settings.limits.reactor_lag)
        self.budget = RetryBudget(settings.retry.budget)
        self.heal_budget = RetryBudget(settings.heal.budget, floor=HEAL_FLOOR)
        self.heal_modes = {model.name: model.heal for model in settings.model if model.heal}
        self.chooser.configure(settings)
        self.waiting.configure(settings.queue)
        if not settings.hedge.enabled:
            self.hedges = None
        elif self.hedges is None:
            self.hedges = Hedges(settings.hedge.budget)
        else:
            self.hedges.configure(settings.hedge.budget)

    def fleet_is(self, fleet: Fleet, catalogue: Catalogue) -> None:
        """Take this fleet for exchanges that begin from now on, or that wait."""
        self.fleet, self.catalogue = fleet, catalogue
        self.chooser.met(fleet)
        self.waiting.stir()

    # -- from clients' connections ---------------------------------------------------------------------------

    def connected(self, connection: DownstreamConnection) -> GatewayError | None:
        """A client is here.

        @return: why it is not welcome.
        """
        self.live.add(connection)
        address, limits = connection.client, self.settings.limits
        self.by_address[address] = at_once = self.by_address.get(address, 0) + 1
        if len(self.live) > self._most_clients and not self._make_room():
            return TooManyConnections("too many connections", headers=_SOON)
        if limits.connections_per_address and at_once > limits.connections_per_address:
            return TooManyConnections(f"too many connections from {address}", headers=_SOON)
        self.newcomers[connection] = None
        return None

    def spoke(self, connection: DownstreamConnection) -> None:
        """It has asked for something."""
        self.newcomers.pop(connection, None)

    def _make_room(self) -> bool:
        """Of those who take a place and ask for nothing the first has had it for long enough: whoever holds places so
        takes them from others who do, and from nobody else."""
        for newcomer in self.newcomers:
            del self.newcomers[newcomer]
            self.dropped("evicted")
            newcomer.transport.abortConnection()
            return True
        return False

    @property
    def flooded(self) -> bool:
        """There are so many clients that no more can even be told so."""
        return len(self.live) > self._most_clients * (1 + TOLD)

    @property
    def _most_clients(self) -> int:
        return min(self.settings.limits.connections, self._max_connections)

    def may_tell(self) -> bool:
        """Whether one more client is told why it is disconnected; a crowd that comes to its end at once is not: an
        answer, a line in the log and a farewell for each of them would keep everybody else waiting."""
        now = self.wheel.now
        if now != self._told_at:
            self._told_at, self._told = now, 0
        self._told += 1
        return self._told <= TOLD_AT_ONCE

    def dropped(self, reason: str) -> None:
        """A client's connection was closed without an answer.

        @param reason: out of L{aibrix_twisted.service.telemetry.metrics.DROPPED}.
        """
        self.metrics.clients_dropped[reason] += 1

    def disconnected(self, connection: DownstreamConnection) -> None:
        """It is gone."""
        self.live.discard(connection)
        self.newcomers.pop(connection, None)
        left = self.by_address.pop(connection.client) - 1
        if left:
            self.by_address[connection.client] = left

    def recount(self, by_address: Mapping[str, int]) -> None:
        """Take these for the clients of each address: they were found to be, and were counted otherwise."""
        self.by_address = dict(by_address)

    def open(self, head: RequestHead, reply: Reply, client: Client, accepted: float) -> Work | GatewayError:
        """A head came: begin an exchange.

        @param accepted: when the first byte of it did.
        @return: the exchange, or why there is none; say that with C{refuse}.
        """
        path = head.path
        if self._https_port and not client.secure and path not in NOT_REDIRECTED:
            return Redirect(self, self._begun(head, client, label_of(path), accepted), reply, head, self._https_port)
        route = ROUTES.get(path)
        if route is None or head.method != "POST":
            return self._open_other(head, reply, client, accepted)
        if self.memory.pressure is Pressure.FULL:
            return MemoryFull("the gateway's buffers are full", headers=_SOON)
        if self.overload.sheds:
            return Overloaded(f"the gateway is overloaded: {self.overload.sheds}", headers=_SOON)
        if self.refusing:
            return Draining("the gateway is stopping", headers=_SOON)
        most = self.settings.limits.in_flight
        if most and self.under_way >= most:
            return TooManyRequests(f"{most} requests are under way, which is as many as may be", headers=_SOON)
        coding = head.fields.get(b"content-encoding")
        if coding is not None and coding.lower() != b"identity":
            return coded_body(coding)
        return Run(self, self._begun(head, client, route.name, accepted), route, head, reply)

    def _open_other(self, head: RequestHead, reply: Reply, client: Client, accepted: float) -> Work | GatewayError:
        """What is not relayed: our own documents, and what there is not."""
        path = head.path
        if head.method == "OPTIONS" or (is_local(path) and head.method in _LOCAL_METHODS):
            return Local(self, self._begun(head, client, label_of(path), accepted), reply)
        shown = path.decode("ascii", "replace")
        if path not in ROUTES and not is_local(path):
            return UnknownPath(f"there is no path {shown}")
        methods = allowed(path)
        return MethodNotAllowed(f"{shown} takes {methods.decode()}, not {head.method}", headers=((b"allow", methods),))

    def refuse(
        self, error: GatewayError, head: RequestHead | None, reply: Reply, client: Client, accepted: float
    ) -> None:
        """Answer what is no exchange."""
        exchange = self._begun(head, client, "other" if head is None else label_of(head.path), accepted)
        exchange.failed(error)
        send_error(error, exchange, reply)
        settle_exchange(exchange, reply, self)
        reply.let_go()

    def _begun(self, head: RequestHead | None, client: Client, route: str, accepted: float) -> Exchange:
        stamps = Stamps(accepted)
        if head is None:
            exchange = Exchange(self._new_id(), client.address, "", "", route, stamps)
        else:
            stamps.head = self.seconds()
            id = head.fields.get(b"x-request-id")
            chosen = id.decode("ascii") if id is not None and _FIT_ID.fullmatch(id) else self._new_id()
            exchange = Exchange(chosen, client.address, head.method, head.path.decode("latin-1"), route, stamps)
            if self.tracer is not None:
                exchange.trace = self.tracer.begun(head.fields)
        exchange.identity = client.identity
        self.book.begun(exchange)
        return exchange

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._boot_id}-{self._made}"

    # -- from exchanges --------------------------------------------------------------------------------------

    def count_request(self) -> None:
        """A request is about to be sent: what is bounded by a share of all of them is told."""
        now = self.wheel.now
        self.budget.count_request(now)
        self.heal_budget.count_request(now)
        if self.hedges is not None:
            self.hedges.count_request(now)

    def left(self, replica: Replica) -> None:
        """An attempt at it is over: there may be room for another, or nothing there any more."""
        self.waiting.stir()
        if replica.health.suspect:
            self.suspect(replica)

    def taken(self, exchange: Exchange, size: int, seconds: float) -> None:
        """A client that did not keep up took so much in this time."""
        self.sizes.taken(exchange, size, seconds)

    def over(self, exchange: Exchange) -> None:
        """An exchange is over, and settled."""
        if not self.book.ended & SAMPLED and exchange.served is not None and not exchange.stream:
            self.sizes.answered(exchange)
        self.book.over(exchange)
        self.metrics.count(exchange)
        self._access_log.append(exchange)
        if exchange.trace is not None and self.tracer is not None:
            self.tracer.over(exchange)

    # -- for people and probes -------------------------------------------------------------------------------

    def readiness(self) -> tuple[bool, bytes]:
        """Whether requests can be served, and a document that says why or why not."""
        if self.draining:
            ready, reason = False, "draining"
        elif not self.fleet.ready:
            ready, reason = False, "no replica of any model is up"
        else:
            ready, reason = True, ""
        return ready, orjson.dumps({"status": "ready" if ready else "not ready", "reason": reason})
