"""The access log: every line once, none lost in silence, nothing secret."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.telemetry import access_log
from aibrix_twisted.service.telemetry.access_log import AccessLog
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.record import line_of


def an_exchange(id: str = "x") -> Exchange:
    """One that is over."""
    exchange = Exchange(id, "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(1.0))
    exchange.stamps.ended = 1.25
    exchange.outcome, exchange.cause = Outcome.COMPLETE, Cause.FINAL_CHUNK
    return exchange


class LineTests(SynchronousTestCase):
    """One JSON object a line."""

    def test_schema(self) -> None:
        """Every member, in its unit."""
        line = line_of(an_exchange(), 1700000000.5)
        self.assertTrue(line.endswith(b"}\n"))
        record = orjson.loads(line)
        self.assertEqual(record["time"], "2023-11-14T22:13:20.500Z")
        self.assertEqual((record["duration_s"], record["ttft_s"], record["outcome"]), (0.25, None, "complete"))
        self.assertEqual(
            sorted(record),
            sorted(
                "time id client method path route model replica policy attempts status outcome cause error reason stream "
                "edited bytes_in bytes_out events input_tokens output_tokens cached_tokens queued_s ttft_s duration_s".split()
            ),
        )


class AccessLogTests(SynchronousTestCase):
    """Batches, a thread, a file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.held: list[tuple[Any, Deferred[None]]] = []
        self.hold = False
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "access.log"

    def in_thread(self, write: Any) -> Deferred[None]:
        """At once, or when the test says so."""
        if self.hold:
            self.held.append((write, Deferred()))
            return self.held[-1][1]
        try:
            write()
        except OSError:
            from twisted.python.failure import Failure

            failed: Deferred[None] = Deferred()
            failed.errback(Failure())
            return failed
        return succeed(None)

    def a_log(self, path: str) -> AccessLog:
        """Started."""
        log = AccessLog(path, self.clock, lambda: 1.0, self.in_thread, self.metrics)
        log.start()
        return log

    def ids(self) -> list[str]:
        """Those written so far."""
        return [orjson.loads(line)["id"] for line in self.path.read_bytes().splitlines()] if self.path.exists() else []

    def test_batches(self) -> None:
        """Nothing on the path; all of it at the next tick; nothing twice."""
        log = self.a_log(str(self.path))
        log.append(an_exchange("a"))
        log.append(an_exchange("b"))
        self.assertEqual(self.ids(), [])
        self.clock.pump([0.1] * 3)
        self.assertEqual(self.ids(), ["a", "b"])

    def test_a_slow_disk_delays_and_loses_nothing(self) -> None:
        """While one batch is written the next waits."""
        log = self.a_log(str(self.path))
        self.hold = True
        log.append(an_exchange("a"))
        self.clock.pump([0.1] * 3)
        log.append(an_exchange("b"))
        self.clock.pump([0.1] * 3)
        self.assertEqual(len(self.held), 1)
        write, written = self.held.pop()
        self.hold = False
        write()
        written.callback(None)
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.ids(), ["a", "b"])

    def test_a_disk_that_fails(self) -> None:
        """Counted, said once, and tried again: writing resumes when it can."""
        log = self.a_log(str(self.folder / "nowhere" / "access.log"))
        for _ in range(3):
            log.append(an_exchange())
            self.clock.pump([0.1] * 2)
        self.assertEqual(self.metrics.access_log_dropped, 3)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        (self.folder / "nowhere").mkdir()
        log.append(an_exchange("later"))
        self.clock.pump([0.1] * 2)
        self.assertIn(b"later", (self.folder / "nowhere" / "access.log").read_bytes())

    def test_bounded(self) -> None:
        """With a disk that hangs, lines are dropped and counted, not kept for ever."""
        log = self.a_log(str(self.path))
        self.patch(access_log, "MAX_WAITING", 5)
        self.hold = True
        for _ in range(9):
            log.append(an_exchange())
        self.assertEqual(self.metrics.access_log_dropped, 4)

    def test_reopened(self) -> None:
        """After a rotation lines go to the new file; a path may be turned off and on."""
        log = self.a_log(str(self.path))
        log.append(an_exchange("old"))
        self.clock.pump([0.1] * 2)
        os.rename(self.path, self.folder / "rotated")
        log.reopen(str(self.path))
        log.append(an_exchange("new"))
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.ids(), ["new"])
        log.reopen("")
        log.append(an_exchange("nobody's"))
        self.clock.pump([0.1] * 2)
        log.reopen(str(self.path))
        log.append(an_exchange("again"))
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.ids(), ["new", "again"])

    def test_stopping_writes_what_waits(self) -> None:
        """To the last line."""
        log = self.a_log(str(self.path))
        log.append(an_exchange("last"))
        self.successResultOf(Deferred.fromCoroutine(log.stop()))
        self.assertEqual(self.ids(), ["last"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
