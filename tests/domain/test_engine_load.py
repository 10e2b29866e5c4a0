"""Readings of an engine's load."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad, amended
from aibrix_twisted.domain.replica import ReplicaLoad


class AmendedTests(SynchronousTestCase):
    """What is said by the way."""

    def test_on_top_of_what_is_fresh(self) -> None:
        """New figures replace old ones; the rest stays, and so does the time."""
        before = EngineLoad(at=5.0, running=3.0, waiting=1.0)
        after = amended(before, 7.0, {"waiting": 4.0, "kv_usage": 0.5})
        self.assertEqual(after, EngineLoad(at=5.0, running=3.0, waiting=4.0, kv_usage=0.5))
        self.assertEqual(before.waiting, 1.0)

    def test_by_itself(self) -> None:
        """Nothing else is known, nothing else is said."""
        self.assertEqual(amended(None, 7.0, {"waiting": 4.0}), EngineLoad(at=7.0, waiting=4.0))

    def test_nothing_old_is_kept_fresh(self) -> None:
        """An engine whose page is gone, but whose answers speak: what only the page said grows stale."""
        load = ReplicaLoad()
        load.read(EngineLoad(at=0.0, running=9.0), 3.0)
        for now in (1.0, 2.0, 3.0, 4.0):
            load.read(amended(load.fresh_engine(now), now, {"waiting": now}), 3.0)
            expected = 9.0 if now <= 3.0 else None
            self.assertEqual(
                (load.engine and load.engine.running, load.engine and load.engine.waiting), (expected, now)
            )
