"""Active probes: whom they ask, when, and what they make of the answers."""

from __future__ import annotations

import errno
import random
from collections import Counter
from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
)
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.service.health.fetch import TooLong
from aibrix_twisted.service.health.probe import MAX_AT_ONCE, MAX_LIST_BYTES, SOON_S, TICK_S, Prober, Verdict
from tests.fakes import replica

LIST = b'{"object": "list", "data": [{"id": "m", "owned_by": "vllm"}, {"id": ""}, {"no": "id"}]}'
ENTRIES = [{"id": "m", "owned_by": "vllm"}]
SETTINGS = HealthSettings(probe_interval=5.0, probe_timeout=2.0)


class Fetching:
    """In the fetcher's place: the test answers, or each path has its answer ready.

    @ivar asked: when, whom, which path, and the answer to come.
    @ivar ready: by path; what is none of them waits for the test.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str, bytes, Deferred[tuple[int, bytes]]]] = []
        self.ready: dict[bytes, tuple[int, bytes]] = {}
        self.cancelled = 0

    def get(self, asked: Replica, path: bytes, max_bytes: int, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """A question."""
        assert (max_bytes, timeout_s) == (MAX_LIST_BYTES, 2.0)
        answer: Deferred[tuple[int, bytes]] = Deferred(self.cancel)
        if path in self.ready:
            answer = succeed(self.ready[path])
        self.asked.append((self.clock.seconds(), asked.name, path, answer))
        return answer

    def cancel(self, answer: Deferred[tuple[int, bytes]]) -> None:
        """It is broken off."""
        self.cancelled += 1
        answer.errback(CancelledError())

    def paths(self) -> list[bytes]:
        """Those asked for since the last time."""
        paths = [path for _, _, path, _ in self.asked]
        self.asked.clear()
        return paths


class ProberTestCase(SynchronousTestCase):
    """A prober without a network, which has been started and watches nobody."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetching = Fetching(self.clock)
        self.reported: list[tuple[str, Verdict]] = []
        self.prober = Prober(self.clock, self.fetching, self.report, random.Random(1))  # type: ignore[arg-type]
        self.prober.configure(SETTINGS)
        self.prober.start()
        self.addCleanup(self.prober.stop)

    def report(self, asked: Replica, verdict: Verdict) -> None:
        """From the prober."""
        self.reported.append((asked.name, verdict))

    def pass_time(self, seconds: float) -> None:
        """Tick by tick."""
        self.clock.pump([TICK_S] * round(seconds / TICK_S))

    def answer(self, status: int = 200, body: bytes = LIST) -> None:
        """To the newest question."""
        self.fetching.asked[-1][3].callback((status, body))

    def watched(self, name: str = "gpu0", models: tuple[str, ...] | None = ("m",), engine: str = "openai") -> Replica:
        """One that is watched, and has been asked."""
        found = replica(name, models, engine=engine)
        self.prober.watch(found)
        self.pass_time(TICK_S)
        return found

    @property
    def times(self) -> list[float]:
        """When somebody was asked."""
        return [at for at, _, _, _ in self.fetching.asked]

    @property
    def verdict(self) -> Verdict:
        """The newest."""
        return self.reported[-1][1]


class WhenTests(ProberTestCase):
    """Whose turn it is."""

    def test_at_once(self) -> None:
        """At the next tick after it is known; before the start nobody is."""
        self.watched()
        self.assertEqual((self.times, self.prober.under_way), ([TICK_S], 1))
        other = Prober(self.clock, self.fetching, self.report, random.Random(1))  # type: ignore[arg-type]
        other.watch(replica("early"))
        self.assertFalse(other.running)
        self.pass_time(1.0)
        self.assertEqual(len(self.times), 1)

    def test_once_an_interval(self) -> None:
        """From the answer on, a tenth more or less, by lot, so that those that came together do not stay together."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        self.watched()
        self.pass_time(200.0)
        waits = [after - before for before, after in pairwise(self.times)]
        self.assertGreater(len(waits), 30)
        self.assertGreaterEqual(min(waits), 4.5 - 1e-6)
        self.assertLessEqual(max(waits), 5.5 + TICK_S + 1e-6)
        self.assertGreater(max(waits) - min(waits), 0.5)

    def test_one_question_at_a_time(self) -> None:
        """Who has not answered is not asked again."""
        self.watched()
        self.pass_time(60.0)
        self.assertEqual((len(self.times), self.prober.under_way), (1, 1))
        self.answer()
        self.pass_time(6.0)
        self.assertEqual(len(self.times), 2)

    def test_soon_where_it_failed(self) -> None:
        """Each second, until it passes."""
        self.watched()
        for _ in range(3):
            self.answer(500)
            self.pass_time(SOON_S - 2 * TICK_S)
            self.assertEqual(self.prober.under_way, 0)
            self.pass_time(3 * TICK_S)
            self.assertEqual(self.prober.under_way, 1)
        self.answer()
        self.pass_time(4.0)
        self.assertEqual(self.prober.under_way, 0)

    def test_soon_while_it_is_down(self) -> None:
        """Also where it passes, as long as that is not often enough to have it up."""
        down = self.watched()
        down.health = Health(HealthSettings(rise=3), BreakerSettings())
        down.health.probed_with(ProbeResult.REFUSED, "gone", self.clock.seconds(), in_flight=0)
        self.answer()
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(self.prober.under_way, 1)

    def test_soon_while_it_is_unknown(self) -> None:
        """Whoever lives, but has not said what it serves."""
        self.watched(models=None)
        self.answer(404)
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 2)

    def test_an_interval_below_a_second(self) -> None:
        """Is the pace of those that fail, too."""
        self.prober.configure(HealthSettings(probe_interval=0.3))
        self.watched()
        self.answer(500)
        self.pass_time(0.4)
        self.assertEqual(self.prober.under_way, 1)

    def test_kicked(self) -> None:
        """Asked now, whenever its turn would have been, and from then on as ever; while it is asked, that will do."""
        kicked = self.watched()
        self.prober.kick(kicked)
        self.answer()
        self.pass_time(2.0)
        self.assertEqual(len(self.times), 1)
        for _ in range(5):
            self.prober.kick(kicked)
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer()
        self.pass_time(4.4)
        self.assertEqual(len(self.times), 2, "the turn that it would have had is not another one")
        self.pass_time(1.2)
        self.assertEqual(len(self.times), 3)

    def test_a_thousand(self) -> None:
        """No more than so many at once; whoever answers makes room, and all of them have their turn."""
        many = [replica(f"gpu{number}", engine="openai") for number in range(1000)]
        for one in many:
            self.prober.watch(one)
        self.pass_time(1.0)
        self.assertEqual((len(self.times), self.prober.under_way), (MAX_AT_ONCE, MAX_AT_ONCE))
        while self.prober.under_way:
            self.assertLessEqual(self.prober.under_way, MAX_AT_ONCE)
            for _, _, _, answer in self.fetching.asked[-self.prober.under_way :]:
                answer.callback((200, LIST))
            if len(self.reported) < len(many):
                self.pass_time(TICK_S)
        self.assertEqual(Counter(name for name, _ in self.reported), Counter(one.name for one in many))
        self.assertLess(self.clock.seconds(), 5.0)

    def test_a_thousand_keep_their_pace(self) -> None:
        """With answers that come at once, each is asked once an interval, and after a minute they are spread over it."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        for number in range(1000):
            self.prober.watch(replica(f"gpu{number}", engine="openai"))
        self.pass_time(60.0)
        counts = Counter(name for _, name, _, _ in self.fetching.asked)
        self.assertEqual(len(counts), 1000)
        self.assertTrue(all(10 <= count <= 14 for count in counts.values()), counts.most_common(1))
        self.fetching.asked.clear()
        self.pass_time(5.0)
        self.assertLess(max(Counter(round(at, 1) for at in self.times).values()), 100)


class ForgettingTests(ProberTestCase):
    """Who is not asked any more."""

    def test_forgotten_before_its_turn(self) -> None:
        """It never comes."""
        gone = replica("gpu0")
        self.prober.watch(gone)
        self.prober.forget(gone)
        self.pass_time(10.0)
        self.assertEqual(self.fetching.asked, [])

    def test_forgotten_while_it_is_asked(self) -> None:
        """The question is broken off, and nothing is reported of it; a second time it is nothing new."""
        gone = self.watched()
        self.prober.forget(gone)
        self.prober.forget(gone)
        self.pass_time(10.0)
        self.assertEqual((self.fetching.cancelled, self.reported, len(self.times)), (1, [], 1))

    def test_forgotten_beneath_its_own_report(self) -> None:
        """The answer was the last of it."""
        gone = replica("gpu0")

        def forget(asked: Replica, verdict: Verdict) -> None:
            self.prober.forget(asked)

        self.prober._report = forget
        self.prober.watch(gone)
        self.pass_time(TICK_S)
        self.answer()
        self.pass_time(20.0)
        self.assertEqual(len(self.times), 1)

    def test_watched_again(self) -> None:
        """It is asked as if it were new."""
        back = self.watched()
        self.prober.forget(back)
        self.prober.watch(back)
        self.pass_time(TICK_S)
        self.assertEqual((len(self.times), self.prober.under_way), (2, 1))
        self.answer()
        self.assertEqual(len(self.reported), 1)

    def test_stopped(self) -> None:
        """All are forgotten; nothing is left to do, and it may be said twice."""
        self.watched("gpu0")
        self.watched("gpu1")
        self.prober.stop()
        self.prober.stop()
        self.assertEqual((self.fetching.cancelled, self.prober.under_way, self.prober.running), (2, 0, False))
        self.assertEqual((self.clock.getDelayedCalls(), self.reported), ([], []))


class WhatTests(ProberTestCase):
    """Questions and verdicts."""

    def test_health_comes_first(self) -> None:
        """Of engines that answer it for nothing; never of SGLang, which would generate, nor of one that is unknown."""
        for engine, paths in (
            ("vllm", [b"/health", b"/v1/models"]),
            ("trtllm", [b"/health", b"/v1/models"]),
            ("llamacpp", [b"/health", b"/v1/models"]),
            ("sglang", [b"/v1/models"]),
            ("openai", [b"/v1/models"]),
            ("", [b"/v1/models"]),
        ):
            self.fetching.ready = {b"/health": (200, b""), b"/v1/models": (200, LIST)}
            asked = self.watched(engine, engine=engine)
            self.assertEqual(self.fetching.paths(), paths, engine)
            self.assertEqual(self.verdict, Verdict(ProbeResult.PASSED, "", ENTRIES))
            self.prober.forget(asked)

    def test_not_well(self) -> None:
        """Its models are not asked for then: the list is there long after the engine has died."""
        self.watched(engine="vllm")
        for status in (500, 502, 503):
            self.answer(status)
            self.assertEqual(self.verdict, Verdict(ProbeResult.FAILED, f"GET /health: status {status}"))
            self.assertEqual(self.fetching.paths(), [b"/health"])
            self.pass_time(SOON_S + TICK_S)

    def test_no_such_path(self) -> None:
        """Where there is no C{/health} it is not asked for again, until the replica is another one."""
        for status in (404, 405, 501):
            asked = self.watched(engine="vllm")
            self.fetching.ready[b"/v1/models"] = (200, LIST)
            self.answer(status)
            self.assertEqual(self.verdict.result, ProbeResult.PASSED)
            self.assertEqual(self.fetching.paths(), [b"/health", b"/v1/models"])
            self.pass_time(11.2)
            self.assertEqual(set(self.fetching.paths()), {b"/v1/models"})
            self.prober.forget(asked)
            self.prober.watch(asked)
            self.pass_time(TICK_S)
            self.assertEqual(self.fetching.paths(), [b"/health"])
            self.prober.forget(asked)

    def test_health_that_is_not_for_us(self) -> None:
        """A key that is wanted there says nothing of the engine; it is asked again each time."""
        self.watched(engine="vllm")
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        self.answer(401)
        self.assertEqual(self.verdict.result, ProbeResult.PASSED)
        self.fetching.asked.clear()
        self.pass_time(6.0)
        self.assertEqual(self.fetching.paths(), [b"/health"])

    def test_lists(self) -> None:
        """Every status and body, of a replica whose models are known and of one whose are not."""
        bad = "GET /v1/models: "
        for status, body, known, unknown in (
            (200, LIST, ENTRIES, ENTRIES),
            (200, b'{"data": []}', [], []),
            (200, b"[]", bad + "expected an object with a list 'data'", bad + "expected an object with a list 'data'"),
            (200, b"", bad + "not JSON", bad + "not JSON"),
            (200, b"<html>", bad + "not JSON", bad + "not JSON"),
            (404, b"", None, bad + "status 404"),
            (401, b"", None, bad + "status 401"),
            (302, b"", None, bad + "status 302"),
            (500, b"", bad + "status 500", bad + "status 500"),
            (503, LIST, bad + "status 503", bad + "status 503"),
        ):
            for models, expected in ((("m",), known), (None, unknown)):
                asked = self.watched(models=models)
                self.answer(status, body)
                if isinstance(expected, str):
                    self.assertEqual((self.verdict.result, self.verdict.entries), (ProbeResult.FAILED, None))
                    self.assertTrue(self.verdict.why.startswith(expected), self.verdict)
                else:
                    self.assertEqual(self.verdict, Verdict(ProbeResult.PASSED, "", expected), (status, models))
                self.prober.forget(asked)

    def test_failures(self) -> None:
        """What no answer at all says: nothing is there, or it is slow, or neither can be told."""
        for error, result, why in (
            (ConnectionRefusedError("refused"), ProbeResult.REFUSED, "refused"),
            (NoRouteError("no way"), ProbeResult.REFUSED, "no way"),
            (ConnectError(errno.EHOSTUNREACH, "no way"), ProbeResult.REFUSED, "no way"),
            (DNSLookupError("no such name"), ProbeResult.REFUSED, "no such name"),
            (TimeoutError("2 s"), ProbeResult.TIMED_OUT, "in time"),
            (ConnectTimedOut("2 s"), ProbeResult.TIMED_OUT, "in time"),
            (ConnectionLost("lost"), ProbeResult.FAILED, "lost"),
            (TooLong("long"), ProbeResult.FAILED, "long"),
            (ZeroDivisionError("ours"), ProbeResult.FAILED, "ours"),
            (ConnectBindError(errno.EMFILE, "none left"), ProbeResult.FAILED, "none left"),
            (ConnectError(errno.EADDRNOTAVAIL, "none left"), ProbeResult.FAILED, "none left"),
        ):
            asked = self.watched()
            self.fetching.asked[-1][3].errback(Failure(error))
            self.assertEqual((self.verdict.result, self.verdict.entries), (result, None), error)
            self.assertIn(why, self.verdict.why)
            self.prober.forget(asked)

    def test_a_report_that_fails(self) -> None:
        """Is logged, and the replica is asked again all the same."""
        wrong: Any = lambda asked, verdict: 1 // 0  # noqa: E731
        self.prober._report = wrong
        self.watched()
        self.answer()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.pass_time(6.0)
        self.assertEqual(len(self.times), 2)


class SettingsTests(ProberTestCase):
    """Intervals that change, and none at all."""

    def setUp(self) -> None:
        super().setUp()
        self.off = HealthSettings(probe_interval=0.0)

    def test_off(self) -> None:
        """It is asked until it has answered, and then no more."""
        self.prober.configure(self.off)
        asked = self.watched(models=None)
        for _ in range(3):
            self.answer(503)
            self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 4)
        asked.models, asked.engine = ("m",), "vllm"  # as the keeper does with an answer
        self.answer()
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 4)

    def test_off_with_models_that_are_configured(self) -> None:
        """It is asked for its engine; where nothing is there yet, again; one that has no list has said enough."""
        self.prober.configure(self.off)
        self.watched(engine="")
        self.answer(503)
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer(404)
        self.pass_time(600.0)
        self.assertEqual((len(self.times), self.verdict.result), (2, ProbeResult.PASSED))

    def test_off_where_all_is_configured(self) -> None:
        """There is nothing to learn: once is enough."""
        self.prober.configure(self.off)
        self.watched(engine="openai")
        self.answer(503)
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 1)

    def test_turned_on(self) -> None:
        """All are asked."""
        self.prober.configure(self.off)
        for name in ("gpu0", "gpu1"):
            self.watched(name)
            self.answer()
        self.pass_time(60.0)
        self.prober.configure(SETTINGS)
        self.pass_time(TICK_S)
        self.assertEqual((len(self.times), self.prober.under_way), (4, 2))

    def test_turned_off(self) -> None:
        """After the one that was planned."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        self.watched()
        self.prober.configure(self.off)
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 2)

    def test_more_often(self) -> None:
        """Nobody waits for a turn that is an hour off; more seldom, or as often, changes no turn."""
        self.prober.configure(HealthSettings(probe_interval=3600.0))
        self.watched()
        self.answer()
        self.prober.configure(SETTINGS)
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer()
        self.prober.configure(SETTINGS)
        self.prober.configure(HealthSettings(probe_interval=60.0))
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
