"""From measurements to ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: The gateway's own subjects.
OURS = ("gateway", "prefix-cache")


@dataclass(frozen=True)
class Budget:
    """What the relay may cost, as a ratio to HAProxy's cost in the same round."""

    event: float = 1.4
    request: float = 2.2
    stream_kib: float = 16.0


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round: only what was measured side by side is compared."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median, and the least and the most."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def failures(
    request_us: Mapping[str, Sequence[float]],
    event_us: Mapping[str, Sequence[float]],
    stream_kib: Mapping[str, float],
    budget: Budget,
) -> list[str]:
    """Which budgets are exceeded, by ours as it is shipped or with another policy."""
    said = []
    for ours in [name for name in OURS if name in request_us]:
        for name, measured, bound in (("request", request_us, budget.request), ("event", event_us, budget.event)):
            if "haproxy" in measured and (ratio := median(ratios(measured[ours], measured["haproxy"]))) > bound:
                said.append(f"{ours}: CPU per {name} is {ratio:.2f} x HAProxy's: {bound} at most")
            if "vllm-router" in measured and (ratio := median(ratios(measured[ours], measured["vllm-router"]))) >= 1:
                said.append(f"{ours}: CPU per {name} is {ratio:.2f} x vllm-router's: below 1")
        if stream_kib[ours] > budget.stream_kib:
            said.append(f"{ours}: an open stream takes {stream_kib[ours]:.1f} KiB: {budget.stream_kib} at most")
    return said
