"""Who looks whether the process is near its end."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.overload import Overload
from aibrix_twisted.service.process import strain as module
from aibrix_twisted.service.process.strain import LOOK_S, Strain


class StrainTests(SynchronousTestCase):
    """On a clock of ours, with memory as we say."""

    def setUp(self) -> None:
        """Looking."""
        self.share = 0.0
        self.held: list[bool] = []
        self.patch(module, "memory_groups", lambda: ("a group",))
        self.patch(module, "memory_share", lambda groups: self.share)
        self.clock = Clock()
        self.overload = Overload()
        self.overload.configure(0.25)
        self.share_of_time = 1.0
        self.strain = Strain(self.clock, self.worked, self.overload, self.held.append)
        self.strain.start()
        self.addCleanup(self.strain.stop)

    def worked(self) -> float:
        """Of all the time, as much as we say."""
        return self.clock.seconds() * self.share_of_time

    def test_a_reactor_that_keeps_up(self) -> None:
        """Is never late."""
        for _ in range(40):
            self.clock.advance(LOOK_S)
        self.assertEqual((self.overload.lag_s, self.overload.sheds), (0.0, ""))

    def test_a_reactor_that_does_not(self) -> None:
        """Its turns take half a second each."""
        for _ in range(3):
            self.clock.advance(0.5)
        self.assertAlmostEqual(self.overload.lag_s, 0.5 - LOOK_S)
        self.assertTrue(self.overload.sheds)
        for _ in range(12):
            self.clock.advance(LOOK_S)
        self.assertFalse(self.overload.sheds)

    def test_a_processor_that_is_anothers(self) -> None:
        """Its turns take half a second each, of which it has a tenth: to refuse work would not help."""
        self.share_of_time = 0.1
        for _ in range(4):
            self.clock.advance(0.5)
        self.assertEqual((self.overload.lag_s, self.overload.sheds), (0.0, ""))

    def test_listeners_hold_while_there_is_no_memory(self) -> None:
        """They are told once when it begins, and once when it is over."""
        for self.share in (0.5, 0.98, 0.99, 0.5, 0.4):
            self.clock.advance(LOOK_S)
            self.clock.advance(LOOK_S)
        self.assertEqual(self.held, [True, False])

    def test_nothing_to_see(self) -> None:
        """Where memory is not bounded, and turns may be as late as they are."""
        self.strain.stop()
        self.patch(module, "memory_groups", tuple)
        overload = Overload()
        strain = Strain(self.clock, self.worked, overload, self.held.append)
        strain.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        overload.configure(0.25)
        strain.start()
        strain.start()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        strain.stop()
        self.strain.start()

    def test_it_stops(self) -> None:
        """Nothing of it is left in the reactor."""
        self.strain.stop()
        self.strain.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.strain.start()
