"""Where an exchange is, by its stamps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.live import LiveState, state_of
from aibrix_twisted.domain.timing import Stamps


def record(**stamps: float) -> AttemptRecord:
    """An attempt with these stamps."""
    made = AttemptRecord("gpu0", "m", Kind.FIRST, 1.0, 1.1, Histogram([1.0]))
    for name, at in stamps.items():
        setattr(made, name, at)
    return made


class StateTests(SynchronousTestCase):
    """state_of."""

    def setUp(self) -> None:
        self.exchange = Exchange("a", "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(1.0))

    def is_in(self, state: LiveState) -> None:
        """It is."""
        self.assertIs(state_of(self.exchange), state)

    def test_from_first_to_last(self) -> None:
        """Each stamp leads on."""
        stamps = self.exchange.stamps
        self.is_in(LiveState.RECEIVING)
        stamps.head = 1.1
        self.is_in(LiveState.RECEIVING)
        stamps.read = stamps.admitted = 1.2
        self.is_in(LiveState.WAITING)
        one = record()
        self.exchange.tries.append(one)
        self.is_in(LiveState.CONNECTING)
        one.sent = 1.3
        self.is_in(LiveState.AWAITING_FIRST_TOKEN)
        one.head = 1.4
        self.is_in(LiveState.AWAITING_FIRST_TOKEN)
        one.first = 1.5
        self.is_in(LiveState.STREAMING)
        stamps.first_byte = 1.6
        self.is_in(LiveState.STREAMING)
        one.ended = 1.7
        self.is_in(LiveState.STREAMING)
        stamps.ended = 1.8
        self.is_in(LiveState.OVER)

    def test_an_attempt_that_came_to_nothing(self) -> None:
        """Between two attempts it waits; what the first one had does not count for the second."""
        self.exchange.stamps.read = 1.2
        self.exchange.tries.append(record(sent=1.3, first=1.4, ended=1.5))
        self.is_in(LiveState.WAITING)
        self.exchange.tries.append(record())
        self.is_in(LiveState.CONNECTING)

    def test_two_attempts_at_once(self) -> None:
        """The one that is further counts, whichever it is."""
        self.exchange.stamps.read = 1.2
        self.exchange.tries += [record(sent=1.3), record()]
        self.is_in(LiveState.AWAITING_FIRST_TOKEN)
        self.exchange.tries += [record(sent=1.3, first=1.4)]
        self.is_in(LiveState.STREAMING)

    def test_refused_at_once(self) -> None:
        """What was never read can be over."""
        self.exchange.stamps.ended = 1.1
        self.is_in(LiveState.OVER)
