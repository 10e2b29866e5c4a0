"""Every metric that the gateway exposes, declared once: its kind, its name, what it says, and its labels.

L{exposition} gives each of them its values; C{docs/metrics.md} is made of these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.telemetry.buckets import (
    DURATION_S,
    GENAI_DURATION_S,
    GENAI_TOKENS,
    GENAI_TPOT_S,
    GENAI_TTFT_S,
    ITL_S,
    OWN_S,
    PAUSE_S,
    TICK_S,
    TTFT_S,
)

PREFIX: Final = "aibrix_gateway_"

#: Of OpenTelemetry's names, where they are wanted.
GENAI_PREFIX: Final = "gen_ai_"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    @ivar name: without the prefix, and without the C{_total} that a counter is given.
    @ivar bounds: of a histogram's buckets.
    """

    kind: str
    name: str
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    prefix: str = PREFIX

    @property
    def exposed(self) -> str:
        """Its name as Prometheus has it."""
        return self.prefix + self.name + ("_total" if self.kind == "counter" else "")

    def of(self, values: Mapping[Any, Any]) -> Metric:
        """The metric with these values: numbers or L{Histogram}s, by the values of its labels in their order."""
        if self.kind == "histogram":
            return self._histogram(values)
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.prefix + self.name, self.text, labels=self.labels)
        for key, value in values.items():
            family.add_metric([str(part) for part in key], value)
        return family

    def _histogram(self, values: Mapping[Any, Histogram]) -> Metric:
        family = HistogramMetricFamily(self.prefix + self.name, self.text, labels=self.labels)
        for key, histogram in values.items():
            family.add_metric(list(key), histogram.buckets(), histogram.total)
        return family


FAMILIES: Final[list[Family]] = []


def _declared(kind: str, name: str, text: str, *labels: str, bounds: tuple[float, ...] = ()) -> Family:
    family = Family(kind, name, text, labels, bounds)
    FAMILIES.append(family)
    return family


def _genai(name: str, text: str, *labels: str, bounds: tuple[float, ...]) -> Family:
    common = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
    family = Family("histogram", name, text, (*common, *labels), bounds, GENAI_PREFIX)
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
    bounds=DURATION_S,
)
TTFT: Final = _declared(
    "histogram",
    "time_to_first_token_seconds",
    "From a whole request to the first byte of its streamed answer, as the client has it.",
    "model",
    bounds=TTFT_S,
)
REPLICA_TTFT: Final = _declared(
    "histogram",
    "replica_time_to_first_token_seconds",
    "From a request's sending to the first of its streamed answer, of each attempt.",
    "model",
    "replica",
    bounds=TTFT_S,
)
ITL: Final = _declared(
    "histogram",
    "inter_token_latency_seconds",
    "Between two reads of a stream that brought the client something; events that came in one read are no gap.",
    "model",
    "replica",
    bounds=ITL_S,
)
TPOT: Final = _declared(
    "histogram",
    "time_per_output_token_seconds",
    "From the first to the last of a stream, by the output tokens after the first, as the engine counts them.",
    "model",
    bounds=ITL_S,
)
OVERHEAD: Final = _declared(
    "histogram",
    "overhead_seconds",
    "The gateway's own time: to admit a request, to route it, to begin its answer, to finish it; total is their sum.",
    "phase",
    bounds=OWN_S,
)
QUEUE_WAIT: Final = _declared(
    "histogram",
    "queue_wait_seconds",
    "How long requests waited for a replica, of those that did.",
    "model",
    bounds=TTFT_S,
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
REPAIRS: Final = _declared(
    "counter",
    "repairs",
    "States of the gateway that disagreed and were put right, each a defect: see the log.",
    "kind",
)
HEALS: Final = _declared(
    "counter",
    "heals",
    "Streams that broke after they had begun, by what became of them: healed; refused, where no continuation could be "
    "shown to be right; no_replica, over_budget, failed; abandoned by the client meanwhile.",
    "outcome",
)
POLICY_FALLBACKS: Final = _declared(
    "counter", "policy_fallbacks", "Decisions without what the policy goes by, by what was missing.", "policy", "reason"
)
SPOOLED: Final = _declared(
    "counter",
    "spooled_answers",
    "Answers that went into a file, for their clients were too slow, by what became of them: taken whole; left by the "
    "client, or not taken any more; full, for it was more than may be there; failed, for the file could not be written "
    "or read; stopped, for the time was up.",
    "outcome",
)
LATE_EVENTS: Final = _declared(
    "counter", "late_events", "What came for a response that had ended, and changed nothing.", "event"
)
CLIENTS_DROPPED: Final = _declared(
    "counter",
    "clients_dropped",
    "Clients' connections that were closed without an answer: for others, as they were many and had asked for nothing; "
    "more than can even be told so; silent from the first; or with a head that did not come, many of them at once.",
    "reason",
)
CONFIG_RELOADS: Final = _declared("counter", "config_reloads", "Configurations re-read.", "outcome")
TLS_HANDSHAKES: Final = _declared(
    "counter",
    "tls_handshakes",
    "Clients' handshakes: complete; failed, for the two could not agree or a certificate was not believed; late; gone, "
    "for the client left.",
    "outcome",
)
TLS_EXPIRY: Final = _declared(
    "gauge",
    "tls_certificate_expiry_timestamp_seconds",
    "When the first of the certificates that clients are shown expires, in seconds since 1970; absent where there is "
    "none.",
)
ACCESS_LOG_DROPPED: Final = _declared("counter", "access_log_dropped", "Access log lines that could not be written.")
SPANS_EXPORTED: Final = _declared("counter", "spans_exported", "Spans that the receiver of traces took.")
SPANS_DROPPED: Final = _declared(
    "counter",
    "spans_dropped",
    "Spans that it did not get: full, for too many waited; failed, for it was away or refused them; stopped, for they "
    "were still waiting when tracing was turned off or the gateway stopped.",
    "reason",
)

IN_FLIGHT: Final = _declared("gauge", "requests_in_flight", "Attempts under way.", "model", "replica")
REPLICA_UP: Final = _declared("gauge", "replica_up", "Whether requests may be sent to it.", "replica")
BREAKER_STATE: Final = _declared("gauge", "breaker_state", "0: closed; 1: half-open; 2: open.", "replica")
WAITING: Final = _declared("gauge", "requests_waiting", "Requests that wait for a replica.", "model")
CLIENT_CONNECTIONS: Final = _declared("gauge", "client_connections", "Clients connected.")
UPSTREAM_CONNECTIONS: Final = _declared("gauge", "upstream_connections", "Connections to replicas.", "kind")
BUFFERS: Final = _declared(
    "gauge",
    "buffer_bytes",
    "What is kept for clients: requests that are read; answers that are gathered, and requests that may be sent again; "
    "kept, for healing; unsent; waiting, of these, in the waiting room.",
    "kind",
)
SPOOL: Final = _declared(
    "gauge", "spool_bytes", "What the files have, taken or not, in which answers wait for clients that are too slow."
)
BUFFER_LIMIT: Final = _declared(
    "gauge", "buffer_limit_bytes", "Up to this size an answer that is no stream is gathered before it begins.", "model"
)
BUILD_INFO: Final = _declared("gauge", "build_info", "1; the version is the label.", "version")

REACTOR_TICK: Final = _declared(
    "histogram",
    "reactor_tick_seconds",
    "What the event loop does between two waits; its sum grows by the share of time that the loop is busy.  Of the "
    "reactor that the gateway brings, on Linux.",
    bounds=TICK_S,
)
LAST_SEEN: Final = _declared(
    "gauge",
    "reactor_last_seen_seconds",
    "When the event loop last looked at its deadlines, every tenth of a second; seconds since 1970.",
)
GC_PAUSE: Final = _declared(
    "histogram",
    "gc_pause_seconds",
    "How long Python's collector of cycles stopped everything, by generation.",
    "kind",
    bounds=PAUSE_S,
)

ENGINE_RUNNING: Final = _declared("gauge", "engine_requests_running", "Requests that the engine computes.", "replica")
ENGINE_WAITING: Final = _declared(
    "gauge", "engine_requests_waiting", "Requests that wait inside the engine.", "replica"
)
ENGINE_STRANGERS: Final = _declared(
    "gauge", "engine_requests_unaccounted", "Requests that the engine has, and that are not this gateway's.", "replica"
)
ENGINE_KV_USAGE: Final = _declared("gauge", "engine_kv_cache_usage_ratio", "Of its key-value cache, 0 to 1.", "replica")
ENGINE_PROMPT_TOKENS: Final = _declared("counter", "engine_prompt_tokens", "Tokens taken in.", "replica")
ENGINE_GENERATION_TOKENS: Final = _declared("counter", "engine_generation_tokens", "Tokens made.", "replica")
ENGINE_PREEMPTIONS: Final = _declared("counter", "engine_preemptions", "Requests put back.", "replica")
ENGINE_PREFIX_QUERIES: Final = _declared(
    "counter", "engine_prefix_cache_queries", "Tokens looked for there.", "replica"
)
ENGINE_PREFIX_HITS: Final = _declared("counter", "engine_prefix_cache_hits", "Tokens found there.", "replica")

GENAI_TTFT: Final = _genai(
    "server_time_to_first_token_seconds",
    "gen_ai.server.time_to_first_token: of streams, from a whole request to the first byte of its answer.",
    bounds=GENAI_TTFT_S,
)
GENAI_TPOT: Final = _genai(
    "server_time_per_output_token_seconds",
    "gen_ai.server.time_per_output_token: of streams, after the first token.",
    bounds=GENAI_TPOT_S,
)
GENAI_SERVER_DURATION: Final = _genai(
    "server_request_duration_seconds",
    "gen_ai.server.request.duration: from a request's first byte to its end.",
    "error_type",
    bounds=GENAI_DURATION_S,
)
GENAI_CLIENT_DURATION: Final = _genai(
    "client_operation_duration_seconds",
    "gen_ai.client.operation.duration: the same measurement, under the name that a client of engines has for it.",
    "error_type",
    bounds=GENAI_DURATION_S,
)
GENAI_TOKEN_USAGE: Final = _genai(
    "client_token_usage",
    "gen_ai.client.token.usage: tokens of a request, by what the engine says of usage.",
    "gen_ai_token_type",
    bounds=GENAI_TOKENS,
)
