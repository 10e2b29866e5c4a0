"""Numbers of several processes, made into those of one gateway.

Metrics go from process to process as they are exposed: families of samples.  Counters and histograms are added up, and
so are most gauges; a few say of each process the same thing, and of these one value stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add
from typing import Any, Final

from prometheus_client.metrics_core import Metric

from aibrix_twisted.service.telemetry.families import PREFIX

#: A family: name, what it says, kind, samples; a sample: name, labels, value.
Dumped = list[Any]

#: What each process says for itself of something that there is once.
_ONE: Final[dict[str, Callable[[float, float], float]]] = {
    f"{PREFIX}replica_up": min,
    f"{PREFIX}breaker_state": max,
    f"{PREFIX}buffer_limit_bytes": max,
    f"{PREFIX}build_info": max,
    f"{PREFIX}reactor_last_seen_seconds": min,
    f"{PREFIX}engine_requests_unaccounted": min,
    f"{PREFIX}tls_certificate_expiry_timestamp_seconds": min,
    "process_start_time_seconds": min,
    "process_max_fds": min,
}

#: An engine's own numbers are the same, whoever has asked it.
_ENGINES: Final = f"{PREFIX}engine_"


def dumped(metrics: Iterable[Metric]) -> list[Dumped]:
    """In the form in which they are written down."""
    return [
        [
            metric.name,
            metric.documentation,
            metric.type,
            [[sample.name, sample.labels, sample.value] for sample in metric.samples],
        ]
        for metric in metrics
    ]


def counts_of(families: Iterable[Dumped]) -> list[Dumped]:
    """What of it stands when the process is gone: what it had counted, but for what engines had."""
    return [
        family for family in families if family[2] in ("counter", "histogram") and not family[0].startswith(_ENGINES)
    ]


def merged(processes: Iterable[Iterable[Dumped]]) -> list[Metric]:
    """Of all of them."""
    found: dict[str, Metric] = {}
    values: dict[str, dict[tuple[Any, ...], list[Any]]] = {}
    for families in processes:
        for name, text, kind, samples in families:
            if name not in found:
                found[name] = Metric(name, text, kind)
                values[name] = {}
            together = _ONE.get(name) or (max if name.startswith(_ENGINES) else add)
            known = values[name]
            for sample, labels, value in samples:
                key = (sample, *sorted(labels.items()))
                at = known.get(key)
                if at is None:
                    known[key] = [sample, labels, value]
                else:
                    at[2] = together(at[2], value)
    for name, metric in found.items():
        for sample, labels, value in values[name].values():
            metric.add_sample(sample, labels, value)
    return list(found.values())


def summed(counts: Iterable[Mapping[Any, Sequence[int]]]) -> dict[Any, tuple[int, ...]]:
    """Of L{Recent}'s counters, by their keys."""
    total: dict[Any, tuple[int, ...]] = {}
    for one in counts:
        for key, values in one.items():
            known = total.get(key)
            total[key] = tuple(values) if known is None else tuple(map(add, known, values))
    return total
