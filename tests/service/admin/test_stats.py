"""Figures."""

from __future__ import annotations

import re

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.errors import UpstreamBroke
from aibrix_twisted.service.admin.look import timestamp
from aibrix_twisted.service.telemetry.recent import Recent
from tests.service.admin.exchanges_of import complete, receiving, refused, tried
from tests.service.admin.listener import AdminState, Listener


class FigureTests(SynchronousTestCase):
    """C{/api/stats} and C{/api/fleet}."""

    def setUp(self) -> None:
        self.state = AdminState()
        self.clock = Clock()
        self.state.recent = Recent(self.clock, self.state.metrics)
        self.state.recent.start()
        self.addCleanup(self.state.recent.stop)
        self.listener = Listener(self.state)

    def count(self) -> None:
        """Two exchanges that end within a second: one by way of a retry, one that no replica had."""
        metrics = self.state.metrics
        exchange = complete()
        for record in exchange.tries:
            metrics.count_attempt(record, streamed=record.first is not None)
        record = exchange.tries[-1]
        for _ in range(2):
            metrics.gaps_of("m", "gpu0").observe(0.02)
        metrics.count(exchange)
        metrics.count(refused())
        failed = AttemptRecord("gpu0", "m", Kind.FIRST, 1.0, 1.0, Histogram([1.0]))
        for failed.outcome in (Outcome.TIMED_OUT, Outcome.ABANDONED):
            metrics.count_attempt(failed, streamed=False)
        self.clock.advance(2)

    def test_now(self) -> None:
        """What is under way, and where; nothing that has happened yet."""
        for exchange in (receiving(), tried("a"), tried("b")):
            self.state.book.begun(exchange)
        said = self.listener.ask(b"GET", b"/api/stats").document
        self.assertEqual(
            said["states"],
            {"receiving": 1, "waiting": 0, "connecting": 0, "awaiting_first_token": 2, "streaming": 0},
        )
        self.assertEqual((said["under_way"], said["ended"], said["waiting"]), (3, 0, {"m": 2}))
        self.assertEqual(said["connections"], {"clients": 3, "upstream_idle": 1, "upstream_busy": 2})
        self.assertEqual((said["uptime_s"], said["ready"], said["draining"]), (12.0, True, False))
        self.assertTrue(re.fullmatch(r"\d+\.\d+\.\d+.*", said["version"]))
        self.assertEqual((said["last_10s"]["requests_per_s"], said["last_10s"]["ttft_s"]), (0.0, None))
        self.assertEqual(said["models"], [])

    def test_lately(self) -> None:
        """Rates by the time that was looked at, and quantiles."""
        self.count()
        said = self.listener.ask(b"GET", b"/api/stats").document
        for window in (said["last_10s"], said["last_60s"]):
            self.assertEqual((window["seconds"], window["requests_per_s"]), (2.0, 1.0))
            self.assertEqual(window["outcomes_per_s"], {"complete": 0.5, "refused": 0.5})
            self.assertEqual(window["statuses_per_s"], {"200": 0.5, "503": 0.5})
            self.assertEqual(window["errors_per_s"], {"gateway_no_replica": 0.5})
            self.assertEqual((window["input_tokens_per_s"], window["output_tokens_per_s"]), (2.5, 4.0))
            self.assertEqual(window["ttft_s"], {"count": 1, "p50": 0.875, "p90": 0.975, "p99": 0.9975})
            self.assertEqual(window["itl_s"]["count"], 2)
            self.assertEqual(window["own_s"]["count"], 1)
            self.assertIsNone(window["queued_s"])
        (model,) = said["models"]
        self.assertEqual((model["name"], model["last_10s"]["requests_per_s"]), ("m", 1.0))
        self.assertNotIn("errors_per_s", model["last_10s"])
        self.clock.pump([1] * 10)
        said = self.listener.ask(b"GET", b"/api/stats").document
        self.assertEqual((said["last_10s"]["requests_per_s"], said["last_60s"]["seconds"]), (0.0, 12.0))

    def test_fleet(self) -> None:
        """Each replica with what came of it lately; a client that left is no failure of it."""
        self.count()
        self.state.keeper.fleet.replicas[0].load.lease("m")
        said = self.listener.ask(b"GET", b"/api/fleet").document
        first, second = said["replicas"]
        self.assertEqual(first["name"], "gpu0")
        lately = first["last_10s"]
        self.assertEqual((lately["attempts_per_s"], lately["failed_per_s"]), (1.5, 0.5))
        self.assertEqual((lately["ttft_s"]["count"], lately["itl_s"]["count"]), (1, 2))
        self.assertEqual((second["last_10s"]["attempts_per_s"], second["last_10s"]["ttft_s"]), (0.0, None))
        (model,) = said["models"]
        self.assertEqual((model["name"], model["in_flight"], model["waiting"]), ("m", 1, 2))
        self.assertEqual(said["problems"], [])
        listed = self.listener.ask(b"GET", b"/api/replicas").document["replicas"]
        self.assertEqual(
            [{**one, "last_10s": None} for one in listed], [{**one, "last_10s": None} for one in said["replicas"]]
        )

    def test_not_ready(self) -> None:
        """It says so, and that it drains."""
        self.state.ready, self.state.draining = False, True
        said = self.listener.ask(b"GET", b"/api/stats").document
        self.assertEqual((said["ready"], said["draining"]), (False, True))

    def test_errors_have_their_type(self) -> None:
        """As errors_total has it."""
        exchange = complete()
        exchange.failed(UpstreamBroke("x"))
        self.state.metrics.count(exchange)
        self.clock.advance(1)
        said = self.listener.ask(b"GET", b"/api/stats").document
        self.assertEqual(said["last_10s"]["errors_per_s"], {"engine_broke": 1.0})


class TimestampTests(SynchronousTestCase):
    """look.timestamp."""

    def test_form(self) -> None:
        """RFC 3339, always to the microsecond."""
        self.assertEqual(timestamp(0), "1970-01-01T00:00:00.000000Z")
        self.assertEqual(timestamp(1767225600.25), "2026-01-01T00:00:00.250000Z")
