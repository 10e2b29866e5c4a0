"""Figures: how the gateway is now, and how it did over the last seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from aibrix_twisted import __version__
from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.histogram import quantile
from aibrix_twisted.domain.live import LiveState, state_of
from aibrix_twisted.service.admin.fleet import FleetDesk
from aibrix_twisted.service.admin.look import Seen, timestamp
from aibrix_twisted.service.admin.stats_shapes import (
    AllRates,
    Facts,
    FleetNow,
    LiveModel,
    ModelStats,
    Quantiles,
    Rates,
    ReplicaRates,
    Stats,
)
from aibrix_twisted.service.telemetry.recent import BOUNDS, Window

#: Attempts of these outcomes are no failure of the replica.
_WELL = (Outcome.COMPLETE, Outcome.ABANDONED)


def stats_document(seen: Seen) -> Stats:
    """The whole gateway."""
    last_10s, last_60s = seen.recent.last(10), seen.recent.last(60)
    facts = _together([facts_of(seen), *seen.facts_elsewhere()])
    models = sorted({key[1] for key in last_60s.counts if key[0] == "requests"})
    by_model: list[ModelStats] = [
        {"name": name, "last_10s": rates_of(last_10s, name), "last_60s": rates_of(last_60s, name)} for name in models
    ]
    return {
        "version": __version__,
        "now": timestamp(seen.wall()),
        "uptime_s": round(seen.uptime_s, 1),
        "ready": seen.readiness()[0],
        "draining": seen.draining,
        **facts,
        "last_10s": _all_rates(last_10s),
        "last_60s": _all_rates(last_60s),
        "models": by_model,
    }


def facts_of(seen: Seen) -> Facts:
    """What is so of this process alone."""
    states, upstreams = Counter(map(state_of, seen.book.current)), seen.upstreams
    return {
        "under_way": len(seen.book.current),
        "states": {state.value: states[state] for state in LiveState if state is not LiveState.OVER},
        "in_flight": sum(replica.load.in_flight for replica in seen.fleet.replicas),
        "waiting": seen.waiting,
        "ended": seen.book.ended,
        "connections": {
            "clients": seen.clients,
            "upstream_idle": upstreams["idle"],
            "upstream_busy": upstreams["busy"],
        },
        "rss_bytes": seen.rss_bytes,
    }


def _together(all_facts: Sequence[Facts]) -> Facts:
    """Of several processes: everything is added up."""
    first, *others = all_facts
    for other in others:
        first = {
            "under_way": first["under_way"] + other["under_way"],
            "states": _added(first["states"], other["states"]),
            "in_flight": first["in_flight"] + other["in_flight"],
            "waiting": _added(first["waiting"], other["waiting"]),
            "ended": first["ended"] + other["ended"],
            "connections": {
                "clients": first["connections"]["clients"] + other["connections"]["clients"],
                "upstream_idle": first["connections"]["upstream_idle"] + other["connections"]["upstream_idle"],
                "upstream_busy": first["connections"]["upstream_busy"] + other["connections"]["upstream_busy"],
            },
            "rss_bytes": (first["rss_bytes"] or 0) + (other["rss_bytes"] or 0) or None,
        }
    return first


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def fleet_document(seen: Seen, desk: FleetDesk) -> FleetNow:
    """Replicas and models, with what is under way and what came of it lately."""
    told, window, waiting = desk.replicas(), seen.recent.last(10), seen.waiting
    in_flight: Counter[str] = Counter()
    for replica in seen.fleet.replicas:
        in_flight.update(replica.load.by_model)
    models: list[LiveModel] = [
        {**model, "in_flight": in_flight[model["name"]], "waiting": waiting.get(model["name"], 0)}
        for model in desk.models()["models"]
    ]
    return {
        "now": timestamp(seen.wall()),
        "replicas": [{**facts, "last_10s": _replica_rates(window, facts["name"])} for facts in told["replicas"]],
        "models": models,
        "problems": told["problems"],
    }


def rates_of(window: Window, model: str | None) -> Rates:
    """Of one model, or of all."""
    return {
        "seconds": round(window.seconds, 3),
        "requests_per_s": _rate(window, window.total("requests", model)),
        "outcomes_per_s": _each(window, window.by(1, "requests", model)),
        "statuses_per_s": _each(window, window.by(2, "requests", model)),
        "input_tokens_per_s": _rate(window, window.total("tokens", model, "input")),
        "output_tokens_per_s": _rate(window, window.total("tokens", model, "output")),
        "ttft_s": _quantiles(window, "ttft", model),
        "itl_s": _quantiles(window, "itl", model),
        "tpot_s": _quantiles(window, "tpot", model),
        "duration_s": _quantiles(window, "duration", model),
        "queued_s": _quantiles(window, "queued", model),
    }


def _all_rates(window: Window) -> AllRates:
    errors = _each(window, window.by(0, "errors"))
    return {**rates_of(window, None), "errors_per_s": errors, "own_s": _quantiles(window, "own")}


def _replica_rates(window: Window, name: str) -> ReplicaRates:
    ended = window.by(1, "attempts", name)
    failed = sum(count for outcome, count in ended.items() if outcome not in _WELL)
    return {
        "seconds": round(window.seconds, 3),
        "attempts_per_s": _rate(window, sum(ended.values())),
        "failed_per_s": _rate(window, failed),
        "ttft_s": _quantiles(window, "replica_ttft", None, name),
        "itl_s": _quantiles(window, "itl", None, name),
    }


def _rate(window: Window, count: float) -> float:
    return round(count / window.seconds, 3) if window.seconds else 0.0


def _each(window: Window, counts: dict[str, int]) -> dict[str, float]:
    return {name: _rate(window, count) for name, count in counts.items()}


def _quantiles(window: Window, kind: str, *of: str | None) -> Quantiles | None:
    counts = window.distribution(kind, *of)
    if not any(counts):
        return None
    p50, p90, p99 = (round(quantile(BOUNDS[kind], counts, share), 6) for share in (0.5, 0.9, 0.99))
    return {"count": sum(counts), "p50": p50, "p90": p90, "p99": p99}
