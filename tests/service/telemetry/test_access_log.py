"""The access log: every line once, none lost in silence, nothing secret."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import AccessLogSettings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.telemetry import access_log
from aibrix_twisted.service.telemetry.access_log import AccessLog
from aibrix_twisted.service.telemetry.metrics import Metrics


def an_exchange(id: str = "x") -> Exchange:
    """One that is over."""
    exchange = Exchange(id, "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(1.0))
    exchange.stamps.ended = 1.25
    exchange.outcome, exchange.cause = Outcome.COMPLETE, Cause.FINAL_CHUNK
    return exchange


class Lots:
    """Drawn in order."""

    def __init__(self, *lots: float) -> None:
        self.lots = list(lots)

    def random(self) -> float:
        return self.lots.pop(0)

    def randrange(self, stop: int, /) -> int:
        raise AssertionError


class AccessLogTests(SynchronousTestCase):
    """Batches, a thread, a file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.held: list[tuple[Any, Deferred[int]]] = []
        self.hold = False
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "access.log"

    def in_thread(self, write: Any) -> Deferred[int]:
        """At once, or when the test says so."""
        if self.hold:
            self.held.append((write, Deferred()))
            return self.held[-1][1]
        try:
            return succeed(write())
        except OSError as error:
            return fail(error)

    def let_go(self) -> None:
        """The thread comes to it."""
        self.hold = False
        write, written = self.held.pop()
        written.callback(write())

    def a_log(self, path: str | None = None, *lots: float, **more: Any) -> AccessLog:
        """Started."""
        self.settings = AccessLogSettings(path=str(self.path) if path is None else path, **more)
        log = AccessLog(self.settings, self.clock, lambda: 1.0, self.in_thread, self.metrics, Lots(*lots))
        log.start()
        return log

    def tick(self) -> None:
        """It is time to write."""
        self.clock.pump([0.1] * 2)

    def ids(self) -> list[str]:
        """Those written so far."""
        return [orjson.loads(line)["id"] for line in self.path.read_bytes().splitlines()] if self.path.exists() else []

    def test_batches(self) -> None:
        """Nothing on the path; all of it at the next tick; nothing twice."""
        log = self.a_log()
        log.append(an_exchange("a"))
        log.append(an_exchange("b"))
        self.assertEqual(self.ids(), [])
        self.tick()
        self.assertEqual(self.ids(), ["a", "b"])

    def test_off(self) -> None:
        """Nothing is kept for nobody."""
        log = self.a_log("")
        log.append(an_exchange("a"))
        self.tick()
        self.assertEqual((os.listdir(self.folder), self.metrics.access_log_dropped), ([], 0))

    def test_a_slow_disk_delays_and_loses_nothing(self) -> None:
        """While one batch is written the next waits."""
        log = self.a_log()
        self.tick()
        self.hold = True
        log.append(an_exchange("a"))
        self.tick()
        log.append(an_exchange("b"))
        self.tick()
        self.assertEqual(len(self.held), 1)
        self.let_go()
        self.tick()
        self.assertEqual(self.ids(), ["a", "b"])

    def test_a_path_that_is_no_good(self) -> None:
        """Said at the start, and once; what comes meanwhile is kept, and written when that can be."""
        log = self.a_log(str(self.folder / "nowhere" / "access.log"))
        self.tick()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        for id in "abc":
            log.append(an_exchange(id))
            self.tick()
        self.assertEqual(self.flushLoggedErrors(OSError), [])
        self.path = self.folder / "nowhere" / "access.log"
        self.path.parent.mkdir()
        log.append(an_exchange("d"))
        self.tick()
        self.assertEqual((self.ids(), self.metrics.access_log_dropped), (list("abcd"), 0))

    def test_bounded(self) -> None:
        """With a disk that hangs, lines are dropped and counted, not kept for ever."""
        log = self.a_log()
        self.tick()
        self.patch(access_log, "MAX_BYTES", 2000)
        self.hold = True
        for number in range(90):
            log.append(an_exchange(str(number)))
            self.tick()
        self.assertLess(len(log._lines) + len(log._batch), 4000)
        dropped = self.metrics.access_log_dropped
        self.assertGreater(dropped, 80)
        self.let_go()
        self.tick()
        self.assertEqual(self.ids(), [str(number) for number in range(90 - dropped)])

    def test_opened_anew(self) -> None:
        """After a rotation lines go to the new file, which is there at once; what was on its way is in the old one."""
        log = self.a_log()
        log.append(an_exchange("old"))
        self.tick()
        rotated = self.folder / "rotated"
        self.hold = True
        log.append(an_exchange("on its way"))
        self.tick()
        os.rename(self.path, rotated)
        log.configure(self.settings)
        log.append(an_exchange("new"))
        self.let_go()
        self.assertEqual(len(rotated.read_bytes().splitlines()), 2)
        self.tick()
        self.assertEqual(self.ids(), ["new"])
        os.unlink(self.path)
        log.configure(self.settings)
        self.tick()
        self.assertTrue(self.path.exists())

    def test_turned_off_and_on(self) -> None:
        """What came before it is turned off is written; what comes then is nobody's."""
        log = self.a_log()
        log.append(an_exchange("before"))
        log.configure(AccessLogSettings(path=""))
        log.append(an_exchange("nobody's"))
        self.tick()
        self.assertEqual(self.ids(), ["before"])
        self.assertIsNone(log._file._fd)
        log.configure(self.settings)
        log.append(an_exchange("after"))
        self.tick()
        self.assertEqual(self.ids(), ["before", "after"])
        log.configure(AccessLogSettings(path=""))
        self.assertIsNone(log._file._fd)

    def test_turned_on_later(self) -> None:
        """It was off at the start."""
        log = self.a_log("")
        log.configure(AccessLogSettings(path=str(self.path)))
        log.append(an_exchange("a"))
        self.tick()
        self.assertEqual(self.ids(), ["a"])

    def test_stopping_writes_what_waits(self) -> None:
        """To the last line."""
        log = self.a_log()
        log.append(an_exchange("last"))
        self.successResultOf(Deferred.fromCoroutine(log.stop()))
        self.assertEqual(self.ids(), ["last"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_before_a_pipe_that_nobody_reads(self) -> None:
        """It is waited for a second; what is lost is counted, and said."""
        log = self.a_log()
        self.tick()
        self.hold = True
        log.append(an_exchange("a"))
        self.tick()
        stopped = Deferred.fromCoroutine(log.stop())
        self.assertNoResult(stopped)
        self.clock.advance(access_log.PATIENCE_S)
        self.assertTrue(log._file._hurried)
        self.hold = False
        self.patch(log, "_in_thread", lambda write: fail(OSError("nobody reads")))
        self.held.pop()[1].errback(OSError("nobody reads"))
        self.successResultOf(stopped)
        self.assertEqual((self.metrics.access_log_dropped, self.ids()), (1, []))
        self.flushLoggedErrors(OSError)

    def test_sample(self) -> None:
        """Of what went well a share, drawn by lot; the line says which."""
        log = self.a_log(None, 0.24, 0.25, 0.9, 0.0, sample=0.25)
        for id in "abcd":
            log.append(an_exchange(id))
        self.tick()
        self.assertEqual(self.ids(), ["a", "d"])
        self.assertEqual(orjson.loads(self.path.read_bytes().splitlines()[0])["sample"], 0.25)

    def test_what_failed_or_was_slow_is_always_there(self) -> None:
        """Nothing is drawn for it."""
        log = self.a_log(sample=0.0, slow=0.2)
        refused, abandoned, said, slow, late, quick = map(
            an_exchange, ("refused", "abandoned", "said", "slow", "late", "quick")
        )
        refused.stamps.ended = abandoned.stamps.ended = said.stamps.ended = 1.1
        refused.outcome, refused.error = None, "gateway_no_replica"
        abandoned.outcome = Outcome.ABANDONED
        said.status = 400
        late.stamps.read, late.stamps.first_byte = 1.0, 1.21
        late.stamps.ended = 9.0
        quick.stamps.read, quick.stamps.first_byte = 1.0, 1.2
        quick.stamps.ended = 9.0
        self.patch(log, "_random", lambda: 0.0)
        for exchange in (refused, abandoned, said, slow, late, quick):
            log.append(exchange)
        self.tick()
        lines = [orjson.loads(line) for line in self.path.read_bytes().splitlines()]
        self.assertEqual(
            [(line["id"], line["slow"], line["sample"]) for line in lines],
            [("refused", False, 1), ("abandoned", False, 1), ("said", False, 1), ("slow", True, 1), ("late", True, 1)],
        )

    def test_nothing_is_slow(self) -> None:
        """With 0."""
        log = self.a_log(slow=0.0)
        log.append(an_exchange())
        self.tick()
        self.assertIs(orjson.loads(self.path.read_bytes())["slow"], False)
