"""The breaker: opens upon failures, lets one through after a while, and is closed or opened by what becomes of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.breaker import WINDOW, Breaker, BreakerState
from aibrix_twisted.domain.settings import BreakerSettings

SETTINGS = BreakerSettings(failures=2, open=1.0, open_max=6.0)

#: What can happen to it.  C{pass}: as much time as the longest opening takes; C{look}: somebody asks whether it allows.
EVENTS = ("began", "succeeded", "failed", "forgot", "pass", "look")


class Lot:
    """Always the same one."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def randrange(self, stop: int, /) -> int:
        return 0


class Model:
    """The breaker as its docstring has it, spelled out: no window, no doubling."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.state = BreakerState.CLOSED
        self.in_a_row = 0
        self.trial = False
        self.over = False  # the time for which it was to be open

    @property
    def allowed(self) -> bool:
        if self.state is BreakerState.OPEN and self.over:
            self.state, self.trial = BreakerState.HALF_OPEN, False
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.HALF_OPEN and not self.trial)

    def tell(self, event: str) -> bool:
        """@return: whether this opened or closed it."""
        if event == "pass":
            self.over = True
        elif event == "began":
            self.trial = self.trial or self.state is BreakerState.HALF_OPEN
        elif event == "forgot":
            self.trial = False
        elif event == "succeeded":
            closed, self.state = self.state is not BreakerState.CLOSED, BreakerState.CLOSED
            self.in_a_row, self.trial = 0, False
            return closed
        elif event == "failed" and self.state is not BreakerState.OPEN:
            self.in_a_row += 1
            if self.state is BreakerState.HALF_OPEN or self.in_a_row >= self.failures:
                self.state, self.trial, self.over = BreakerState.OPEN, False, False
                return True
        return False


def play(breaker: Breaker, events: Iterable[str], now: float = 0.0) -> float:
    """Let these happen.

    @return: what time it is then.
    """
    rng = random.Random(1)
    for event in events:
        if event == "pass":
            now += SETTINGS.open_max
        elif event == "failed":
            breaker.failed(now, rng)
        elif event == "look":
            breaker.allows(now)
        else:
            getattr(breaker, event)()
    return now


class TableTests(SynchronousTestCase):
    """Everything that can happen, in every order."""

    def test_every_sequence(self) -> None:
        """Of up to six events: the same state, the same leave, the same word on what changed, as the model says."""
        for length in range(1, 7):
            for events in itertools.product(EVENTS, repeat=length):
                breaker, model, now = Breaker(SETTINGS), Model(SETTINGS.failures), 0.0
                for event in events:
                    expected = model.tell(event)
                    if event == "pass":
                        now += SETTINGS.open_max
                    elif event == "look":
                        self.assertEqual(breaker.allows(now), model.allowed, events)
                    elif event == "failed":
                        self.assertEqual(breaker.failed(now, Lot(0.5)), expected, events)
                    else:
                        said = getattr(breaker, event)()
                        self.assertEqual(bool(said), expected, events)
                    self.assertIs(breaker.state, model.state, events)
                self.assertEqual(breaker.allows(now), model.allowed, events)

    @given(st.lists(st.sampled_from(EVENTS), max_size=60))
    def test_never_stuck(self, events: list[str]) -> None:
        """Whatever happened: once what is under way is over, however that ends, somebody is let through in time, and
        a success closes it."""
        for last in ("succeeded", "failed", "forgot"):
            breaker = Breaker(SETTINGS)
            now = play(breaker, [*events, last, "pass"])
            self.assertTrue(breaker.allows(now), events)
            breaker.began()
            breaker.succeeded()
            self.assertIs(breaker.state, BreakerState.CLOSED)
            self.assertTrue(breaker.allows(now))

    @given(st.lists(st.sampled_from(EVENTS), max_size=60))
    def test_half_open_lets_one_through(self, events: list[str]) -> None:
        """Not a second one, however often it is asked, until the first has ended."""
        breaker = Breaker(SETTINGS)
        now = play(breaker, events)
        if breaker.allows(now) and breaker.state is BreakerState.HALF_OPEN:
            breaker.began()
            for later in (now, now + 1.0, now + 1e6):
                self.assertFalse(breaker.allows(later))
            breaker.forgot()
            self.assertTrue(breaker.allows(now))


class OpeningTests(SynchronousTestCase):
    """When it opens, and for how long."""

    def test_failures_in_a_row(self) -> None:
        """So many, and a success between them begins anew; what came before it opened does not count afterwards."""
        breaker = Breaker(BreakerSettings(failures=3))
        found = [breaker.failed(0.0, Lot(0.0)) for _ in range(2)]
        breaker.succeeded()
        found += [breaker.failed(0.0, Lot(0.0)) for _ in range(3)]
        self.assertEqual(found, [False, False, False, False, True])
        breaker.succeeded()
        self.assertFalse(breaker.failed(0.0, Lot(0.0)))

    def test_more_than_half_of_the_window(self) -> None:
        """Never by fewer than the window holds; never by half of them; by one more."""
        breaker = Breaker(BreakerSettings(failures=1000))
        for _ in range(WINDOW // 2):
            breaker.succeeded()
            self.assertFalse(breaker.failed(0.0, Lot(0.0)))
        self.assertTrue(breaker.failed(0.0, Lot(0.0)), "eleven of twenty: the oldest success has gone")
        breaker = Breaker(BreakerSettings(failures=1000))
        self.assertFalse(any(breaker.failed(0.0, Lot(0.0)) for _ in range(WINDOW - 1)))
        self.assertTrue(breaker.failed(0.0, Lot(0.0)))

    def test_doubling(self) -> None:
        """Each time that the one which is let through fails, up to the bound; a success begins anew."""
        breaker, now, found = Breaker(SETTINGS), 0.0, []
        for _ in range(2):
            breaker.failed(now, Lot(1.0))
        for _ in range(5):
            found.append(breaker.until - now)
            now = breaker.until
            self.assertTrue(breaker.allows(now))
            breaker.began()
            self.assertTrue(breaker.failed(now, Lot(1.0)))
        self.assertEqual(found, [1.0, 2.0, 4.0, 6.0, 6.0])
        breaker.succeeded()
        for _ in range(2):
            breaker.failed(now, Lot(1.0))
        self.assertEqual(breaker.until - now, 1.0)

    def test_a_thousand_openings(self) -> None:
        """The doubling has an end."""
        breaker = Breaker(SETTINGS)
        for _ in range(1100):
            breaker.open(0.0, Lot(1.0))
        self.assertEqual(breaker.until, 6.0)

    @given(st.floats(0, 1, exclude_max=True), st.integers(1, 8), st.floats(0, 1e9))
    def test_jitter(self, lot: float, openings: int, now: float) -> None:
        """At least half as long as said, never longer."""
        breaker = Breaker(SETTINGS)
        for _ in range(openings):
            breaker.open(now, Lot(lot))
        said = min(1.0 * 2 ** (openings - 1), 6.0)
        self.assertGreaterEqual(breaker.until, now + said * 0.5)
        self.assertLessEqual(breaker.until, now + said)
        self.assertFalse(breaker.allows(now))
        self.assertTrue(breaker.allows(breaker.until))

    def test_failures_while_open_do_not_prolong_it(self) -> None:
        """A burst that fails together is one reason, not many."""
        breaker = Breaker(SETTINGS)
        for _ in range(2):
            breaker.failed(0.0, Lot(1.0))
        until = breaker.until
        self.assertEqual({breaker.failed(0.5, Lot(1.0)) for _ in range(50)}, {False})
        self.assertEqual(breaker.until, until)


class DisabledTests(SynchronousTestCase):
    """C{enabled = false}."""

    @given(st.lists(st.sampled_from(EVENTS), max_size=60))
    def test_never_opens(self, events: list[str]) -> None:
        """Whatever happens."""
        breaker = Breaker(BreakerSettings(enabled=False, failures=1))
        self.assertTrue(breaker.allows(play(breaker, events)))
        self.assertIs(breaker.state, BreakerState.CLOSED)

    def test_turned_off_it_closes(self) -> None:
        """By a reload, from open and from half-open; what was counted is forgotten."""
        for half_open in (False, True):
            breaker = Breaker(SETTINGS)
            play(breaker, ["failed", "failed", *(["pass", "look", "began"] if half_open else [])])
            self.assertIsNot(breaker.state, BreakerState.CLOSED)
            breaker.configure(BreakerSettings(enabled=False))
            self.assertTrue(breaker.allows(0.0))
            breaker.configure(SETTINGS)
            self.assertFalse(breaker.failed(0.0, Lot(0.0)))

    def test_new_settings_keep_what_is_known(self) -> None:
        """It stays open for as long as it was to; only what follows is by the new ones."""
        breaker = Breaker(SETTINGS)
        play(breaker, ["failed", "failed"])
        until = breaker.until
        breaker.configure(BreakerSettings(failures=1, open=3.0))
        self.assertFalse(breaker.allows(until - 0.001))
        self.assertTrue(breaker.allows(until))
        breaker.failed(until, Lot(1.0))
        self.assertEqual(breaker.until - until, 6.0)
