"""Figures as people read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.figures import count, per_second, quantile, size, took


class FigureTests(SynchronousTestCase):
    """Three digits, and the unit that goes with them."""

    def test_times(self) -> None:
        """From microseconds to hours."""
        for seconds, said in ((None, "-"), (0, "0.00ms"), (0.00042, "0.42ms"), (0.0123, "12.3ms"), (0.4567, "457ms"),
                              (1.239, "1.24s"), (12.34, "12.3s"), (75.4, "75s"), (7200, "7200s")):  # fmt: skip
            self.assertEqual(took(seconds), said)

    def test_rates(self) -> None:
        """None at all is a plain 0."""
        for rate, said in ((None, "-"), (0, "0"), (0.0, "0"), (0.254, "0.25"), (12.34, "12.3"), (1234.5, "1234")):
            self.assertEqual(per_second(rate), said)

    def test_sizes(self) -> None:
        """In the largest unit."""
        for number, said in ((None, "-"), (12, "12 B"), (2048, "2 KiB"), (73 << 20, "73 MiB"), (3 << 30, "3 GiB")):
            self.assertEqual(size(number), said)

    def test_others(self) -> None:
        """What is not known is a dash."""
        self.assertEqual((count(None), count(3), count(3.0)), ("-", "3", "3"))
        self.assertEqual((quantile(None, "p50"), quantile({"p50": 0.5}, "p50")), ("-", "500ms"))
