"""Deadlines on the wheel."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.wheel import Wheel


class Late:
    """Remembers when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def check(self, now: float) -> None:
        self.asked.append(now)


class WheelTests(SynchronousTestCase):
    """Everyone is asked once a turn."""

    def test_once_a_turn(self) -> None:
        """Each, at its own tick, and no more once it has left."""
        clock = Clock()
        wheel = Wheel(clock, turn_s=0.5, slots=5)
        wheel.start()
        watched = [Late() for _ in range(7)]
        slots = [wheel.join(late) for late in watched]
        clock.pump([0.1] * 10)
        self.assertEqual([len(late.asked) for late in watched], [2] * 7)
        self.assertLess(max(len(slot) for slot in slots), 3)
        slots[0].discard(watched[0])
        clock.pump([0.1] * 5)
        self.assertEqual(len(watched[0].asked), 2)
        wheel.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_now_follows_the_clock(self) -> None:
        """At most a tick behind."""
        clock = Clock()
        wheel = Wheel(clock, turn_s=0.5, slots=5)
        wheel.start()
        clock.pump([0.04] * 50)
        self.assertLess(clock.seconds() - wheel.now, 0.11)

    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        """It is logged."""

        class Fails(Late):
            def check(self, now: float) -> None:
                raise RuntimeError("a defect")

        clock = Clock()
        wheel = Wheel(clock, turn_s=0.1, slots=1)
        wheel.start()
        good = Late()
        wheel.join(Fails())
        wheel.join(good)
        clock.pump([0.1] * 3)
        self.assertEqual(len(good.asked), 3)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    def test_one_that_leaves_beneath_its_check(self) -> None:
        """And takes another with it."""
        clock = Clock()
        wheel = Wheel(clock, turn_s=0.1, slots=1)
        wheel.start()

        class Leaves(Late):
            def check(self, now: float) -> None:
                super().check(now)
                slot.clear()

        first, second = Leaves(), Leaves()
        slot = wheel.join(first)
        wheel.join(second)
        clock.pump([0.1] * 3)
        self.assertEqual(len(first.asked) + len(second.asked), 2)
