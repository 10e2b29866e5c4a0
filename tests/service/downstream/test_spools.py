"""All files for slow clients together."""

from __future__ import annotations

import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.downstream.spool import Spool
from aibrix_twisted.service.downstream.spools import Spools
from aibrix_twisted.service.telemetry.metrics import Metrics
from tests.service.downstream.test_spool import Reader


class SpoolsTests(SynchronousTestCase):
    """Of one gateway."""

    def setUp(self) -> None:
        metrics = Metrics()
        self.spools, self.outcomes = Spools(Clock(), metrics), metrics.spooled
        self.configure()

    def configure(self, **limits: int) -> None:
        self.spools.configure(Limits(slow_client="spool", spool_dir=tempfile.gettempdir(), **limits))  # type: ignore[arg-type]

    def begin(self) -> Spool:
        exchange = Exchange("x", "192.0.2.1", "POST", "/", "chat", Stamps(0.0))
        spool = self.spools.begin(exchange, Reader(), paused=True)
        assert isinstance(spool, Spool)
        self.addCleanup(spool.close, Spooled.LEFT)
        return spool

    def test_wanted(self) -> None:
        """Only where it is set."""
        self.assertTrue(self.spools.wanted)
        self.spools.configure(Limits())
        self.assertFalse(self.spools.wanted)

    def test_the_sum(self) -> None:
        """Of what all files have, whichever way they are closed; each is counted once."""
        one, other = self.begin(), self.begin()
        one.write(b"abc")
        other.write(b"defgh")
        self.assertEqual((self.spools.bytes, self.spools.open), (8, {one, other}))
        one.close(Spooled.STOPPED)
        one.close(Spooled.LEFT)
        self.assertEqual((self.spools.bytes, self.spools.open), (5, {other}))
        other.resume()
        self.assertEqual(self.spools.bytes, 0)
        other.close(Spooled.LEFT)
        self.assertEqual((self.outcomes["stopped"], self.outcomes["left"]), (1, 1))

    def test_bounds_that_change(self) -> None:
        """Hold from then on, for what is there, too."""
        self.configure(spool_bytes=65536, spool_total_bytes=100_000)
        self.assertEqual((self.spools.full(0, 65536), self.spools.full(65000, 536)), ("", ""))
        self.assertIn("65536", self.spools.full(65000, 537))
        self.begin().write(bytes(60_000))
        self.assertIn("100000", self.spools.full(0, 40_001))
        self.configure()
        self.assertEqual(self.spools.full(0, 40_001), "")

    def test_counted_anew(self) -> None:
        """From the files that there are."""
        self.begin().write(b"abc")
        self.spools.resized(7)
        self.spools.recount()
        self.assertEqual(self.spools.bytes, 3)
