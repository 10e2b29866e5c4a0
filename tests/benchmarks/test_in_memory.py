"""The benchmarks in memory: that they measure what they say.  What that costs is not asserted here."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import healing, telemetry, tracing
from benchmarks.in_memory import MODELS


class TelemetryTests(SynchronousTestCase):
    """One gateway tells, the other is silent."""

    def log_file(self) -> Path:
        """One that is not there yet."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name) / "access.log"

    def test_who_tells(self) -> None:
        """Each exchange is in the log, and counted for its model, with its tokens."""
        log = self.log_file()
        scene = telemetry.Scene(str(log))
        scene.requests()
        scene.short_streams()
        scene.stream()
        count = 2 * telemetry.REQUESTS + 1
        self.assertEqual(len(log.read_bytes().splitlines()), count)
        metrics = scene.gateway.metrics
        self.assertEqual(sum(metrics.requests.values()), count)
        self.assertEqual({(status, outcome) for _, _, status, outcome in metrics.requests}, {(200, "complete")})
        self.assertEqual(set(metrics.models), set(MODELS))
        self.assertTrue(all(meters.tokens["output"] for meters in metrics.models.values()))
        itl = sum(sum(pair.itl.counts) for pair in metrics.pairs.values())
        self.assertEqual(itl, telemetry.EVENTS + count // 2 + 1)

    def test_who_is_silent(self) -> None:
        """It does the same, and nothing is written or counted of it."""
        scene = telemetry.Scene()
        scene.requests()
        scene.stream()
        self.assertEqual(scene.gateway.exchanges.book.ended, telemetry.REQUESTS + 1)
        self.assertEqual(dict(scene.gateway.metrics.requests), {})
        self.assertEqual(scene.gateway.access_log._lines, b"")

    def test_for_longer_than_a_connection_serves(self) -> None:
        """Its client connects again, and so does it to the engine."""
        scene = telemetry.Scene()
        for _ in range(1100 // telemetry.REQUESTS):
            scene.requests()
        self.assertEqual(len(scene.gateway.reactor.connects), 2)

    def test_what_is_called_directly(self) -> None:
        """Each part takes something."""
        scene = telemetry.Scene(str(self.log_file()))
        exchanges = telemetry.harvest(scene)
        self.assertEqual(len(set(map(id, exchanges))), 16 * telemetry.REQUESTS)
        self.assertTrue(all(us > 0 for us in telemetry.kept_us(exchanges, 1).values()))
        self.assertGreater(telemetry.kept_event_us(1), 0)


class OtherTests(SynchronousTestCase):
    """What has a scene of its own."""

    def test_healing(self) -> None:
        """A round finds out by itself whether the stream was whole, and kept where it should be."""
        for mode in ("off", "text", "exact"):
            way = healing.Way(mode)
            way.round()
            self.assertLess(way.best_us, float("inf"))

    def test_tracing(self) -> None:
        """With a line of the client's."""
        scene = tracing.Scene("", None)
        scene.requests(3)
        scene.requests(3, b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
        self.assertEqual(scene.gateway.exchanges.book.ended, 6)
        self.assertRaises(RuntimeError, scene.sent, 1)
