"""Which endings are breaks; what could be healed; what is asked of whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause, Ending, Outcome
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.service.exchange.answers import StreamAnswer
from aibrix_twisted.service.exchange.heal import HealedAnswer
from aibrix_twisted.service.exchange.healer import breaks
from tests.service.exchange.healed import CHAT, Healed


class Passed(StreamAnswer):
    """One of which is known what matters."""

    __slots__ = ("facts",)

    def __init__(self, *, finished: bool, done: bool, withheld: bytes) -> None:
        self.facts = (finished, done, withheld)

    finished = property(lambda self: self.facts[0])  # type: ignore[assignment]
    saw_done = property(lambda self: self.facts[1])  # type: ignore[assignment]
    withheld = property(lambda self: self.facts[2])  # type: ignore[assignment]


class Continued(HealedAnswer):
    """As above."""

    __slots__ = ()

    def __init__(self, *, declined: bool) -> None:
        self.declined = declined


def ending(outcome: Outcome, payload: Payload | None = Payload.CUT) -> Ending:
    """So it ended."""
    return Ending(Cause.UPSTREAM_CLOSED, outcome, payload, 1)


class BreaksTests(SynchronousTestCase):
    """Of a first stream, and of one that continues it."""

    def test_a_stream(self) -> None:
        """By how it ended, and by what the client has read."""
        for outcome, payload, finished, done, withheld, expected in (
            (Outcome.TRUNCATED, Payload.CUT, False, False, b"", True),
            (Outcome.BROKEN, Payload.CUT, False, False, b"", True),
            (Outcome.TRUNCATED, Payload.WHOLE, True, True, b"", True),
            (Outcome.TRUNCATED, Payload.CUT, False, True, b"", False),
            (Outcome.BROKEN, Payload.BROKEN, False, False, b"", False),
            (Outcome.BROKEN, Payload.BROKEN, False, False, b"data", True),
            (Outcome.BROKEN, Payload.CUT, False, True, b"data", True),
            (Outcome.MALFORMED, Payload.CUT, False, False, b"", True),
            (Outcome.MALFORMED, Payload.CUT, False, True, b"", False),
            (Outcome.MALFORMED, Payload.CUT, True, False, b"", False),
            (Outcome.COMPLETE, Payload.WHOLE, True, True, b"", False),
            (Outcome.TIMED_OUT, Payload.CUT, False, False, b"", False),
            (Outcome.ABANDONED, Payload.CUT, False, False, b"", False),
        ):
            answer = Passed(finished=finished, done=done, withheld=withheld)
            attempt: Any = SimpleNamespace(answer=answer, kept=object(), plan=None, defect=False)
            self.assertEqual(breaks(attempt, ending(outcome, payload)), expected, (outcome, payload, finished, done))
            attempt.kept = None
            self.assertFalse(breaks(attempt, ending(outcome, payload)))
            attempt.kept, attempt.defect = object(), True
            self.assertFalse(breaks(attempt, ending(outcome, payload)))

    def test_a_continuation(self) -> None:
        """Whatever did not bring the stream to its end, but for a deadline."""
        for outcome in Outcome:
            for answer in (None, Continued(declined=True), Continued(declined=False)):
                attempt: Any = SimpleNamespace(answer=answer, kept=None, plan=object(), defect=False)
                whole = outcome is Outcome.COMPLETE and answer is not None and not answer.declined
                expected = not whole and outcome is not Outcome.TIMED_OUT
                self.assertEqual(breaks(attempt, ending(outcome)), expected, (outcome, answer))


class AskedTests(SynchronousTestCase):
    """Who, and when."""

    def test_one_that_declined_before(self) -> None:
        """It may be asked to go on: it may have room by then."""
        healed = Healed(CHAT)
        first = healed.next()
        first.connection.dataReceived(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        )
        healed.bench.advance(0.2)
        second = healed.next()
        second.say(*second.events[:3], head=True)
        second.wire.lose()
        third = healed.next()
        third.say(*third.events, head=True, end=True)
        self.assertEqual((healed.check(self), healed.exchange.heal), ("complete", "healed"))

    def test_one_that_came_up_again(self) -> None:
        """It may go on with a stream that broke on it, once that of another has broken, too."""
        healed = Healed(CHAT)
        first = healed.next()
        busy = next(each for each in healed.replicas if each.load.in_flight)
        first.say(*first.events[:3], head=True)
        first.wire.lose()
        second = healed.next()
        second.say(*second.events[:2], head=True)
        busy.health.rises += 1
        second.wire.lose()
        third = healed.next()
        third.say(*third.events, head=True, end=True)
        self.assertEqual((healed.check(self), healed.exchange.tries[-1].replica), ("complete", busy.name))

    def test_one_that_hangs(self) -> None:
        """A continuation that nothing comes of, at a replica that answers no probe, is moved."""
        healed = Healed(CHAT, ("vllm",) * 3)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        first.wire.lose()
        healed.next()
        busy = next(each for each in healed.replicas if each.load.in_flight)
        busy.health._hangs = True
        healed.bench.advance(1.0)
        third = healed.next()
        third.say(*third.events, head=True, end=True)
        self.assertEqual((healed.check(self), healed.exchange.heal), ("complete", "healed"))
