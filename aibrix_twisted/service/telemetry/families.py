"""Every metric that the gateway exposes, declared once: its kind, its name, what it says, and its labels.

L{exposition} gives each of them its values; C{docs/metrics.md} is made of these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from aibrix_twisted.service.telemetry.histogram import Histogram

PREFIX: Final = "aibrix_gateway_"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    @ivar name: without the prefix, and without the C{_total} that a counter is given.
    """

    kind: str
    name: str
    text: str
    labels: tuple[str, ...] = ()

    @property
    def exposed(self) -> str:
        """Its name as Prometheus has it."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")

    def of(self, values: Mapping[Any, Any]) -> Metric:
        """The metric with these values: numbers or L{Histogram}s, by the values of its labels in their order."""
        if self.kind == "histogram":
            return self._histogram(values)
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(PREFIX + self.name, self.text, labels=self.labels)
        for key, value in values.items():
            family.add_metric([str(part) for part in key], value)
        return family

    def _histogram(self, values: Mapping[Any, Histogram]) -> Metric:
        family = HistogramMetricFamily(PREFIX + self.name, self.text, labels=self.labels)
        for key, histogram in values.items():
            family.add_metric(list(key), histogram.buckets(), histogram.total)
        return family


FAMILIES: Final[list[Family]] = []


def _declared(kind: str, name: str, text: str, *labels: str) -> Family:
    family = Family(kind, name, text, labels)
    FAMILIES.append(family)
    return family


REQUESTS: Final = _declared(
    "counter",
    "requests",
    "Exchanges that are over, by how they ended: complete; malformed, truncated or broken by the engine; abandoned by "
    "the client; timed_out; refused by the gateway.",
    "model",
    "route",
    "status",
    "outcome",
)
ERRORS: Final = _declared(
    "counter",
    "errors",
    "Exchanges that ended with an error, by whose it is: client_*, policy_*, engine_*, gateway_*.",
    "error_type",
)
DURATION: Final = _declared(
    "histogram",
    "request_duration_seconds",
    "From a request's first byte to its end, where a replica was tried.",
    "model",
    "route",
)
TTFT: Final = _declared(
    "histogram",
    "time_to_first_token_seconds",
    "From a whole request to the first byte of its streamed answer, as the client has it.",
    "model",
)
REPLICA_TTFT: Final = _declared(
    "histogram",
    "replica_time_to_first_token_seconds",
    "From a request's sending to the first of its streamed answer, of each attempt.",
    "model",
    "replica",
)
ITL: Final = _declared(
    "histogram",
    "inter_token_latency_seconds",
    "Between two reads of a stream that brought the client something; events that came in one read are no gap.",
    "model",
    "replica",
)
TPOT: Final = _declared(
    "histogram",
    "time_per_output_token_seconds",
    "From the first to the last of a stream, by the output tokens after the first, as the engine counts them.",
    "model",
)
OVERHEAD: Final = _declared(
    "histogram",
    "overhead_seconds",
    "The gateway's own time: to admit a request, to route it, to begin its answer, to finish it; total is their sum.",
    "phase",
)
QUEUE_WAIT: Final = _declared(
    "histogram", "queue_wait_seconds", "How long requests waited for a replica, of those that did.", "model"
)
TOKENS: Final = _declared(
    "counter",
    "tokens",
    "Tokens, by what the engines say of usage; output_events are events of streams whose engine said nothing.",
    "model",
    "kind",
)
ATTEMPTS: Final = _declared("counter", "attempts", "Attempts that are over.", "replica", "outcome")
HEDGES: Final = _declared(
    "counter", "hedges", "Second attempts beside one that was late: which of the two was first.", "outcome"
)
LATE_EVENTS: Final = _declared(
    "counter", "late_events", "What came for a response that had ended, and changed nothing.", "event"
)
CONFIG_RELOADS: Final = _declared("counter", "config_reloads", "Configurations re-read.", "outcome")
ACCESS_LOG_DROPPED: Final = _declared("counter", "access_log_dropped", "Access log lines that could not be written.")

IN_FLIGHT: Final = _declared("gauge", "requests_in_flight", "Attempts under way.", "model", "replica")
REPLICA_UP: Final = _declared("gauge", "replica_up", "Whether requests may be sent to it.", "replica")
BREAKER_STATE: Final = _declared("gauge", "breaker_state", "0: closed; 1: half-open; 2: open.", "replica")
WAITING: Final = _declared("gauge", "requests_waiting", "Requests that wait for a replica.", "model")
CLIENT_CONNECTIONS: Final = _declared("gauge", "client_connections", "Clients connected.")
UPSTREAM_CONNECTIONS: Final = _declared("gauge", "upstream_connections", "Connections to replicas.", "kind")
BUILD_INFO: Final = _declared("gauge", "build_info", "1; the version is the label.", "version")

ENGINE_RUNNING: Final = _declared("gauge", "engine_requests_running", "Requests that the engine computes.", "replica")
ENGINE_WAITING: Final = _declared(
    "gauge", "engine_requests_waiting", "Requests that wait inside the engine.", "replica"
)
ENGINE_KV_USAGE: Final = _declared("gauge", "engine_kv_cache_usage_ratio", "Of its key-value cache, 0 to 1.", "replica")
ENGINE_PROMPT_TOKENS: Final = _declared("counter", "engine_prompt_tokens", "Tokens taken in.", "replica")
ENGINE_GENERATION_TOKENS: Final = _declared("counter", "engine_generation_tokens", "Tokens made.", "replica")
ENGINE_PREEMPTIONS: Final = _declared("counter", "engine_preemptions", "Requests put back.", "replica")
ENGINE_PREFIX_QUERIES: Final = _declared(
    "counter", "engine_prefix_cache_queries", "Tokens looked for there.", "replica"
)
ENGINE_PREFIX_HITS: Final = _declared("counter", "engine_prefix_cache_hits", "Tokens found there.", "replica")
