"""The metrics as Prometheus reads them: one collector that makes families out of plain numbers when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from aibrix_twisted import __version__
from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.service.telemetry.histogram import Histogram
from aibrix_twisted.service.telemetry.metrics import Metrics

PREFIX: Final = "aibrix_gateway_"


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
        yield _counter(
            "requests", "Exchanges that are over.", ("model", "route", "status", "outcome"), metrics.requests
        )
        yield _histogram(
            "request_duration_seconds",
            "From a request's first byte to its end, where a replica was tried.",
            ("model", "route"),
            metrics.durations,
        )
        yield _histogram(
            "time_to_first_token_seconds",
            "From a whole request to the first byte of its streamed answer, as the client has it.",
            ("model",),
            metrics.ttfts,
        )
        yield _histogram(
            "queue_wait_seconds",
            "How long requests waited for a replica, of those that did.",
            ("model",),
            metrics.waits,
        )
        yield _counter("tokens", "Tokens, by what the engines say of usage.", ("model", "kind"), metrics.tokens)
        yield _counter("errors", "Exchanges that ended with an error.", ("error_type",), metrics.errors)
        yield _counter("attempts", "Attempts that are over.", ("replica", "outcome"), metrics.attempts)
        yield _counter(
            "hedges",
            "Second attempts beside one that was late: which of the two was first.",
            ("outcome",),
            {(outcome,): count for outcome, count in self._state.hedges.items()},
        )
        yield _counter(
            "late_events",
            "What came for a response that had ended, and changed nothing.",
            ("event",),
            {(event,): count for event, count in metrics.late_events.items()},
        )
        yield _counter("config_reloads", "Configurations re-read.", ("outcome",), metrics.reloads)
        yield _counter(
            "access_log_dropped", "Access log lines that could not be written.", (), {(): metrics.access_log_dropped}
        )
        yield from self._gauges()
        yield from self._engines()

    def _gauges(self) -> Iterator[Metric]:
        replicas = self._state.fleet.replicas
        yield _gauge(
            "requests_in_flight",
            "Attempts under way.",
            ("model", "replica"),
            {(model, replica.name): count for replica in replicas for model, count in replica.load.by_model.items()},
        )
        yield _gauge(
            "replica_up",
            "Whether requests may be sent to it.",
            ("replica",),
            {(replica.name,): int(replica.up) for replica in replicas},
        )
        yield _gauge(
            "breaker_state",
            "0: closed; 1: half-open; 2: open.",
            ("replica",),
            {(replica.name,): _BREAKER_STATES[replica.health.breaker.state] for replica in replicas},
        )
        yield _gauge(
            "requests_waiting",
            "Requests that wait for a replica.",
            ("model",),
            {(model,): count for model, count in self._state.waiting.items()},
        )
        yield _gauge("client_connections", "Clients connected.", (), {(): self._state.clients})
        yield _gauge(
            "upstream_connections",
            "Connections to replicas.",
            ("kind",),
            {(kind,): count for kind, count in self._state.upstreams.items()},
        )
        yield _gauge("build_info", "1; the version is the label.", ("version",), {(__version__,): 1})

    def _engines(self) -> Iterator[Metric]:
        """What engines say of themselves, under one set of names, while it is fresh."""
        now = self._state.now
        loads = {
            replica.name: load
            for replica in self._state.fleet.replicas
            if (load := replica.load.fresh_engine(now)) is not None
        }

        def said(name: str) -> dict[tuple[str], float]:
            return {(replica,): value for replica, load in loads.items() if (value := getattr(load, name)) is not None}

        yield _gauge("engine_requests_running", "Requests that the engine computes.", ("replica",), said("running"))
        yield _gauge("engine_requests_waiting", "Requests that wait inside the engine.", ("replica",), said("waiting"))
        yield _gauge("engine_kv_cache_usage_ratio", "Of its key-value cache, 0 to 1.", ("replica",), said("kv_usage"))
        yield _counter("engine_prompt_tokens", "Tokens taken in.", ("replica",), said("prompt_tokens"))
        yield _counter("engine_generation_tokens", "Tokens made.", ("replica",), said("generation_tokens"))
        yield _counter("engine_preemptions", "Requests put back.", ("replica",), said("preemptions"))
        yield _counter(
            "engine_prefix_cache_queries", "Tokens looked for there.", ("replica",), said("prefix_cache_queries")
        )
        yield _counter("engine_prefix_cache_hits", "Tokens found there.", ("replica",), said("prefix_cache_hits"))


_BREAKER_STATES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def registry_of(state: Gauged) -> CollectorRegistry:
    """A registry of our own, with nothing in it but our collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(GatewayCollector(state))
    return registry


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], value)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, Histogram]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for key, histogram in values.items():
        family.add_metric(list(key), histogram.buckets(), histogram.total)
    return family
