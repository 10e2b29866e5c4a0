"""What was counted lately."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.recent import BOUNDS, Recent, counts_of
from tests.service.telemetry.test_access_log import an_exchange
from tests.service.telemetry.test_metrics import an_attempt


class RecentTests(SynchronousTestCase):
    """Recent."""

    def setUp(self) -> None:
        self.clock, self.metrics = Clock(), Metrics()
        self.recent = Recent(self.clock, self.metrics)

    def start(self) -> None:
        self.recent.start()
        self.addCleanup(self.recent.stop)

    def test_nothing_yet(self) -> None:
        """Before the first second is over there is nothing to divide by."""
        self.start()
        self.assertEqual(self.recent.last(10), (0.0, {}))

    def test_what_was_there_before_does_not_count(self) -> None:
        """Nor does what did not change."""
        self.metrics.errors["client_gone",] = 7
        self.start()
        self.metrics.errors["engine_broke",] += 2
        self.clock.advance(1)
        window = self.recent.last(10)
        self.assertEqual((window.seconds, window.counts), (1.0, {("errors", "engine_broke"): (2,)}))

    def test_a_window_passes(self) -> None:
        """What is longer ago than one asks for is not in it; after a minute it is forgotten."""
        self.start()
        for second in range(100):
            self.metrics.errors["client_gone",] += second
            self.clock.advance(1)
        for asked, expected in (
            (1, 99),
            (10, sum(range(90, 100))),
            (60, sum(range(40, 100))),
            (99, sum(range(40, 100))),
        ):
            window = self.recent.last(asked)
            self.assertEqual((window.seconds, window.total("errors")), (min(asked, 60), expected))
        self.clock.pump([1] * 60)
        self.assertEqual(self.recent.last(60), (60.0, {}))

    def test_by_what_it_is_of(self) -> None:
        """Requests by model, outcome and status; distributions of some put together."""
        self.start()
        for model, status, outcome in (("m", 200, Outcome.COMPLETE), ("m", 502, Outcome.BROKEN), ("n", 200, None)):
            exchange = an_exchange()
            exchange.model, exchange.status, exchange.outcome = model, status, outcome
            self.metrics.count(exchange)
        for replica, model in (("gpu0", "m"), ("gpu1", "m"), ("gpu1", "n")):
            record = an_attempt(self.metrics)
            record.replica, record.model = replica, model
            self.metrics.count_attempt(record, streamed=True)
        self.clock.advance(1)
        window = self.recent.last(10)
        self.assertEqual((window.total("requests"), window.total("requests", "m")), (3, 2))
        self.assertEqual(window.by(1, "requests"), {"complete": 2, "broken": 1})
        self.assertEqual(window.by(2, "requests", "m"), {"200": 1, "502": 1})
        self.assertEqual(window.by(1, "attempts", "gpu1"), {"complete": 2})
        self.assertEqual(sum(window.distribution("replica_ttft", None, "gpu1")), 2)
        self.assertEqual(sum(window.distribution("replica_ttft", "m")), 2)
        self.assertEqual(window.distribution("itl", "nobody"), ())
        kinds = {type(part) for key in window.counts for part in key}
        self.assertEqual(kinds, {str}, "what becomes a key of a document is a plain text")

    def test_bounds(self) -> None:
        """Each distribution has as many counts as buckets, and the one without a bound."""
        self.metrics.count_attempt(an_attempt(self.metrics), streamed=True)
        exchange = an_exchange()
        exchange.model, exchange.attempts, exchange.served = "m", 1, an_attempt(self.metrics)
        self.metrics.count(exchange)
        kinds = set()
        for key, counts in counts_of(self.metrics).items():
            if len(counts) > 1:
                self.assertEqual(len(counts), len(BOUNDS[key[0]]) + 1, key)
                kinds.add(key[0])
        self.assertEqual(kinds, set(BOUNDS))
