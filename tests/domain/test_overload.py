"""When the process is near its end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.overload import WINDOW, Overload


class OverloadTests(SynchronousTestCase):
    """By what it is told."""

    def setUp(self) -> None:
        """One for which a quarter of a second is late."""
        self.overload = Overload()
        self.overload.configure(0.25)

    def test_one_late_turn_says_little(self) -> None:
        """Two that are near each other say that there is more to do than is done; a while later it is over."""
        self.overload.turned(0.4)
        self.assertEqual(self.overload.sheds, "")
        for _ in range(WINDOW):
            self.overload.turned(0.0)
        self.overload.turned(0.4)
        self.assertEqual(self.overload.sheds, "")
        self.overload.turned(0.0)
        self.overload.turned(0.4)
        for _ in range(WINDOW - 1):
            self.assertIn("does not keep up", self.overload.sheds)
            self.overload.turned(0.0)
        self.overload.turned(0.0)
        self.assertEqual(self.overload.sheds, "")

    def test_late_is_what_is_configured(self) -> None:
        """And nothing is where that is 0."""
        for bound, sheds in ((0.25, False), (0.15, True), (0.0, False)):
            overload = Overload()
            overload.configure(bound)
            for _ in range(5):
                overload.turned(0.2)
            self.assertEqual(bool(overload.sheds), sheds, bound)

    def test_memory(self) -> None:
        """In steps: connections are not kept, new requests are refused, new connections wait; and back."""
        seen = []
        for share in (0.0, 0.84, 0.86, 0.93, 0.98, 0.9, 0.1):
            self.overload.uses(share)
            seen.append((self.overload.closes, bool(self.overload.sheds), self.overload.pauses))
        self.assertEqual(
            seen,
            [
                (False, False, False),
                (False, False, False),
                (True, False, False),
                (True, True, False),
                (True, True, True),
                (True, False, False),
                (False, False, False),
            ],
        )
