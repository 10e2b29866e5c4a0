"""Deadlines on the wheel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

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
        self.assertEqual(len(first.asked) + len(second.asked), 1)


class Does(Late):
    """Does something when it is asked."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__()
        self._what = what

    def check(self, now: float) -> None:
        super().check(now)
        self._what()


class CrowdTests(SynchronousTestCase):
    """Of many, some are asked at once: in between sockets are served."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock, turn_s=0.1, slots=1)
        self.wheel.start()
        self.what: Callable[[], object] = lambda: None  # each does when it is asked
        self.crowd = [Does(lambda: self.what()) for _ in range(1000)]
        for one in self.crowd:
            self.slot = self.wheel.join(one)

    @property
    def asked(self) -> int:
        return sum(len(late.asked) for late in self.crowd)

    def hold_rest(self) -> None:
        """Whatever is to be called before the second tick comes after it."""
        for call in self.clock.getDelayedCalls():
            if call.getTime() < 0.2:
                call.reset(0.15)

    def test_all_are_asked_a_few_at_once(self) -> None:
        """Until the next tick, and once each."""
        self.clock.advance(0.1)
        asked = [0, self.asked]
        for _ in range(1990):
            self.clock.advance(0.00005)
            asked.append(self.asked)
        self.assertEqual({len(late.asked) for late in self.crowd}, {1})
        self.assertLess(max(after - before for before, after in pairwise(asked)), 50)
        self.assertLess(asked[1000], 600)

    def test_late_turns(self) -> None:
        """More are asked at once then: each once a tick all the same."""
        for step, turns in ((0.03, 100), (0.07, 50), (0.1, 30)):
            before, since = self.asked, self.clock.seconds()
            self.clock.pump([step] * turns)
            ticks = (self.clock.seconds() - since) / 0.1
            self.assertLessEqual(abs((self.asked - before) / 1000 - ticks), 1.5, step)
            each = [len(late.asked) for late in self.crowd]
            self.assertLessEqual(max(each) - min(each), 1)

    def test_those_who_leave(self) -> None:
        """They are not asked any more: they may have been closed."""
        self.what = self.slot.clear
        self.clock.pump([0.01] * 30)
        self.assertEqual(self.asked, 1)

    def test_stopped_by_one(self) -> None:
        """Nobody is asked any more, and nothing is left to be called."""
        self.what = self.wheel.stop
        self.clock.pump([0.01] * 30)
        self.assertEqual(self.asked, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_in_between(self) -> None:
        """The same."""
        self.clock.advance(0.1)
        left = self.asked
        self.assertGreater(left, 0)
        self.wheel.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.pump([0.01] * 30)
        self.assertEqual(self.asked, left)

    def test_a_tick_before_all_were_asked(self) -> None:
        """The last one's are asked first: nobody is asked twice for one, and nobody is forgotten."""
        self.clock.advance(0.1)
        self.hold_rest()
        self.clock.advance(0.1)
        self.assertEqual({len(late.asked) for late in self.crowd}, {1, 2})
        self.clock.pump([0.001] * 99)
        self.assertEqual({len(late.asked) for late in self.crowd}, {2})

    def test_stopped_by_one_of_the_last_tick(self) -> None:
        """Nobody of the next is asked."""
        self.clock.advance(0.1)
        self.what = self.wheel.stop
        self.hold_rest()
        begun = self.asked
        self.clock.pump([0.1] * 3)
        self.assertEqual(self.asked, begun + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
