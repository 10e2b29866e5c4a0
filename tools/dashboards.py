"""C{python -m tools.dashboards}: write deploy/grafana/ anew.

Dashboards are long documents that say little: what is shown, and by which query, stands here.  A test says when this has
to be run, and asks a real Prometheus every query.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "deploy" / "grafana"

#: Grafana divides a row into this many columns.
_COLUMNS: Final = 24
_HEIGHT: Final = 8

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One picture.

    @ivar queries: PromQL, and what a line of it is called.
    @ivar unit: one of Grafana's.
    @ivar width: of 24 columns.
    @ivar kind: C{timeseries}, C{stat}, C{heatmap} or C{state-timeline}.
    @ivar stacked: lines are added up.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    text: str = ""
    width: int = 8
    kind: str = "timeseries"
    stacked: bool = False
    names: tuple[tuple[str, str], ...] = ()


Rows = tuple[tuple[str, tuple[Panel, ...]], ...]

#: What every query is narrowed to.
_AT: Final = 'job=~"$job", instance=~"$instance"'


def _rate(metric: str, by: str = "", more: str = "") -> str:
    """Of a counter, per second, added up."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate(aibrix_gateway_{metric}{{{_AT}{more}}}[$__rate_interval]))"


def _quantiles(metric: str, by: str = "", more: str = "", *, of: tuple[float, ...] = (0.5, 0.99)) -> Any:
    """Of a histogram; by label where one is given."""
    grouped = f"le, {by}" if by else "le"
    suffix = f" {{{{{by}}}}}" if by else ""
    rate = f"sum by ({grouped}) (rate(aibrix_gateway_{metric}_bucket{{{_AT}{more}}}[$__rate_interval]))"
    return tuple((f"histogram_quantile({each}, {rate})", f"p{each * 100:g}{suffix}") for each in of)


def _gauge(metric: str, by: str = "", more: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (aibrix_gateway_{metric}{{{_AT}{more}}})"


def _heat(metric: str, more: str = "") -> tuple[tuple[str, str], ...]:
    return ((f"sum by (le) (rate(aibrix_gateway_{metric}_bucket{{{_AT}{more}}}[$__rate_interval]))", "{{le}}"),)


#: Requests that are about models: not probes, not lists of models.
_WORK: Final = ', route!~"healthz|readyz|models|other"'
_WHOLE: Final = _WORK + ', outcome="complete"'
_MODEL: Final = ', model=~"$model"'
_REPLICA: Final = ', replica=~"$replica"'
_FAULT: Final = (
    f'sum by (fault) (label_replace(rate(aibrix_gateway_errors_total{{{_AT}, error_type!="client_gone"}}'
    '[$__rate_interval]), "fault", "$1", "error_type", "([a-z]+)_.*"))'
)

_OVERVIEW: Final[Rows] = (
    (
        "Now",
        (
            Panel("Replicas up", ((_gauge("replica_up"), "up"), (f"count(aibrix_gateway_replica_up{{{_AT}}})", "known")),
                  width=6, kind="stat"),
            Panel("In flight", ((_gauge("requests_in_flight"), "in flight"),), width=6, kind="stat"),
            Panel("Waiting", ((_gauge("requests_waiting") + " or vector(0)", "waiting"),), width=6, kind="stat"),
            Panel("Complete", ((f'{_rate("requests_total", more=_WHOLE)} / {_rate("requests_total", more=_WORK)}', "complete"),),
                  "percentunit", "Of all requests for models.", width=6, kind="stat"),
        ),
    ),
    (
        "Requests",
        (
            Panel("By outcome", ((_rate("requests_total", "outcome", _WORK), "{{outcome}}"),), "reqps", stacked=True),
            Panel("Errors by whose fault", ((_FAULT, "{{fault}}"),), "reqps",
                  "Clients that leave are no error here: they are an outcome.", stacked=True),
            Panel("By model", ((_rate("requests_total", "model", _WORK), "{{model}}"),), "reqps", stacked=True),
        ),
    ),
    (
        "Latency",
        (
            Panel("Time to first token", _quantiles("time_to_first_token_seconds", "model"), "s",
                  "From a whole request to the first byte of its streamed answer."),
            Panel("Between reads of a stream", _quantiles("inter_token_latency_seconds"), "s"),
            Panel("Whole requests", _quantiles("request_duration_seconds", "model"), "s"),
        ),
    ),
    (
        "Work",
        (
            Panel("Tokens", ((_rate("tokens_total", "kind"), "{{kind}}"),), "short", "Per second."),
            Panel("In flight", ((_gauge("requests_in_flight", "replica"), "{{replica}}"),), stacked=True),
            Panel("The gateway's own time", _quantiles("overhead_seconds", more=', phase="total"'), "s",
                  "What the gateway added to a request, all phases together."),
        ),
    ),
)  # fmt: skip

_OF_MODEL: Final[Rows] = (
    (
        "Requests",
        (
            Panel("By outcome", ((_rate("requests_total", "outcome", _MODEL), "{{outcome}}"),), "reqps", stacked=True),
            Panel("By status", ((_rate("requests_total", "status", _MODEL), "{{status}}"),), "reqps", stacked=True),
            Panel("By route", ((_rate("requests_total", "route", _MODEL), "{{route}}"),), "reqps", stacked=True),
        ),
    ),
    (
        "Streams, as clients have them",
        (
            Panel("Time to first token", _heat("time_to_first_token_seconds", _MODEL), "s", kind="heatmap"),
            Panel("Time to first token", _quantiles("time_to_first_token_seconds", more=_MODEL, of=(0.5, 0.9, 0.99)), "s"),
            Panel("Time per output token", _quantiles("time_per_output_token_seconds", more=_MODEL, of=(0.5, 0.9, 0.99)),
                  "s"),
        ),
    ),
    (
        "By replica",
        (
            Panel("Time to first token, p99",
                  _quantiles("replica_time_to_first_token_seconds", "replica", _MODEL, of=(0.99,)), "s",
                  "From the sending to the replica: without the waiting here."),
            Panel("Between reads of a stream, p99",
                  _quantiles("inter_token_latency_seconds", "replica", _MODEL, of=(0.99,)), "s"),
            Panel("In flight", ((_gauge("requests_in_flight", "replica", _MODEL), "{{replica}}"),), stacked=True),
        ),
    ),
    (
        "Work and waiting",
        (
            Panel("Tokens", ((_rate("tokens_total", "kind", _MODEL), "{{kind}}"),), "short", "Per second."),
            Panel("Tokens of a request",
                  ((f'{_rate("tokens_total", "kind", _MODEL)} / ignoring(kind) group_left '
                    f'{_rate("requests_total", more=_MODEL)}', "{{kind}}"),), "short", "On average."),
            Panel("Waited for a replica", _quantiles("queue_wait_seconds", more=_MODEL, of=(0.5, 0.95)), "s",
                  "Of the requests that had to."),
            Panel("Whole requests", _quantiles("request_duration_seconds", more=_MODEL, of=(0.5, 0.9, 0.99)), "s"),
            Panel("Waiting", ((_gauge("requests_waiting", more=_MODEL) + " or vector(0)", "waiting"),)),
        ),
    ),
)  # fmt: skip

_OF_REPLICA: Final[Rows] = (
    (
        "Health",
        (
            Panel("Up", ((f"aibrix_gateway_replica_up{{{_AT}{_REPLICA}}}", "{{replica}}"),), width=12,
                  kind="state-timeline", names=(("0", "down"), ("1", "up"))),
            Panel("Breaker", ((f"aibrix_gateway_breaker_state{{{_AT}{_REPLICA}}}", "{{replica}}"),), width=12,
                  kind="state-timeline", names=(("0", "closed"), ("1", "half-open"), ("2", "open"))),
        ),
    ),
    (
        "What it is sent",
        (
            Panel("Attempts by outcome", ((_rate("attempts_total", "outcome", _REPLICA), "{{outcome}}"),), "reqps",
                  stacked=True),
            Panel("In flight by model", ((_gauge("requests_in_flight", "model", _REPLICA), "{{model}}"),), stacked=True),
            Panel("Ours and the engine's count",
                  ((_gauge("requests_in_flight", "replica", _REPLICA), "{{replica}}: in flight"),
                   (_gauge("engine_requests_running", "replica", _REPLICA), "{{replica}}: computed"),
                   (_gauge("engine_requests_waiting", "replica", _REPLICA), "{{replica}}: wait inside"))),
            Panel("Time to first token", _quantiles("replica_time_to_first_token_seconds", "replica", _REPLICA), "s"),
            Panel("Between reads of a stream", _quantiles("inter_token_latency_seconds", "replica", _REPLICA), "s"),
            Panel("Gaps", _heat("inter_token_latency_seconds", _REPLICA), "s", kind="heatmap"),
        ),
    ),
    (
        "What its engine says",
        (
            Panel("Key-value cache", ((f"aibrix_gateway_engine_kv_cache_usage_ratio{{{_AT}{_REPLICA}}}", "{{replica}}"),),
                  "percentunit"),
            Panel("Found in the prefix cache",
                  ((f'{_rate("engine_prefix_cache_hits_total", "replica", _REPLICA)}'
                    f' / {_rate("engine_prefix_cache_queries_total", "replica", _REPLICA)}', "{{replica}}"),),
                  "percentunit", "Of the tokens that were looked for."),
            Panel("Tokens",
                  ((_rate("engine_prompt_tokens_total", "replica", _REPLICA), "{{replica}}: in"),
                   (_rate("engine_generation_tokens_total", "replica", _REPLICA), "{{replica}}: out")), "short",
                  "Per second, whoever asked for them."),
            Panel("Put back", ((_rate("engine_preemptions_total", "replica", _REPLICA), "{{replica}}"),), "reqps",
                  "Requests that lost their place in the cache."),
        ),
    ),
)  # fmt: skip

_OF_GATEWAY: Final[Rows] = (
    (
        "Its own time",
        (
            Panel("By phase, p99", _quantiles("overhead_seconds", "phase", of=(0.99,)), "s"),
            Panel("All phases", _quantiles("overhead_seconds", more=', phase="total"', of=(0.5, 0.99, 0.999)), "s"),
            Panel("All phases", _heat("overhead_seconds", ', phase="total"'), "s", kind="heatmap"),
        ),
    ),
    (
        "The event loop",
        (
            Panel("Busy", ((_rate("reactor_tick_seconds_sum", "instance"), "{{instance}}"),), "percentunit",
                  "Of one core; near 1, another gateway is needed."),
            Panel("Turns", _quantiles("reactor_tick_seconds", "instance", of=(0.999,)), "s",
                  "While a turn lasts, nothing else is done.  Below a millisecond all is one bucket."),
            Panel("Collector of cycles", ((_rate("gc_pause_seconds_sum", "kind"), "generation {{kind}}"),), "percentunit",
                  "Of the time."),
            Panel("Not seen for",
                  ((f"time() - aibrix_gateway_reactor_last_seen_seconds{{{_AT}}}", "{{instance}}"),), "s"),
            Panel("Collector's pauses, p99", _quantiles("gc_pause_seconds", "kind", of=(0.99,)), "s"),
            Panel("Late events", ((_rate("late_events_total", "event"), "{{event}}"),), "ops",
                  "What came for a response that was over, and changed nothing."),
        ),
    ),
    (
        "Process",
        (
            Panel("CPU", ((f"sum by (instance) (rate(process_cpu_seconds_total{{{_AT}}}[$__rate_interval]))",
                           "{{instance}}"),), "percentunit"),
            Panel("Memory", ((f"process_resident_memory_bytes{{{_AT}}}", "{{instance}}"),), "bytes"),
            Panel("File descriptors", ((f"process_open_fds{{{_AT}}}", "{{instance}}: open"),
                                       (f"process_max_fds{{{_AT}}}", "{{instance}}: at most"))),
            Panel("Connections",
                  ((_gauge("client_connections"), "clients"),
                   (_gauge("upstream_connections", "kind"), "to replicas, {{kind}}"))),
            Panel("Kept of requests", ((_gauge("buffer_bytes", "kind"), "{{kind}}"),), "bytes"),
            Panel("Running since", ((f"process_start_time_seconds{{{_AT}}} * 1000", "{{instance}}"),), "dateTimeAsIso",
                  kind="stat"),
        ),
    ),
    (
        "Faults",
        (
            Panel("Errors by type", ((_rate("errors_total", "error_type"), "{{error_type}}"),), "reqps", stacked=True),
            Panel("Second attempts", ((_rate("hedges_total", "outcome"), "{{outcome}}"),), "reqps"),
            Panel("Configurations read, log lines dropped",
                  ((f"sum by (outcome) (increase(aibrix_gateway_config_reloads_total{{{_AT}}}[$__rate_interval]))",
                    "{{outcome}}"),
                   (f"sum(increase(aibrix_gateway_access_log_dropped_total{{{_AT}}}[$__rate_interval]))", "dropped"))),
            Panel("Spans", ((_rate("spans_exported_total"), "exported"),
                            (_rate("spans_dropped_total", "reason"), "dropped: {{reason}}")), "ops"),
            Panel("Put right", ((_rate("repairs_total", "kind"), "{{kind}}"),), "ops",
                  "States that disagreed.  Anything but nothing is a defect."),
            Panel("Versions", ((f"count by (version) (aibrix_gateway_build_info{{{_AT}}})", "{{version}}"),), kind="stat"),
        ),
    ),
)  # fmt: skip

#: File, title, a label that is chosen besides the instance, and what is shown.
_ALL: Final[tuple[tuple[str, str, str, Rows], ...]] = (
    ("overview", "AIBrix gateway: overview", "", _OVERVIEW),
    ("model", "AIBrix gateway: a model", "model", _OF_MODEL),
    ("replica", "AIBrix gateway: a replica", "replica", _OF_REPLICA),
    ("gateway", "AIBrix gateway: itself", "", _OF_GATEWAY),
)

#: The metric whose series say which values there are.
_VALUES_OF: Final = {"model": "aibrix_gateway_requests_total", "replica": "aibrix_gateway_replica_up"}


def documents() -> dict[str, str]:
    """Each file's name and content."""
    return {
        f"{name}.json": json.dumps(_dashboard(name, title, label, rows), indent=1) + "\n"
        for name, title, label, rows in _ALL
    }


def _dashboard(name: str, title: str, label: str, rows: Rows) -> dict[str, Any]:
    variables = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        _variable("job", "aibrix_gateway_build_info", all_of_them=False),
        _variable("instance", 'aibrix_gateway_build_info{job=~"$job"}'),
    ]
    if label:
        variables.append(_variable(label, f"{_VALUES_OF[label]}{{{_AT}}}"))
    links = [
        {"type": "dashboards", "title": "AIBrix", "tags": ["aibrix"], "asDropdown": True, "includeVars": True,
         "keepTime": True}
    ]  # fmt: skip
    return {
        "uid": f"aibrix-{name}",
        "title": title,
        "tags": ["aibrix"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": links,
        "templating": {"list": variables},
        "panels": _panels(rows),
    }


def _variable(label: str, metric: str, *, all_of_them: bool = True) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": all_of_them,
        "includeAll": all_of_them,
        **({"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}} if all_of_them else {}),
    }


def _panels(rows: Rows) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for title, pictures in rows:
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        y, x = y + 1, 0
        height = 5 if all(panel.kind == "stat" for panel in pictures) else _HEIGHT
        for panel in pictures:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + height
            panels.append(_panel(panel, len(panels) + 1, {"x": x, "y": y, "w": panel.width, "h": height}))
            x += panel.width
        y += height
    return panels


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": _SOURCE,
            "expr": expr,
            "legendFormat": legend,
            "instant": panel.kind == "stat",
            "range": panel.kind != "stat",
            "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        }
        for at, (expr, legend) in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.unit == "percentunit":
        defaults |= {"min": 0, "max": 1} if panel.kind == "stat" else {"min": 0}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "showPoints": "never",
        }
    if panel.names:
        options = {value: {"text": text, "index": int(value)} for value, text in panel.names}
        defaults["mappings"] = [{"type": "value", "options": options}]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "yAxis": {"unit": panel.unit},
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "cellGap": 1,
            "tooltip": {"show": True},
            "legend": {"show": True},
        }
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
    return {"showValue": "auto", "mergeValues": True}


if __name__ == "__main__":
    for name, content in documents().items():
        (FOLDER / name).write_text(content, "utf-8")
