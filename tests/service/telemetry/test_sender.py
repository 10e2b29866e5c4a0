"""Spans handed on, and what is lost counted and said, seldom."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry import sender
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.sender import FLUSH_S, SAY_EVERY_S, Sender
from tests.service.telemetry.test_spans import an_exchange, record

URL = "http://receiver:4318/v1/traces"


class Reactor(Clock):
    """A clock to which threads may speak."""

    def callFromThread(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)


class Way:
    """In an outlet's place."""

    def __init__(self, url: str, instance: str, new_id: Callable[[], int], told: Callable[[int, str], None]) -> None:
        self.told = told
        self.new_id = new_id
        self.put_in: list[tuple[Exchange, int]] = []
        self.room = True
        self.given_up = False

    def complaints(self) -> list[str]:
        return ["the environment is odd"]

    def put(self, exchange: Exchange, ended_ns: int) -> bool:
        if self.room:
            self.put_in.append((exchange, ended_ns))
        return self.room

    def close(self) -> None:
        self.told(3 * len(self.put_in), "")

    def give_up(self) -> None:
        self.given_up = True


class SenderTests(SynchronousTestCase):
    """With a way that does as the test says."""

    def setUp(self) -> None:
        self.said: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_format") and event["log_namespace"].endswith("telemetry.sender"):
                self.said.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.patch(sender, "Outlet", Way)
        self.reactor, self.metrics = Reactor(), Metrics()
        self.sender = Sender(self.reactor, lambda: 10**18, self.metrics, random.Random(1), URL, "i")
        self.way: Any = self.sender._outlet

    def lost(self) -> dict[str, int]:
        """What was, and why."""
        return {why: count for why, count in self.metrics.spans_dropped.items() if count}

    def test_complaints(self) -> None:
        """Are said at the start."""
        self.assertEqual(self.said, ["tracing: the environment is odd"])

    def test_taken(self) -> None:
        """Handed on with the time of day; the spans are counted when the receiver has them."""
        one, other = an_exchange(record()), an_exchange(record(), record())
        self.sender.take(one)
        self.sender.take(other)
        self.assertEqual(self.way.put_in, [(one, 10**18), (other, 10**18)])
        self.assertEqual(self.metrics.spans_exported, 0)
        self.way.told(8, "")
        self.assertEqual((self.metrics.spans_exported, self.lost()), (8, {}))

    def test_ids(self) -> None:
        """Of spans are some, and differ."""
        ids = {self.way.new_id() for _ in range(100)}
        self.assertEqual((len(ids), min(ids) > 0, max(ids) < 1 << 64), (100, True, True))

    def test_no_room(self) -> None:
        """Counted."""
        self.way.room = False
        self.sender.take(an_exchange(record()))
        self.assertEqual((self.way.put_in, self.lost()), ([], {"full": 3}))

    def test_away(self) -> None:
        """All that is lost is counted; it is said at once, and then once a minute, with how many it were since."""
        self.said.clear()
        for seconds, lines in ((0.0, 1), (1.0, 1), (SAY_EVERY_S - 2, 1), (1.0, 2), (SAY_EVERY_S - 1, 2), (1.0, 3)):
            self.reactor.advance(seconds)
            self.sender.take(an_exchange(record()))
            self.way.told(3, "nobody listens")
            self.assertEqual(len(self.said), lines, seconds)
        self.assertEqual(self.lost(), {"failed": 18})
        self.assertEqual(
            self.said, [f"{count} spans are lost: {URL} does not take them: nobody listens" for count in (3, 9, 6)]
        )

    def test_close(self) -> None:
        """What waits is sent in a thread, and then it is over."""
        self.said.clear()
        self.sender.take(an_exchange(record()))
        self.successResultOf(Deferred.fromCoroutine(self.sender.close(lambda call: succeed(call()))))
        self.assertEqual((self.metrics.spans_exported, self.lost(), self.said), (3, {}, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_close_within_a_bound(self) -> None:
        """What was not taken by then is lost, counted once, and said; whatever comes of it later is nothing."""
        self.said.clear()
        self.sender.take(an_exchange(record()))
        self.way.told(1, "")
        closing = Deferred.fromCoroutine(self.sender.close(lambda call: Deferred()))
        self.reactor.advance(FLUSH_S - 0.1)
        self.assertNoResult(closing)
        self.reactor.advance(0.2)
        self.successResultOf(closing)
        self.assertTrue(self.way.given_up)
        self.assertEqual(self.said, [f"2 spans are lost: {URL} did not take them within 5 s"])
        self.way.told(2, "given up")
        self.assertEqual((self.metrics.spans_exported, self.lost()), (1, {"stopped": 2}))
