"""A file that takes the rest of an answer: in order, within its bounds, and whatever the disk does."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.downstream.spool import TURN_BYTES, Spool
from aibrix_twisted.service.downstream.spools import Spools
from aibrix_twisted.service.telemetry.metrics import Metrics
from tests.fakes import MemoryReactor

_pwrite, _pread = os.pwrite, os.pread


class Reader:
    """A connection that takes what it is told to.

    @ivar most: bytes, after which it has enough; C{None}: it never has.
    """

    def __init__(self) -> None:
        self.got = b""
        self.ahead = 100
        self.most: int | None = None
        self.why = ""
        self.spool: Spool

    def write(self, data: bytes) -> None:
        self.got += data
        if self.most is not None and len(self.got) >= self.most:
            self.spool.pause()

    def cut_off(self, why: str) -> None:
        self.why = why


class SpoolTests(SynchronousTestCase):
    """The object that takes the writes."""

    def begin(self, *, paused: bool = True, **limits: Any) -> Spool:
        self.reactor, self.reader, metrics = MemoryReactor(), Reader(), Metrics()
        self.spools, self.outcomes = Spools(self.reactor, metrics), metrics.spooled
        self.spools.configure(Limits(slow_client="spool", spool_dir=tempfile.gettempdir(), **limits))
        self.exchange = Exchange("x", "192.0.2.1", "POST", "/", "chat", Stamps(0.0))
        spool = self.spools.begin(self.exchange, self.reader, paused=paused)
        assert isinstance(spool, Spool)
        self.reader.spool = spool
        self.addCleanup(spool.close, Spooled.LEFT)
        return spool

    def test_in_order(self) -> None:
        """What comes while it takes nothing, behind what was there."""
        spool = self.begin()
        for piece in (b"a" * 150, b"b" * 150, b"c"):
            spool.write(piece)
        self.assertEqual((self.reader.got, spool.size, self.spools.bytes), (b"", 301, 301))
        self.reader.most = 120
        spool.resume()
        self.assertEqual(len(self.reader.got), 200)
        spool.write(b"d")
        self.reader.most = None
        spool.resume()
        self.assertEqual(self.reader.got, b"a" * 150 + b"b" * 150 + b"cd")
        self.assertEqual((spool.size, self.spools.bytes, self.exchange.spooled_bytes), (0, 0, 302))

    def test_who_has_caught_up(self) -> None:
        """Is given what comes at once, until it has enough again."""
        spool = self.begin(paused=False)
        spool.write(b"a")
        self.assertEqual((self.reader.got, spool.size), (b"a", 0))
        spool.pause()
        spool.write(b"b")
        spool.resume()
        spool.write(b"c")
        self.assertEqual((self.reader.got, spool.size, self.exchange.spooled_bytes), (b"abc", 0, 1))

    def test_the_end(self) -> None:
        """Is told once all of it was given, which may be at once."""
        for pieces in ((), (b"a" * 50,), (b"a" * 250,)):
            spool, told = self.begin(), []
            for piece in pieces:
                spool.write(piece)
            spool.end(lambda told=told: told.append(len(self.reader.got)))  # type: ignore[misc]
            if pieces:
                self.assertEqual(told, [])
                spool.resume()
            self.assertEqual(told, [sum(map(len, pieces))])
            self.assertEqual((self.exchange.spooled, self.outcomes["taken"], spool.open), (Spooled.TAKEN, 1, False))
            self.assertEqual((self.spools.bytes, self.spools.open, spool.left), (0, set(), 0))

    def test_a_file_without_a_name(self) -> None:
        """It is in the folder that is set, and nobody can find it there, nor after a crash."""
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        spool = self.begin(paused=True)
        self.spools.configure(Limits(slow_client="spool", spool_dir=folder))
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool) and other._file is not None
        other.write(b"secret")
        self.assertEqual(os.listdir(folder), [])
        self.assertEqual(os.fstat(other._file.fileno()).st_dev, os.stat(folder).st_dev)
        self.assertEqual(os.fstat(other._file.fileno()).st_nlink, 0)
        other.close(Spooled.LEFT)
        self.assertEqual(self.spools.open, {spool})

    def test_a_client_that_has_become_fast(self) -> None:
        """Takes so much in one turn of the reactor, and no more."""
        spool = self.begin(spool_bytes=1 << 22)
        self.reader.ahead = 65536
        data = os.urandom(3 * TURN_BYTES)
        spool.write(data)
        spool.end(lambda: None)
        spool.resume()
        self.assertEqual(len(self.reader.got), TURN_BYTES)
        spool.pause()
        spool.resume()  # told so in between: the turn that is asked for already will do
        self.assertEqual(len(self.reader.got), TURN_BYTES)
        for _ in range(2):
            self.reactor.advance(0)
        self.assertEqual(self.reader.got, data)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left_amid_such_turns(self) -> None:
        """No call is left behind."""
        spool = self.begin(spool_bytes=1 << 22)
        self.reader.ahead = 65536
        spool.write(bytes(2 * TURN_BYTES))
        spool.resume()
        spool.close(Spooled.LEFT)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((spool.left, self.spools.bytes, self.exchange.spooled), (TURN_BYTES, 0, Spooled.LEFT))

    def test_bounds(self) -> None:
        """Of one, and of all together."""
        spool = self.begin(spool_bytes=65536)
        spool.write(bytes(65536))
        self.assertEqual(self.reader.why, "")
        spool.write(b"x")
        self.assertIn("more than the 65536 bytes", self.reader.why)
        self.assertEqual((self.exchange.spooled, self.spools.bytes, spool.left), (Spooled.FULL, 0, 65537))
        spool.write(b"y")
        self.assertEqual((spool.left, spool.passed, self.outcomes["full"]), (65538, 65538, 1))
        spool = self.begin(spool_bytes=100_000, spool_total_bytes=100_000)
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool)
        other.write(bytes(99_990))
        spool.write(bytes(11))
        self.assertIn("have the 100000 bytes", self.reader.why)
        other.write(bytes(10))
        self.assertIn("have the 100000 bytes", str(self.spools.begin(self.exchange, self.reader, paused=True)))
        self.assertEqual(self.outcomes["full"], 2)
        other.close(Spooled.LEFT)

    def failing(self, name: str, number: int) -> None:
        def fails(*args: Any) -> Any:
            raise OSError(number, os.strerror(number))

        self.patch(os, name, fails)

    def test_what_a_disk_may_do(self) -> None:
        """Full, over the quota, broken: whether it is written, read, or emptied."""
        for name, number, said in (
            ("pwrite", errno.ENOSPC, "could not be written: No space left on device"),
            ("pwrite", errno.EDQUOT, "could not be written: Disk quota exceeded"),
            ("pwrite", errno.EIO, "could not be written: Input/output error"),
            ("pread", errno.EIO, "could not be read"),
            ("ftruncate", errno.EIO, "could not be emptied"),
        ):
            spool = self.begin()
            spool.write(b"a")
            self.failing(name, number)
            if name == "pwrite":
                spool.write(b"b")
            else:
                spool.resume()
            self.assertIn(said, self.reader.why)
            self.assertEqual((spool.open, self.outcomes["failed"], self.spools.bytes), (False, 1, 0), name)
            self.assertEqual(spool.left, {"pwrite": 2, "pread": 1, "ftruncate": 0}[name])
            spool.end(lambda: self.fail("it is not given whole"))
            self.patch(os, name, {"pwrite": _pwrite, "pread": _pread}.get(name))

    def test_a_full_disk(self) -> None:
        """The system's own."""
        spool = self.begin()
        self.spools._new_file = lambda directory: open("/dev/full", "r+b", buffering=0)
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool)
        other.write(b"a")
        self.assertIn("No space left on device", self.reader.why)
        self.assertEqual((self.exchange.spooled, self.spools.open), (Spooled.FAILED, {spool}))

    def test_written_in_parts(self) -> None:
        """As a system may: the rest goes behind it."""
        self.patch(os, "pwrite", lambda fd, data, at: _pwrite(fd, data[:7], at))
        spool = self.begin()
        spool.write(b"0123456789" * 3)
        spool.write(b"abc")
        spool.resume()
        self.assertEqual(self.reader.got, b"0123456789" * 3 + b"abc")

    def test_a_file_that_somebody_cut(self) -> None:
        """Is not read for ever."""
        spool = self.begin()
        spool.write(b"abc")
        assert spool._file is not None
        os.ftruncate(spool._file.fileno(), 0)
        spool.resume()
        self.assertIn("has become shorter", self.reader.why)

    def test_no_file(self) -> None:
        """A folder that is gone, or no descriptors: the answer has no place, and says why."""
        self.begin()
        self.spools.configure(Limits(slow_client="spool", spool_dir="/nowhere"))
        self.assertEqual(
            self.spools.begin(self.exchange, self.reader, paused=True),
            "no file for its answer could be made: No such file or directory",
        )
        self.assertEqual((self.exchange.spooled, self.outcomes["failed"]), (Spooled.FAILED, 1))
