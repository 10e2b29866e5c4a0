"""What is said of the process, and how often it is looked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.process_facts import ProcessFacts


class Dear(Collector):
    """Takes five milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked = 0

    def collect(self) -> Iterable[Metric]:
        self.asked += 1
        self.clock.advance(0.005)
        yield GaugeMetricFamily("asked", "How often.", value=self.asked)


class ProcessFactsTests(SynchronousTestCase):
    """They are as old as they are dear."""

    def test_what_is_dear_is_found_seldom(self) -> None:
        """Once in a thousand times as long as it takes."""
        clock = Clock()
        dear = Dear(clock)
        facts = ProcessFacts(dear, clock.seconds)
        first = [sample.value for metric in facts.collect() for sample in metric.samples]
        clock.advance(4.9)
        self.assertEqual([sample.value for metric in facts.collect() for sample in metric.samples], first)
        clock.advance(0.2)
        facts.collect()
        self.assertEqual(dear.asked, 2)
