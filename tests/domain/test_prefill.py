"""What is ahead at an engine, and how fast it reads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prefill import USUAL_RATE, Prefill


class AheadTests(SynchronousTestCase):
    """What was given and has not been read."""

    def setUp(self) -> None:
        self.prefill = Prefill(1000.0)

    def test_idle(self) -> None:
        """Nothing."""
        self.assertEqual(self.prefill.ahead(5.0), 0.0)

    def test_it_reads_on(self) -> None:
        """The first by and by, at the rate that is known; the next only once the first is read."""
        self.prefill.begin(2000.0, 0.0, streamed=True)
        self.prefill.begin(500.0, 0.0, streamed=True)
        self.assertEqual([self.prefill.ahead(now) for now in (0.0, 1.0, 2.0, 9.0)], [2500.0, 1500.0, 500.0, 500.0])

    def test_read(self) -> None:
        """Its first token has come, and the next is begun with then."""
        first = self.prefill.begin(2000.0, 0.0, streamed=True)
        self.prefill.begin(1000.0, 0.0, streamed=True)
        self.prefill.read(first, 2.0)
        self.assertAlmostEqual(self.prefill.ahead(2.5), 500.0)

    def test_what_is_not_seen(self) -> None:
        """Is done when it is due, one after the other."""
        self.prefill.begin(1000.0, 0.0, streamed=False)
        self.prefill.begin(1000.0, 0.0, streamed=False)
        self.assertEqual([self.prefill.ahead(now) for now in (0.5, 1.5, 2.5)], [1500.0, 500.0, 0.0])
        self.prefill.begin(1000.0, 9.0, streamed=False)
        self.assertEqual(self.prefill.ahead(9.5), 500.0)

    def test_abandoned(self) -> None:
        """It is ahead of nobody any more; one that was read before, or is abandoned twice, changes nothing."""
        first = self.prefill.begin(2000.0, 0.0, streamed=True)
        second = self.prefill.begin(700.0, 0.0, streamed=True)
        self.prefill.abandon(first, 1.0)
        self.prefill.abandon(first, 1.0)
        self.assertEqual(self.prefill.ahead(1.0), 700.0)
        self.prefill.read(second, 2.0)
        self.prefill.abandon(second, 3.0)
        self.prefill.read(second, 4.0)
        self.assertEqual(self.prefill.ahead(4.0), 0.0)


class RateTests(SynchronousTestCase):
    """How fast, by when first tokens came."""

    def test_learned(self) -> None:
        """From what its own prompt took, whatever waited before it."""
        prefill = Prefill()
        self.assertEqual((prefill.rate, prefill.measured), (USUAL_RATE, False))
        now = 0.0
        for _ in range(100):
            readings = [prefill.begin(5000.0, now, streamed=True) for _ in range(3)]
            for reading in readings:
                now += 0.5  # 10 000 bytes a second
                prefill.read(reading, now)
            now += 100.0  # and then nothing, which is not held against it
        self.assertTrue(prefill.measured)
        self.assertLess(abs(prefill.rate - 10_000.0), 100.0)

    def test_it_changes(self) -> None:
        """What it was long ago is forgotten."""
        prefill, now = Prefill(1000.0), 0.0
        for rate in (1000.0, 4000.0):
            for _ in range(300):
                reading = prefill.begin(2000.0, now, streamed=True)
                now += 2000.0 / rate
                prefill.read(reading, now)
        self.assertLess(abs(prefill.rate - 4000.0), 100.0)

    def test_little_says_nothing(self) -> None:
        """Of prompts that are hardly more than a greeting, or known already, the network's time is most."""
        prefill = Prefill(1000.0)
        for now in range(10):
            prefill.read(prefill.begin(100.0, float(now), streamed=True), now + 0.9)
        self.assertEqual((prefill.rate, prefill.measured), (1000.0, False))

    def test_those_that_are_not_seen(self) -> None:
        """Were read before the one that is: their work is part of what was done since."""
        prefill = Prefill(1000.0)
        now = 0.0
        for _ in range(200):
            prefill.begin(3000.0, now, streamed=False)
            seen = prefill.begin(1000.0, now, streamed=True)
            now += 2.0
            prefill.read(seen, now)
            self.assertEqual(prefill.ahead(now), 0.0)
        self.assertLess(abs(prefill.rate - 2000.0), 500.0)

    def test_in_another_order(self) -> None:
        """An engine that reads side by side, or the later one first, leaves the earlier one ahead."""
        prefill = Prefill(1000.0)
        first = prefill.begin(1000.0, 0.0, streamed=True)
        second = prefill.begin(1000.0, 0.0, streamed=True)
        prefill.read(second, 1.0)
        self.assertEqual(prefill.ahead(1.0), 1000.0)
        prefill.read(first, 1.0)
        self.assertEqual(prefill.ahead(1.0), 0.0)
        self.assertGreater(prefill.rate, 0.0)
