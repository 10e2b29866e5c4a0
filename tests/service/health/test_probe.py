"""Active probes: what they ask, what they make of the answers, and whom they forget."""

from __future__ import annotations

import errno
import random
from typing import Any

from twisted.internet.defer import TimeoutError
from twisted.internet.error import (
    ConnectBindError,
    ConnectError,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
)
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.python.failure import Failure

from aibrix_twisted.domain.health import ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.service.health.fetch import TooLong
from aibrix_twisted.service.health.probe import SOON_S, TICK_S, Verdict
from tests.fakes import replica
from tests.service.health.prober import ENTRIES, LIST, ProberTestCase


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

        def forget(asked: Replica, verdict: Verdict, sent: float) -> None:
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
            (502, b"", bad + "status 502", bad + "status 502"),
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

    def test_a_list_that_cannot_be_made(self) -> None:
        """Where it is known what is served, C{/health} decides, but for SGLang's; else it is of no use."""
        failed = Verdict(ProbeResult.FAILED, "GET /v1/models: status 500")
        for engine, models, health, verdict in (
            ("openai", ("m",), 200, Verdict(ProbeResult.PASSED)),
            ("", ("m",), 200, Verdict(ProbeResult.PASSED)),
            ("openai", ("m",), 404, failed),
            ("openai", ("m",), 503, failed),
            ("openai", None, 200, failed),
            ("sglang", ("m",), 200, failed),
            ("vllm", ("m",), 200, Verdict(ProbeResult.PASSED)),
            ("vllm", None, 200, failed),
        ):
            self.fetching.ready = {b"/health": (health, b""), b"/v1/models": (500, b"")}
            asked = self.watched(engine=engine, models=models)
            self.assertEqual(self.verdict, verdict, (engine, models, health))
            self.assertEqual(
                self.fetching.paths().count(b"/health"),
                int(engine == "vllm" or (models is not None and engine != "sglang")),
            )
            self.prober.forget(asked)

    def test_failures(self) -> None:
        """What no answer at all says: nothing is there, or it is slow, or neither can be told."""
        for error, result, why in (
            (ConnectionRefusedError("refused"), ProbeResult.REFUSED, "refused"),
            (NoRouteError("no way"), ProbeResult.REFUSED, "no way"),
            (ConnectError(errno.EHOSTUNREACH, "no way"), ProbeResult.REFUSED, "no way"),
            (DNSLookupError("no such name"), ProbeResult.FAILED, "no such name"),
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

    def test_asked_before_it_became_suspect(self) -> None:
        """It passes, which says nothing of what it is now: it is asked again at once."""
        asked = self.watched()
        asked.health.configure(HealthSettings(), BreakerSettings(), self.clock.seconds())
        self.prober._report = lambda found, verdict, sent: found.health.probed_with(
            verdict.result, verdict.why, self.clock.seconds(), in_flight=0, sent=sent
        )
        self.clock.advance(0.01)
        asked.health.failed("reset", self.clock.seconds(), random.Random(1), broke=True)
        self.answer()
        self.assertTrue(asked.health.suspect)
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer()
        self.assertFalse(asked.health.suspect)
        self.pass_time(1.0)
        self.assertEqual(len(self.times), 2)

    def test_a_report_that_fails(self) -> None:
        """Is logged, and the replica is asked again all the same."""
        wrong: Any = lambda asked, verdict, sent: 1 // 0  # noqa: E731
        self.prober._report = wrong
        self.watched()
        self.answer()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.pass_time(6.0)
        self.assertEqual(len(self.times), 2)
