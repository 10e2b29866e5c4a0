"""What is counted.  Plain numbers that the data path adds to; L{exposition} reads them when Prometheus asks."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.histogram import Histogram

#: vLLM's own buckets, so that its histogram and ours subtract (vllm/v1/metrics/loggers.py).
TTFT_BUCKETS_S: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
DURATION_BUCKETS_S: Final = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip

#: The model of a request whose model nobody serves: a client's own word is not made a label.
OTHER: Final = "other"


class Metrics:
    """Counters by tuples of label values, in the order of the label names in L{exposition}.

    @ivar hedges: what became of second attempts.
    @ivar late_events: what came for a response that had ended.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int, str], int] = defaultdict(int)
        self.durations: defaultdict[tuple[str, str], Histogram] = defaultdict(_duration_histogram)
        self.ttfts: defaultdict[tuple[str], Histogram] = defaultdict(_ttft_histogram)
        self.waits: defaultdict[tuple[str], Histogram] = defaultdict(_ttft_histogram)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.errors: defaultdict[tuple[str], int] = defaultdict(int)
        self.attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.reloads: defaultdict[tuple[str], int] = defaultdict(int)
        self.hedges = {"won": 0, "lost": 0}
        self.late_events: dict[str, int] = {"head": 0, "body": 0, "end": 0}
        self.access_log_dropped = 0

    def count(self, exchange: Exchange) -> None:
        """An exchange is over."""
        model = exchange.model or OTHER
        self.requests[model, exchange.route, exchange.status, outcome_label(exchange)] += 1
        if exchange.error:
            self.errors[exchange.error,] += 1
        if exchange.queued_s:
            self.waits[model,].observe(exchange.queued_s)
        if not exchange.attempts:
            return
        stamps = exchange.stamps
        self.durations[model, exchange.route].observe(stamps.duration_s)
        if exchange.stream and stamps.ttft_s is not None:
            self.ttfts[model,].observe(stamps.ttft_s)
        if exchange.input_tokens:
            self.tokens[model, "input"] += exchange.input_tokens
        if exchange.output_tokens:
            self.tokens[model, "output"] += exchange.output_tokens
        if exchange.cached_tokens:
            self.tokens[model, "cached"] += exchange.cached_tokens


def outcome_label(exchange: Exchange) -> str:
    """The assembly's outcome; where no attempt was concluded: C{refused} with an error, else C{complete}."""
    if exchange.outcome is not None:
        return exchange.outcome
    return "refused" if exchange.error else "complete"


def _duration_histogram() -> Histogram:
    return Histogram(DURATION_BUCKETS_S)


def _ttft_histogram() -> Histogram:
    return Histogram(TTFT_BUCKETS_S)
