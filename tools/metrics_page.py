"""C{python -m tools.metrics_page}: write docs/metrics.md anew, out of what the metrics are declared to be.

A test says when it has to be run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aibrix_twisted.service.telemetry import families as f
from aibrix_twisted.service.telemetry.families import Family
from aibrix_twisted.service.telemetry.labels import values_of
from aibrix_twisted.service.telemetry.metrics import MAX_LABELS, MAX_ROWS

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"

_INTRO: Final = f"""\
# Metrics

Made by `python -m tools.metrics_page` out of `service/telemetry/families.py`; change it there.

The admin listener has them at `/metrics`, in Prometheus's text format and in OpenMetrics, whichever the scraper asks
for. [`deploy/prometheus/scrape.yml`](../deploy/prometheus/scrape.yml) is the job for Prometheus,
[`deploy/prometheus/alerts.yml`](../deploy/prometheus/alerts.yml) has alerts, and
[`deploy/grafana/`](../deploy/grafana) dashboards for Grafana 10 and later: import the files, and choose your data
source.

| dashboard | for |
|---|---|
| `overview.json` | is all well? what is asked, how it ends, how long it takes |
| `model.json` | one model: its latencies, its tokens, who waits |
| `replica.json` | one replica: what it is sent, how that ends, what its engine says of itself |
| `gateway.json` | the gateway itself: its own time, its event loop, memory, connections |

**Units** are seconds, bytes and tokens; ratios are 0 to 1. **Histograms** of time to first token, of gaps and of whole
requests have vLLM's own buckets, so that the engine's histograms can be taken from ours.

**Labels.** `model` is the name that an alias or a split led to; what no replica serves is `other`, whatever the client
called it. `replica` is its name in the configuration. `status` is what the client was given, 499 where it had left.
All other labels have the values that are listed here, and no others: never a user, a key, or the id of a request.

**Bounds.** {MAX_LABELS:,} models have numbers of their own, and {MAX_ROWS:,} pairs of a model and a replica; a counter
of several labels has {MAX_ROWS:,} rows. Whatever comes beyond is counted under `other` until the gateway is started
anew, so that a fleet that renames itself forever fills neither memory nor Prometheus. Gauges are of the fleet as it is.

**Whose fault?** `error_type` begins with it: `client_`, `policy_`, `engine_`, `gateway_`. What a client does is no
outage: compare `engine_.*` and `gateway_.*` with the requests. A client that leaves is `abandoned`, not complete. Its
error is `client_gone`, unless it left over one of an engine's: SDKs close as soon as they read an engine's error within a
stream, which is then `abandoned` among the requests and `engine_reported` among the errors.

**Processes.** The usual `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_open_fds`, `process_max_fds` and `process_start_time_seconds` are there, too (Linux).
"""

_GENAI_INTRO: Final = """
With `genai = true` in `[metrics]` the names of OpenTelemetry's semantic conventions for generative AI are there beside
ours, dots and units spelled as Prometheus does. They are of the same stamps, for requests that a replica was tried for.
A gateway is neither the model's server nor its client: `gen_ai_server_*` is the server as the gateway's clients see it,
`gen_ai_client_operation_duration_seconds` the very same measurement.

`gen_ai_provider_name` is always `openai`, for the family of APIs that is spoken, whichever engine answers.
`gen_ai_request_model` is our `model`, bounded like it. `error_type` is ours, and absent where nothing failed. A route
that the conventions have no operation for stands for itself. Buckets are the conventions'.
"""

_GROUPS: Final[dict[str, tuple[Family, ...]]] = {
    "Requests": (f.REQUESTS, f.ERRORS, f.DURATION, f.TTFT, f.TPOT, f.TOKENS, f.WAITING, f.QUEUE_WAIT),
    "Replicas": (
        f.REPLICA_UP, f.BREAKER_STATE, f.IN_FLIGHT, f.ATTEMPTS, f.REPLICA_TTFT, f.ITL, f.HEDGES, f.HEALS, f.POLICY_FALLBACKS,
        f.UPSTREAM_CONNECTIONS,
    ),
    "What engines say of themselves": (
        f.ENGINE_RUNNING, f.ENGINE_WAITING, f.ENGINE_STRANGERS, f.ENGINE_KV_USAGE, f.ENGINE_PROMPT_TOKENS, f.ENGINE_GENERATION_TOKENS,
        f.ENGINE_PREEMPTIONS, f.ENGINE_PREFIX_QUERIES, f.ENGINE_PREFIX_HITS,
    ),
    "The gateway itself": (
        f.OVERHEAD, f.REACTOR_TICK, f.LAST_SEEN, f.GC_PAUSE, f.CLIENT_CONNECTIONS, f.BUFFERS, f.BUFFER_LIMIT, f.SPOOL, f.REPAIRS,
        f.SPOOLED, f.LATE_EVENTS, f.CLIENTS_DROPPED, f.ACCESS_LOG_DROPPED, f.SPANS_EXPORTED, f.SPANS_DROPPED, f.TLS_HANDSHAKES, f.TLS_EXPIRY,
        f.CONFIG_RELOADS, f.BUILD_INFO,
    ),
    "OpenTelemetry's names": (
        f.GENAI_TTFT, f.GENAI_TPOT, f.GENAI_SERVER_DURATION, f.GENAI_CLIENT_DURATION, f.GENAI_TOKEN_USAGE,
    ),
}  # fmt: skip

#: What follows a group's heading.
_OF_GROUP: Final = {
    "What engines say of themselves": """
Read from each engine's own metrics, whatever it calls them, and given under one set of names while they are fresh; what
an engine does not say is not there, and is no zero. vLLM says all of it, SGLang, TensorRT-LLM and llama.cpp most.
""",
    "OpenTelemetry's names": _GENAI_INTRO,
}

#: Queries that are worth having, by metric.
QUERIES: Final[dict[Family, str]] = {
    f.REQUESTS: "sum by (outcome) (rate(aibrix_gateway_requests_total[5m]))",
    f.ERRORS: 'sum by (error_type) (rate(aibrix_gateway_errors_total{error_type=~"(engine|gateway)_.*"}[5m]))',
    f.DURATION: (
        "histogram_quantile(0.95, sum by (model, le) (rate(aibrix_gateway_request_duration_seconds_bucket[5m])))"
    ),
    f.TTFT: (
        "histogram_quantile(0.99, sum by (model, le) (rate(aibrix_gateway_time_to_first_token_seconds_bucket[5m])))"
    ),
    f.TOKENS: 'sum by (model) (rate(aibrix_gateway_tokens_total{kind="output"}[5m]))',
    f.QUEUE_WAIT: "histogram_quantile(0.95, sum by (model, le) (rate(aibrix_gateway_queue_wait_seconds_bucket[5m])))",
    f.IN_FLIGHT: "sum without (model) (aibrix_gateway_requests_in_flight) - aibrix_gateway_engine_requests_running",
    f.ATTEMPTS: 'sum by (replica) (rate(aibrix_gateway_attempts_total{outcome!="complete"}[5m]))',
    f.POLICY_FALLBACKS: "sum by (policy, reason) (rate(aibrix_gateway_policy_fallbacks_total[5m]))",
    f.ITL: (
        "histogram_quantile(0.99, sum by (replica, le) (rate(aibrix_gateway_inter_token_latency_seconds_bucket[5m])))"
    ),
    f.ENGINE_PREFIX_HITS: (
        "rate(aibrix_gateway_engine_prefix_cache_hits_total[5m])"
        " / rate(aibrix_gateway_engine_prefix_cache_queries_total[5m])"
    ),
    f.OVERHEAD: (
        'histogram_quantile(0.99, sum by (le) (rate(aibrix_gateway_overhead_seconds_bucket{phase="total"}[5m])))'
    ),
    f.REACTOR_TICK: "rate(aibrix_gateway_reactor_tick_seconds_sum[5m])",
    f.LAST_SEEN: "time() - aibrix_gateway_reactor_last_seen_seconds",
    f.GC_PAUSE: "sum by (instance) (rate(aibrix_gateway_gc_pause_seconds_sum[5m]))",
    f.GENAI_TOKEN_USAGE: ("sum by (gen_ai_request_model, gen_ai_token_type) (rate(gen_ai_client_token_usage_sum[5m]))"),
}


def page() -> str:
    """The whole of it.

    @raise ValueError: a metric is in no group, or in two.
    """
    grouped = [family for group in _GROUPS.values() for family in group]
    if sorted(family.exposed for family in grouped) != sorted(family.exposed for family in f.FAMILIES):
        raise ValueError("_GROUPS has not each family of families.py once")
    parts = [_INTRO]
    for name, group in _GROUPS.items():
        parts.append(f"\n## {name}\n{_OF_GROUP.get(name, '')}")
        parts += [_entry(family) for family in group]
    return "".join(parts)


def _entry(family: Family) -> str:
    lines = [f"\n### `{family.exposed}`\n", f"\n{family.text}\n", f"\n- {family.kind}{_unit(family)}\n"]
    for label in family.labels:
        values = values_of(family, label)
        shown = "" if values is None else ": " + _listed(values)
        lines.append(f"- `{label}`{shown}\n")
    if family.bounds:
        lines.append(f"- buckets: {', '.join(f'{bound:g}' for bound in family.bounds)}\n")
    if family in QUERIES:
        lines.append(f"\n```promql\n{QUERIES[family]}\n```\n")
    return "".join(lines)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" if value else "absent" for value in values)


def _unit(family: Family) -> str:
    for ending, unit in (("_seconds", "seconds"), ("_bytes", "bytes"), ("_ratio", "0 to 1"), ("_usage", "tokens")):
        if family.name.endswith(ending):
            return f", {unit}"
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
