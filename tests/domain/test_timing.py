"""When things happened, and what follows from it."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from operator import sub

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.timing import PHASES, Beats, Stamps, phases


class StampsTests(SynchronousTestCase):
    """What follows from when things happened."""

    def test_ttft_needs_both_ends(self) -> None:
        """No time to first token without a request, or without a token."""
        stamps = Stamps(1.0)
        self.assertIsNone(stamps.ttft_s)
        stamps.read = 2.0
        self.assertIsNone(stamps.ttft_s)
        stamps.first_byte = 2.5
        self.assertEqual(stamps.ttft_s, 0.5)

    def test_duration_from_acceptance_to_end(self) -> None:
        """Nothing while it is not over."""
        stamps = Stamps(1.0)
        self.assertEqual(stamps.duration_s, 0.0)
        stamps.ended = 4.0
        self.assertEqual(stamps.duration_s, 3.0)


def an_exchange(**stamps: float) -> Exchange:
    """Accepted at 0; the rest as said."""
    exchange = Exchange("id", "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(0.0))
    for name, at in stamps.items():
        setattr(exchange.stamps, name, at)
    return exchange


def a_record(ready: float, started: float, **stamps: float) -> AttemptRecord:
    record = AttemptRecord("gpu0", "m", Kind.FIRST, ready, started, Histogram([1.0]))
    for name, at in stamps.items():
        setattr(record, name, at)
    return record


class PhasesTests(SynchronousTestCase):
    """What lies between the stamps."""

    def took(self, exchange: Exchange) -> dict[str, float]:
        """By name, those that took any time."""
        return {name: round(took, 6) for name, took in zip(PHASES, phases(exchange), strict=True) if took}

    def test_a_stream(self) -> None:
        """All of them."""
        exchange = an_exchange(read=1.0, admitted=3.0, first_byte=90.0, ended=200.0)
        exchange.queued_s = 5.0
        exchange.served = a_record(12.0, 20.0, sent=30.0, first=60.0, ended=150.0)
        self.assertEqual(
            self.took(exchange),
            {
                "receive": 1.0,
                "admit": 2.0,
                "retry": 4.0,
                "queue": 5.0,
                "route": 8.0,
                "connect": 10.0,
                "engine": 30.0,
                "begin": 30.0,
                "stream": 60.0,
                "finish": 50.0,
            },
        )

    def test_an_answer_that_was_gathered(self) -> None:
        """It was begun when it was whole: that is its finish."""
        exchange = an_exchange(read=0.0, admitted=0.0, first_byte=9.0, ended=10.0)
        exchange.served = a_record(0.0, 0.0, sent=0.0, first=5.0, ended=8.0)
        self.assertEqual(self.took(exchange), {"engine": 5.0, "stream": 3.0, "finish": 2.0})

    def test_what_was_refused(self) -> None:
        """While it was read, or after it had waited."""
        self.assertEqual(self.took(an_exchange(ended=2.0)), {"receive": 2.0})
        late = an_exchange(read=1.0, admitted=2.0, ended=9.0)
        late.queued_s = 6.0
        self.assertEqual(self.took(late), {"receive": 1.0, "admit": 1.0, "queue": 6.0, "finish": 1.0})

    def test_what_came_to_nothing(self) -> None:
        """At each step of an attempt."""
        exchange = an_exchange(read=0.0, admitted=0.0, ended=9.0)
        exchange.served = a_record(0.0, 1.0, ended=8.0)
        self.assertEqual(self.took(exchange), {"route": 1.0, "connect": 7.0, "finish": 1.0})
        exchange.served.sent = 3.0
        self.assertEqual(self.took(exchange), {"route": 1.0, "connect": 2.0, "engine": 5.0, "finish": 1.0})

    @given(st.lists(st.floats(0, 100), min_size=9, max_size=9), st.integers(0, 9), st.floats(0, 1))
    def test_they_add_up(self, steps: list[float], known: int, share: float) -> None:
        """To the duration, however far it came, and none is negative."""
        at = list(accumulate(steps))
        names = ("read", "admitted", "ready", "started", "sent", "first", "first_byte", "over", "ended")
        when: dict[str, float | None] = {name: t for name, t in zip(names, at, strict=True)}
        for name in names[known:-1]:
            when[name] = None
        exchange = an_exchange(ended=at[-1])
        for name in ("read", "admitted", "first_byte"):
            setattr(exchange.stamps, name, when[name])
        if when["ready"] is not None and when["admitted"] is not None:
            exchange.queued_s = share * (when["ready"] - when["admitted"])
            exchange.served = a_record(when["ready"], at[3], sent=when["sent"], first=when["first"], ended=at[7])  # type: ignore[arg-type]
        took = phases(exchange)
        self.assertAlmostEqual(sum(took), exchange.stamps.duration_s)
        self.assertGreaterEqual(min(took), -1e-9, dict(zip(PHASES, took, strict=True)))


class BeatsTests(SynchronousTestCase):
    """The gaps between reads."""

    @given(st.lists(st.integers(0, 100), max_size=200))
    def test_every_gap_is_counted_once(self, times: list[int]) -> None:
        """And the newest time is known."""
        gaps = Histogram(range(101))
        beats = Beats(gaps)
        times.sort()
        for at in times:
            beats.beat(float(at))
        counted = Counter(map(sub, times[1:], times))
        self.assertEqual(gaps.counts, tuple(counted[gap] for gap in range(102)))
        self.assertEqual(beats.last, times[-1] if times else None)
