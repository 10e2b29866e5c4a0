"""How long answers are expected to be (AIBrix's cache/output_predictor_test.go)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.output_predictor import OutputPredictor, bucket_of


class PredictorTests(SynchronousTestCase):
    """By powers of two."""

    def test_buckets(self) -> None:
        """The nearest power; few tokens are the first, any more than a million the last."""
        for tokens, bucket in ((0, 0), (1, 0), (2, 1), (4, 2), (5, 2), (6, 3), (7, 3), (1000, 10), (1e12, 20)):
            self.assertEqual(bucket_of(tokens), bucket, tokens)

    def test_nothing_known(self) -> None:
        """One token."""
        predictor = OutputPredictor()
        self.assertEqual(predictor.predict(100, 0.0, 0.5), 1)
        predictor.add(1000, 64, 0.0)
        self.assertEqual(predictor.predict(4, 0.0, 0.5), 1, "those to other prompts do not count")

    def test_one_answer(self) -> None:
        """As long, to the next power of two."""
        predictor = OutputPredictor()
        predictor.add(2, 3, 0.0)
        self.assertEqual(predictor.predict(2, 0.0, 0.99), 4)

    def test_by_lot(self) -> None:
        """As often as they were so long."""
        predictor = OutputPredictor()
        for tokens in (4, 4, 64):
            predictor.add(100, tokens, 0.0)
        lots = [predictor.predict(100, 0.0, lot / 300) for lot in range(300)]
        self.assertEqual((lots.count(4), lots.count(64)), (200, 100))

    def test_window(self) -> None:
        """What was long ago does not count, and is forgotten."""
        predictor = OutputPredictor()
        for second in range(0, 2000, 10):
            predictor.add(100, 4 if second < 1000 else 64, float(second))
        self.assertEqual(predictor.predict(100, 1999.0, 0.0), 64)
        self.assertEqual(predictor.predict(100, 9999.0, 0.0), 1)
        self.assertLessEqual(len(predictor._slots), 25)
