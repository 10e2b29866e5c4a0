"""Pauses of the collector: each is measured, and nobody is told once it is over."""

from __future__ import annotations

import gc
import itertools

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.gc_pauses import GcPauses


class GcPausesTests(SynchronousTestCase):
    """With the collector itself."""

    def test_each_generation(self) -> None:
        """A collection counts under the generation that it was of, with what the clock says between its ends."""
        ticks = itertools.count(0.0, 0.25)
        pauses = GcPauses(lambda: next(ticks))
        self.addCleanup(pauses.stop)
        gc.disable()
        self.addCleanup(gc.enable)
        pauses.start()
        pauses.start()
        gc.collect(2)
        gc.collect(0)
        gc.collect(2)
        pauses.stop()
        gc.collect(2)
        counts = {kind: each.buckets()[-1][1] for kind, each in pauses.by_generation.items()}
        self.assertEqual(counts, {"0": 1.0, "1": 0.0, "2": 2.0})
        self.assertEqual(pauses.by_generation["2"].total, 0.5)
        pauses.stop()
