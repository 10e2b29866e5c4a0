"""The metrics as Prometheus reads them: one collector that makes families out of plain numbers when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from aibrix_twisted import __version__
from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.telemetry import families
from aibrix_twisted.service.telemetry.genai import GenaiMeters
from aibrix_twisted.service.telemetry.labels import ERROR_TYPES
from aibrix_twisted.service.telemetry.metrics import Metrics


class Gauged(Protocol):
    """What is read, not counted."""

    metrics: Metrics

    @property
    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        ...

    @property
    def clients(self) -> int:
        """Client connections that are open."""
        ...

    @property
    def waiting(self) -> dict[str, int]:
        """Requests that wait for a replica, by model."""
        ...

    @property
    def hedges(self) -> dict[str, int]:
        """Second attempts, by outcome."""
        ...

    @property
    def now(self) -> float:
        """By the clock that engines' loads are stamped with, in seconds."""
        ...

    @property
    def buffers(self) -> dict[str, int]:
        """Bytes that are kept of requests, by what for."""
        ...

    @property
    def buffer_limits(self) -> dict[str, int]:
        """Up to how many bytes an answer is gathered, by model."""
        ...

    @property
    def turns(self) -> Histogram | None:
        """How long the reactor's turns took, where it says so."""
        ...

    @property
    def last_seen(self) -> float:
        """When the reactor last looked at its deadlines, in seconds since 1970."""
        ...

    @property
    def gc_pauses(self) -> dict[str, Histogram]:
        """The collector's pauses, by generation."""
        ...

    @property
    def upstreams(self) -> dict[str, int]:
        """Connections to replicas that are open, by C{idle} and C{busy}."""
        ...


class GatewayCollector(Collector):
    """Reads everything at once, in the reactor's thread, so that the numbers agree with each other."""

    def __init__(self, state: Gauged) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """All families."""
        metrics = self._state.metrics
        yield families.REQUESTS.of(metrics.requests)
        yield families.ERRORS.of(_from_the_start(ERROR_TYPES, metrics.errors))
        yield from self._models()
        yield families.OVERHEAD.of(_labelled(metrics.own))
        yield families.ATTEMPTS.of(metrics.attempts)
        yield families.HEDGES.of(_labelled(metrics.hedges))
        yield families.REPAIRS.of(_labelled(metrics.repairs))
        yield families.POLICY_FALLBACKS.of(metrics.policy_fallbacks)
        yield families.HEALS.of(_labelled(metrics.heals))
        yield families.SPOOLED.of(_labelled(metrics.spooled))
        yield families.LATE_EVENTS.of(_labelled(metrics.late_events))
        yield families.CLIENTS_DROPPED.of(_labelled(metrics.clients_dropped))
        yield families.CONFIG_RELOADS.of(_from_the_start(("taken", "refused"), metrics.reloads))
        yield families.TLS_HANDSHAKES.of(_labelled(metrics.handshakes))
        expires = metrics.certificate_expires
        yield families.TLS_EXPIRY.of({} if expires is None else {(): expires})
        yield families.ACCESS_LOG_DROPPED.of({(): metrics.access_log_dropped})
        yield families.SPANS_EXPORTED.of({(): metrics.spans_exported})
        yield families.SPANS_DROPPED.of(_labelled(metrics.spans_dropped))
        yield from self._gauges()
        yield from self._process()
        yield from self._engines()
        if metrics.genai is not None:
            yield from _genai(metrics.genai)

    def _models(self) -> Iterator[Metric]:
        models = self._state.metrics.models
        pairs = self._state.metrics.pairs
        yield families.DURATION.of(
            {(model, route): each for model, meters in models.items() for route, each in meters.durations.items()}
        )
        yield families.TTFT.of({(model,): meters.ttft for model, meters in models.items()})
        yield families.REPLICA_TTFT.of({pair: meters.ttft for pair, meters in pairs.items()})
        yield families.ITL.of({pair: meters.itl for pair, meters in pairs.items()})
        yield families.TPOT.of({(model,): meters.tpot for model, meters in models.items()})
        yield families.QUEUE_WAIT.of({(model,): meters.waits for model, meters in models.items()})
        yield families.TOKENS.of(
            {(model, kind): count for model, meters in models.items() for kind, count in meters.tokens.items()}
        )

    def _gauges(self) -> Iterator[Metric]:
        state = self._state
        replicas = state.fleet.replicas
        yield families.IN_FLIGHT.of(
            {
                (model, replica.name): count
                for replica in replicas
                for model, count in replica.load.by_model.items()
                if count or model in (replica.models or ())  # a model that it served once is no series for ever
            }
        )
        yield families.REPLICA_UP.of({(replica.name,): int(replica.up) for replica in replicas})
        yield families.BREAKER_STATE.of(
            {(replica.name,): _BREAKER_STATES[replica.health.breaker.state] for replica in replicas}
        )
        yield families.WAITING.of(_labelled(state.waiting))
        yield families.CLIENT_CONNECTIONS.of({(): state.clients})
        yield families.UPSTREAM_CONNECTIONS.of(_labelled(state.upstreams))
        yield families.BUFFERS.of(_labelled(state.buffers))
        yield families.SPOOL.of({(): state.metrics.spool_bytes})
        yield families.BUFFER_LIMIT.of(_labelled(state.buffer_limits))
        yield families.BUILD_INFO.of({(__version__,): 1})

    def _process(self) -> Iterator[Metric]:
        state = self._state
        turns = state.turns
        yield families.REACTOR_TICK.of({} if turns is None else {(): turns})
        yield families.LAST_SEEN.of({(): state.last_seen})
        yield families.GC_PAUSE.of(_labelled(state.gc_pauses))

    def _engines(self) -> Iterator[Metric]:
        """What engines say of themselves, under one set of names, while it is fresh."""
        now = self._state.now
        loads = {
            replica.name: load
            for replica in self._state.fleet.replicas
            if (load := replica.load.fresh_engine(now)) is not None
        }
        yield families.ENGINE_STRANGERS.of(
            {
                (replica.name,): replica.load.strangers(now)
                for replica in self._state.fleet.replicas
                if replica.name in loads
            }
        )
        for family, name in _ENGINES:
            yield family.of(
                {(replica,): value for replica, load in loads.items() if (value := getattr(load, name)) is not None}
            )


#: What an engine says of itself, and the field of L{EngineLoad} that has it.
_ENGINES: Final = (
    (families.ENGINE_RUNNING, "running"),
    (families.ENGINE_WAITING, "waiting"),
    (families.ENGINE_KV_USAGE, "kv_usage"),
    (families.ENGINE_PROMPT_TOKENS, "prompt_tokens"),
    (families.ENGINE_GENERATION_TOKENS, "generation_tokens"),
    (families.ENGINE_PREEMPTIONS, "preemptions"),
    (families.ENGINE_PREFIX_QUERIES, "prefix_cache_queries"),
    (families.ENGINE_PREFIX_HITS, "prefix_cache_hits"),
)

_BREAKER_STATES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Exposition(CollectorRegistry):
    """What is exposed.

    @ivar everyone: collects of all processes, where there are several.
    """

    def __init__(self) -> None:
        super().__init__(auto_describe=False)
        self.everyone: Collector | None = None

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        return iter(self.own() if self.everyone is None else self.everyone.collect())

    def own(self) -> Iterable[Metric]:
        """Of this process alone."""
        return super().collect()


def registry_of(state: Gauged, process: Collector | None = None) -> Exposition:
    """A registry of our own, with our collector in it, and what is said of every process under the usual names.

    @param process: finds the latter; C{None}: each time anew.
    """
    registry = Exposition()
    registry.register(GatewayCollector(state))
    registry.register(process or ProcessCollector(registry=None))
    return registry


def _genai(meters: GenaiMeters) -> Iterator[Metric]:
    durations = meters.durations()
    yield families.GENAI_TTFT.of(meters.ttft())
    yield families.GENAI_TPOT.of(meters.tpot())
    yield families.GENAI_SERVER_DURATION.of(durations)
    yield families.GENAI_CLIENT_DURATION.of(durations)
    yield families.GENAI_TOKEN_USAGE.of(meters.tokens())


def _from_the_start(names: Iterable[str], counts: Mapping[tuple[str], int]) -> dict[tuple[str], int]:
    """With zeros for what has not happened: a rate over the first time is one, too."""
    return {(name,): counts.get((name,), 0) for name in names}


def _labelled(values: Mapping[str, Any]) -> dict[tuple[str], Any]:
    """By the one label that there is."""
    return {(key,): value for key, value in values.items()}
