"""Tracing turned on, changed, turned off, and stopped."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import TracingSettings
from aibrix_twisted.service.telemetry import sender
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.tracing import Tracing
from tests.house.tree import ROOT


class Sent:
    """In a sender's place."""

    made: list[Sent]

    def __init__(self, reactor: Any, wall_ns: Any, metrics: Any, rng: Any, url: str, instance: str) -> None:
        self.url = url
        self.closed: Deferred[None] | None = None
        self.made.append(self)

    def take(self, exchange: Any) -> None:
        pass

    async def close(self, in_thread: Any) -> None:
        self.closed = Deferred()
        await self.closed


class TracingTests(SynchronousTestCase):
    """By its settings."""

    def setUp(self) -> None:
        Sent.made = []
        self.patch(sender, "Sender", Sent)
        thread: Any = None
        self.tracing = Tracing(Clock(), lambda: 0, thread, Metrics(), random.Random(1), "i")

    def configure(self, endpoint: str, sample: float = 0.01) -> Any:
        """As a start and a reload do."""
        return self.tracing.configure(TracingSettings(endpoint=endpoint, sample=sample))

    def test_off(self) -> None:
        """Nothing is made, and nothing has to be stopped."""
        self.assertIsNone(self.configure(""))
        self.assertEqual(Sent.made, [])
        self.successResultOf(Deferred.fromCoroutine(self.tracing.stop()))

    def test_on(self) -> None:
        """To the address in full, with the share that is set."""
        tracer = self.configure("http://a:4318", 0.25)
        self.assertEqual(([one.url for one in Sent.made], tracer.sample), (["http://a:4318/v1/traces"], 0.25))
        self.assertEqual(tracer.over, Sent.made[0].take)

    def test_another_share(self) -> None:
        """Counts at once, and what waits goes on its way."""
        tracer = self.configure("http://a:4318", 0.25)
        self.assertIs(self.configure("http://a:4318/v1/traces", 0.5), tracer)
        self.assertEqual((tracer.sample, len(Sent.made)), (0.5, 1))

    def test_another_receiver(self) -> None:
        """Is sent what comes now; the old one is closed."""
        tracer = self.configure("http://a:4318")
        other = self.configure("http://b:4318")
        self.assertIsNot(other, tracer)
        self.assertEqual(
            [(one.url, one.closed is None) for one in Sent.made],
            [("http://a:4318/v1/traces", False), ("http://b:4318/v1/traces", True)],
        )

    def test_off_and_on(self) -> None:
        """As if it had not been."""
        self.configure("http://a:4318")
        self.assertIsNone(self.configure(""))
        self.assertIsNotNone(Sent.made[0].closed)
        self.assertIsNotNone(self.configure("http://a:4318"))
        self.assertEqual(len(Sent.made), 2)

    def test_stop_waits_for_all(self) -> None:
        """Also for what a reload turned off a moment ago; what fails there is logged, and is no reason not to stop."""
        self.configure("http://a:4318")
        self.configure("http://b:4318")
        stopped = Deferred.fromCoroutine(self.tracing.stop())
        self.assertNoResult(stopped)
        first, second = (one.closed for one in Sent.made)
        assert first is not None and second is not None
        first.errback(ZeroDivisionError())
        self.assertNoResult(stopped)
        second.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LoadedTests(SynchronousTestCase):
    """What is not wanted costs nothing."""

    def test_opentelemetry_is_not_loaded(self) -> None:
        """By a gateway that does not trace."""
        program = "import sys, aibrix_twisted.service.gateway; print('opentelemetry' in sys.modules)"
        ran = subprocess.run(
            (sys.executable, "-c", program), cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        self.assertEqual(ran.stdout.strip(), "False")
