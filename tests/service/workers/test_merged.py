"""Numbers of several processes, made into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.metrics_core import Metric
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.telemetry import families
from aibrix_twisted.service.workers.merged import counts_of, dumped, merged, summed


def histogram(*values: float) -> Histogram:
    """Of these."""
    made = Histogram(families.QUEUE_WAIT.bounds)
    for value in values:
        made.observe(value)
    return made


def process(requests: Mapping[str, int], up: int, *waits: float) -> list[Metric]:
    """What one exposes."""
    return [
        families.REQUESTS.of({(model, "chat", "200", "complete"): count for model, count in requests.items()}),
        families.REPLICA_UP.of({("gpu0",): up}),
        families.CLIENT_CONNECTIONS.of({(): 5}),
        families.TLS_EXPIRY.of({(): 1000 + up}),
        families.ENGINE_PROMPT_TOKENS.of({("gpu0",): 70 + up}),
        families.QUEUE_WAIT.of({("m",): histogram(*waits)}),
    ]


def values(metrics: list[Metric]) -> dict[str, Any]:
    """Of what has one sample a label."""
    return {
        f"{sample.name}{list(sample.labels.values())[:1]}": sample.value for one in metrics for sample in one.samples
    }


class MergedTests(SynchronousTestCase):
    """Of two."""

    def test_what_is_added_and_what_is_not(self) -> None:
        """Counts and most gauges are added; what each says of one thing is said once; engines' numbers are theirs."""
        both = merged([dumped(process({"m": 3, "n": 1}, 1)), dumped(process({"m": 4}, 0))])
        found = values(both)
        self.assertEqual(found["aibrix_gateway_requests_total['m']"], 7)
        self.assertEqual(found["aibrix_gateway_requests_total['n']"], 1)
        self.assertEqual(found["aibrix_gateway_client_connections[]"], 10)
        self.assertEqual(found["aibrix_gateway_replica_up['gpu0']"], 0)
        self.assertEqual(found["aibrix_gateway_tls_certificate_expiry_timestamp_seconds[]"], 1000)
        self.assertEqual(found["aibrix_gateway_engine_prompt_tokens_total['gpu0']"], 71)

    def test_histograms(self) -> None:
        """Bucket by bucket: as if one process had seen all."""
        (one,) = merged([dumped([families.QUEUE_WAIT.of({("m",): histogram(0.1, 2.0)})])] * 2)
        (other,) = merged([dumped([families.QUEUE_WAIT.of({("m",): histogram(0.1, 2.0, 0.1, 2.0)})])])
        self.assertEqual(one.samples, other.samples)

    def test_what_stays_of_a_process(self) -> None:
        """Its counts, not its gauges, and not what engines had counted."""
        kept = [family[0] for family in counts_of(dumped(process({"m": 3}, 1, 0.5)))]
        self.assertEqual(kept, ["aibrix_gateway_requests", "aibrix_gateway_queue_wait_seconds"])

    def test_counters_of_recent(self) -> None:
        """Key by key, number by number."""
        self.assertEqual(summed([{("a",): (1, 2)}, {}, {("a",): [3, 4], ("b",): [5]}]), {("a",): (4, 6), ("b",): (5,)})
