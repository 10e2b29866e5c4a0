"""The daemon: everything that runs, put together, started, reloaded and stopped."""

from __future__ import annotations

import dataclasses
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.settings import ReplicaSettings, Settings
from aibrix_twisted.service.admin.changes import Changes
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.admin.events import Feed
from aibrix_twisted.service.admin.fleet import FleetDesk
from aibrix_twisted.service.admin.site import admin_site
from aibrix_twisted.service.admin.stats import facts_of
from aibrix_twisted.service.admin.stats_shapes import Facts
from aibrix_twisted.service.audit.auditor import Auditor
from aibrix_twisted.service.config.load import ConfigError, Source
from aibrix_twisted.service.config.replicas import key_of
from aibrix_twisted.service.discovery.discovery import Discovery
from aibrix_twisted.service.discovery.registry import Registry
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.exchange.prefix_state import keep_state, restore_state
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.process.descriptors import max_clients
from aibrix_twisted.service.process.detached import in_detached_thread
from aibrix_twisted.service.process.drain import Drain
from aibrix_twisted.service.process.listeners import ClientFactory, Listeners
from aibrix_twisted.service.process.memory import resident_bytes
from aibrix_twisted.service.process.sockets import Sockets
from aibrix_twisted.service.process.strain import Strain
from aibrix_twisted.service.telemetry.access_log import AccessLog
from aibrix_twisted.service.telemetry.book import Book
from aibrix_twisted.service.telemetry.exposition import registry_of
from aibrix_twisted.service.telemetry.gc_pauses import GcPauses
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.process_facts import ProcessFacts
from aibrix_twisted.service.telemetry.recent import Counts, Key, Recent, counts_of
from aibrix_twisted.service.telemetry.tracing import Tracing
from aibrix_twisted.service.tls.doors import Doors
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.wheel import Wheel

if TYPE_CHECKING:
    from aibrix_twisted.service.workers.asking import Asking
    from aibrix_twisted.service.workers.peers import Peers

_log = Logger()


class Gateway(MultiService):
    """The service that C{twistd} runs."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        source: Source,
        extra: tuple[ReplicaSettings, ...] = (),
        sockets: Sockets | None = None,
    ) -> None:
        """
        @param source: where C{reload} reads the settings anew.
        @param extra: replicas that no configuration names: the built-in demo engines.
        @param sockets: what is listened on, where it is to outlive the process; C{None}: the reactor opens it.
        """
        super().__init__()
        self._reactor = reactor
        self._source = source
        self._extra = extra
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.configure(genai=settings.metrics.genai)
        self._wall_clock = time.time
        self._doors = Doors(reactor, settings, self._wall_clock)
        self.metrics.certificate_expires = self._doors.expires
        self._gc_pauses = GcPauses(reactor.seconds)
        self.wheel = Wheel(reactor)
        self.pool = Pool(reactor, self.wheel)
        rng = random.Random()
        self._access_log = AccessLog(
            settings.access_log,
            reactor,
            self._wall_clock,
            lambda write: deferToThreadPool(reactor, reactor.getThreadPool(), write),
            self.metrics,
            rng,
        )
        boot_id = secrets.token_hex(6)
        in_thread = partial(in_detached_thread, reactor)
        self._tracing = Tracing(reactor, time.time_ns, in_thread, self.metrics, rng, boot_id)
        self.exchanges = Exchanges(
            reactor,
            settings,
            wheel=self.wheel,
            pool=self.pool,
            metrics=self.metrics,
            access_log=self._access_log,
            rng=rng,
            boot_id=boot_id,
            max_connections=max_clients(),
            tls_port=self._doors.port,
        )
        self._auditor = Auditor(self.exchanges, reactor, self._wall_clock)
        self._discovery = Discovery(reactor, self.exchanges.fleet_is, rng, self.pool.tls)
        self._discovery.configure(self._with_extra(settings))
        self.exchanges.suspect = self._discovery.keeper.suspect
        self.desk = FleetDesk(self._discovery, reactor.seconds)
        self.recent = Recent(reactor, self.metrics)
        self.feed = Feed(reactor, Changes(self))
        self._started = reactor.seconds()
        self._admin_token = _token_of(settings)
        self._exposition = registry_of(self, ProcessFacts(ProcessCollector(registry=None), reactor.seconds))
        self._peers: Peers | None = None
        self._asking: Asking | None = None
        self.reloaded_for_api: Callable[[], None] = _nothing
        self._admin_site = admin_site(self, self._exposition)
        self._listeners = Listeners(reactor, self._doors, sockets, ClientFactory(self.exchanges), self._admin_site)
        self._listeners.setServiceParent(self)
        self._strain = Strain(reactor, time.thread_time, self.exchanges.overload, self._listeners.hold)
        self.drain = Drain(reactor, self.exchanges, self._listeners.close_to_clients, reactor.stop)

    # -- what the admin pages read ---------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        return self.exchanges.fleet

    @property
    def chooser(self) -> Chooser:
        """Who decides which replica gets a request, and what was decided."""
        return self.exchanges.chooser

    @property
    def clients(self) -> int:
        """Client connections that are open."""
        return len(self.exchanges.live)

    @property
    def upstreams(self) -> dict[str, int]:
        """Connections to replicas that are open."""
        idle = self.pool.idle
        return {"idle": idle, "busy": self.pool.open - idle}

    @property
    def buffers(self) -> dict[str, int]:
        """Bytes that are kept of requests, by what for."""
        return {**self.exchanges.memory.by_kind, "waiting": self.exchanges.waiting.room.bytes}

    @property
    def buffer_limits(self) -> dict[str, int]:
        """Up to how many bytes an answer is gathered, by model."""
        return self.exchanges.sizes.answers

    @property
    def waiting(self) -> dict[str, int]:
        """Requests that wait for a replica, by model."""
        return self.exchanges.waiting.by_model

    @property
    def hedges(self) -> dict[str, int]:
        """Second attempts, by outcome."""
        return self.metrics.hedges

    @property
    def now(self) -> float:
        """By the clock that engines' loads are stamped with, in seconds."""
        return float(self._reactor.seconds())

    @property
    def turns(self) -> Histogram | None:
        """How long the reactor's turns took, where it is the one that we bring."""
        turns: Histogram | None = getattr(self._reactor, "turns", None)
        return turns

    @property
    def last_seen(self) -> float:
        """When the wheel last turned, in seconds since 1970."""
        return self._wall_clock() - (self.now - self.wheel.now)

    @property
    def gc_pauses(self) -> dict[str, Histogram]:
        """The collector's pauses, by generation."""
        return self._gc_pauses.by_generation

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall_clock()

    @property
    def book(self) -> Book:
        """Exchanges under way, and the last that are over."""
        return self.exchanges.book

    @property
    def draining(self) -> bool:
        """It takes no new work."""
        return self.exchanges.draining

    @property
    def uptime_s(self) -> float:
        """Since it was started."""
        return float(self._reactor.seconds() - self._started)

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory, where the system says."""
        return resident_bytes()

    @property
    def admin_token(self) -> str:
        """What changes from other hosts need; empty: they are refused."""
        return self._admin_token

    def readiness(self) -> tuple[bool, bytes]:
        """Whether requests can be served, and why not."""
        return self.exchanges.readiness()

    def status(self) -> str:
        """What it does, in one line, for people who ask the service manager."""
        in_flight, up, replicas = self.load_now()
        line = f"{in_flight} in flight, {up} of {replicas} replicas up"
        return f"draining: {line}, {max(0.0, self.drain.left_s):.0f} s left" if self.draining else f"serving: {line}"

    # -- with other workers ----------------------------------------------------------------------------------

    def joins(self, peers: Peers, asking: Asking, worker: int) -> None:
        """There are others, who send to the same replicas and have the same admin listener.

        @param worker: which of them this is.
        """
        self._admin_site.worker = str(worker)
        self.exchanges.chooser.look_at_peers = peers.look
        self.recent.others = peers.counts
        self._exposition.everyone = peers
        self._peers, self._asking = peers, asking

    def ask_elsewhere(self, what: str, about: Any) -> Deferred[list[Any]] | None:
        """Ask the others; C{None}: there are none."""
        return None if self._asking is None else self._asking.ask(what, about)

    def metrics_now(self) -> Iterable[Metric]:
        """All that is exposed, of this process alone."""
        return self._exposition.own()

    def counts_now(self) -> Mapping[Key, Counts]:
        """What this process has counted."""
        return counts_of(self.metrics)

    def facts_now(self) -> Facts:
        """How it is at this process."""
        return facts_of(self)

    def facts_elsewhere(self) -> Sequence[Facts]:
        """How it is at the others."""
        return () if self._peers is None else self._peers.facts()

    def load_now(self) -> tuple[int, int, int]:
        """In flight, replicas up, replicas."""
        replicas = self.fleet.replicas
        return self.exchanges.under_way, sum(replica.up for replica in replicas), len(replicas)

    @property
    def added(self) -> Registry:
        """Replicas that were added while it runs."""
        return self._discovery.registry

    # -- life ------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Listen, ask the replicas, and begin to count time."""
        restore_state(self.exchanges.chooser, now=self.now, wall=self._wall_clock())
        self.exchanges.chooser.met(self.fleet)
        self.wheel.start()
        self._auditor.start()
        self._strain.start()
        self._gc_pauses.start()
        self._access_log.start()
        self.recent.start()
        self.exchanges.tracer = self._tracing.configure(self.settings.tracing)
        self._discovery.start()
        super().startService()
        if not self.exchanges.fleet.replicas:
            _log.warn("no replica is configured: every request for a model is answered with 404")
        self._doors.start()

    def stopService(self) -> Deferred[None]:
        """Let go of everything.  What is still under way is lost."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        stopped = super().stopService()
        if not self._listeners.handed_over:  # else it is its successor's
            self.keep_for_successor()
        self._auditor.stop()
        self._strain.stop()
        self._doors.stop()
        self._discovery.stop()
        self.recent.stop()
        self.feed.stop()
        for connection in tuple(self.exchanges.live):
            connection.transport.abortConnection()
        self.pool.close()
        self._gc_pauses.stop()
        await self._access_log.stop()
        self.exchanges.tracer = None
        await self._tracing.stop()
        self.wheel.stop()  # last: whoever watches the reactor hears it turn
        await stopped

    def reload(self) -> str:
        """Re-read the settings and take them, or keep those there are and say why.

        @return: the first of the reasons; C{""}: they were taken.
        """
        try:
            self._reload()
        except ConfigError as error:
            for problem in error.problems:
                _log.error("not reloaded: {problem}", problem=problem)
            return f"not reloaded: {error.problems[0]}"
        return ""

    def reload_for_api(self) -> dict[str, Any]:
        """The same, told to whoever asked.

        @raise Denied: the settings cannot be used; nothing has changed.
        """
        try:
            self._reload()
        except ConfigError as error:
            message = "not reloaded: the configuration cannot be used"
            raise Denied(422, message, "invalid_configuration", error.problems) from None
        self.reloaded_for_api()
        return {"status": "reloaded", "replicas": len(self.exchanges.fleet.replicas)}

    def _reload(self) -> None:
        try:
            settings = self._source.load()
            take_certificates = self._doors.reloaded(settings)
        except ConfigError:
            self.metrics.reloads["refused",] += 1
            self._access_log.configure(self.settings.access_log)  # a rotation's signal is one all the same
            raise
        take_certificates()
        self.metrics.certificate_expires = self._doors.expires
        self.pool.renew_tls()
        self._discovery.renew_tls()
        self.settings = settings
        self._admin_token = _token_of(settings)
        self.metrics.configure(genai=settings.metrics.genai)
        self.exchanges.configure(settings)
        self._strain.start()
        self._discovery.configure(self._with_extra(settings))
        self._access_log.configure(settings.access_log)
        self.exchanges.tracer = self._tracing.configure(settings.tracing)
        self.metrics.reloads["taken",] += 1
        _log.info("reloaded: {replicas} replicas", replicas=len(self.exchanges.fleet.replicas))

    def drain_and_stop(self) -> None:
        """Take no new clients, finish what is under way, and end the process.  Asked a second time: end it now."""
        timeouts = self.settings.timeouts
        self.drain.within(timeouts.drain, timeouts.unready)

    def keep_for_successor(self) -> None:
        """Write down what a process that is about to take over should know."""
        keep_state(self.exchanges.chooser, self.fleet, now=self.now, wall=self._wall_clock())

    def hand_over(self) -> None:
        """Another process serves: finish what is under way, however long it takes, and end this one."""
        self.feed.stop()  # what it had to say is said by another process
        log_failure_of(self._listeners.hand_over(), "closing the admin listener")
        self.drain.without_bound()

    def _with_extra(self, settings: Settings) -> Settings:
        return dataclasses.replace(settings, replica=settings.replica + self._extra)


def _token_of(settings: Settings) -> str:
    return key_of(settings.admin_auth.token_file) if settings.admin_auth.token_file else ""


def _nothing() -> None:
    """There are no other processes to tell."""
