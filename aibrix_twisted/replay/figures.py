"""What a replay amounts to: a few figures for a table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from aibrix_twisted.replay.engine import Job


class Figures(NamedTuple):
    """Of one policy over one trace.

    @ivar hit_rate: of the tokens of all prompts, those that were in a cache where they went.
    @ivar ttft_mean_s: seconds to the first token; C{ttft_p50_s}; C{ttft_p99_s}.
    @ivar tpot_mean_s: seconds for each token after it, over the answers that have several.
    @ivar imbalance: tokens of prompts that the busiest replica had to read, by what each had on average.
    """

    hit_rate: float
    ttft_mean_s: float
    ttft_p50_s: float
    ttft_p99_s: float
    tpot_mean_s: float
    imbalance: float


def figures_of(jobs: Sequence[Job], replicas: int) -> Figures:
    """Of all that was asked.

    @param jobs: at least one.
    """
    ttfts = sorted(job.first - job.given for job in jobs)
    tpots = [(job.ended - job.first) / (job.arrival.output_tokens - 1) for job in jobs if job.arrival.output_tokens > 1]
    read = [0] * replicas
    for job in jobs:
        read[job.place] += job.arrival.input_tokens - job.cached
    tokens = sum(job.arrival.input_tokens for job in jobs)
    return Figures(
        sum(job.cached for job in jobs) / tokens if tokens else 0.0,
        fmean(ttfts),
        percentile(ttfts, 0.5),
        percentile(ttfts, 0.99),
        fmean(tpots) if tpots else 0.0,
        max(read) * replicas / sum(read) if sum(read) else 1.0,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that so many of them are not above.

    @param ordered: ascending.
    """
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
