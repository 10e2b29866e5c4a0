"""Handshakes: counted, and told, but not too often."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.metrics import HANDSHAKES
from aibrix_twisted.service.tls.handshakes import TOLD_EVERY_S, Handshakes


class HandshakeTests(SynchronousTestCase):
    """Of all clients."""

    def setUp(self) -> None:
        self.said: list[LogEvent] = []
        globalLogPublisher.addObserver(self.said.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.said.append)
        self.clock = Clock()
        self.handshakes = Handshakes(self.clock.seconds, dict.fromkeys(HANDSHAKES, 0))

    def test_each_outcome(self) -> None:
        """A client that leaves is counted, and no more."""
        self.handshakes.complete()
        self.handshakes.over("192.0.2.7", Failure(ConnectionLost()))
        self.assertEqual(self.said, [])
        self.handshakes.over("192.0.2.7", Failure(SSL.Error([("a", "", "no shared cipher")])))
        self.handshakes.late("192.0.2.7")
        self.assertEqual(self.handshakes.counts, {"complete": 1, "failed": 1, "late": 1, "gone": 1})
        self.assertEqual([(each["client"], each["reason"]) for each in self.said], [("192.0.2.7", "no shared cipher")])

    def test_a_flood(self) -> None:
        """One is told in a while, and how many there were besides."""
        for _ in range(1000):
            self.handshakes.late("192.0.2.7")
        self.assertEqual((len(self.said), self.said[0]["more"]), (1, ""))
        self.clock.advance(TOLD_EVERY_S)
        self.handshakes.late("192.0.2.8")
        self.assertEqual(len(self.said), 2)
        self.assertIn("999 more", self.said[1]["more"])
