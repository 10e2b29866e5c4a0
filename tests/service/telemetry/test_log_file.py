"""The file that lines go to: whole lines, one after the other, and nobody who waits for ever."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry import log_file
from aibrix_twisted.service.telemetry.log_file import LogFile

LINES = b"first\nsecond\nthird\n"


class Disk:
    """In the place of C{os.write}: takes so many bytes of each call, then fails."""

    def __init__(self, *takes: int, error: int = errno.ENOSPC) -> None:
        self.takes = list(takes)
        self.error = error
        self.write = os.write

    def __call__(self, fd: int, data: memoryview) -> int:
        if not self.takes:
            raise OSError(self.error, "no")
        return self.write(fd, data[: self.takes.pop(0)])


class FileTests(SynchronousTestCase):
    """A file on a disk."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "access.log"
        self.file = LogFile()
        self.addCleanup(self.file.close)

    def fails(self, disk: Disk, lines: bytearray) -> None:
        """Write while the disk is like that."""
        patch = self.patch(log_file.os, "write", disk)
        self.assertRaises(OSError, self.file.write, str(self.path), lines)
        patch.restore()

    def test_mode(self) -> None:
        """Whatever the process's mask; and a file that was there keeps its own."""
        self.addCleanup(os.umask, os.umask(0o077))
        self.file.write(str(self.path), bytearray(LINES))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)
        self.path.chmod(0o600)
        self.file.write(str(self.path), bytearray(LINES), renew=True)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(self.path.read_bytes(), LINES * 2)

    def test_a_full_disk(self) -> None:
        """It is gone on with where it stopped, in the middle of a line."""
        lines = bytearray(LINES)
        self.fails(Disk(3, 5), lines)
        self.assertEqual((self.path.read_bytes(), lines), (LINES[:8], LINES[8:]))
        self.assertEqual(self.file.write(str(self.path), lines), 0)
        self.assertEqual((self.path.read_bytes(), lines), (LINES, b""))

    def test_rotated_while_it_was_full(self) -> None:
        """The line whose beginning is in the old file is spoilt; the new one begins with a whole line."""
        lines = bytearray(LINES)
        self.fails(Disk(8), lines)
        self.path.rename(self.folder / "old")
        self.assertEqual(self.file.write(str(self.path), lines, renew=True), 1)
        self.assertEqual(self.path.read_bytes(), b"third\n")

    def test_rotated_between_two_lines(self) -> None:
        """Nothing is spoilt."""
        lines = bytearray(LINES)
        self.fails(Disk(6), lines)
        self.assertEqual(self.file.write(str(self.path), lines, renew=True), 0)
        self.assertEqual(self.path.read_bytes(), LINES)

    def test_any_other_error(self) -> None:
        """It is opened anew, for what is wrong may be wrong with what is open."""
        lines = bytearray(LINES)
        self.fails(Disk(6, error=errno.EIO), lines)
        self.path.rename(self.folder / "old")
        self.file.write(str(self.path), lines)
        self.assertEqual(self.path.read_bytes(), LINES[6:])

    def test_what_is_no_file(self) -> None:
        """A folder, and a pipe that nobody reads, are refused; the pipe is not waited for."""
        os.mkfifo(self.folder / "pipe")
        for name, error in (("", errno.EISDIR), ("pipe", errno.ENXIO)):
            raised = self.assertRaises(OSError, self.file.write, str(self.folder / name), bytearray(LINES))
            self.assertEqual(raised.errno, error)


class PipeTests(SynchronousTestCase):
    """A pipe, as the standard output is one."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.patch(log_file.sys, "__stdout__", os.fdopen(self.writer, "w"))
        self.file = LogFile()
        self.addCleanup(self.file.close)
        self.addCleanup(log_file.sys.__stdout__.close)  # type: ignore[union-attr]
        self.lines = bytearray(b"".join(b"%05d %b\n" % (number, b"x" * 300) for number in range(1000)))

    def test_nobody_reads(self) -> None:
        """As much as there is room for, in whole lines; then it does not wait, where it was hurried."""
        whole = bytes(self.lines)
        self.file.write("-", bytearray())
        self.file.hurry()
        self.assertEqual(self.file.write("-", self.lines), 0)
        self.assertTrue(0 < len(self.lines) < len(whole))
        self.assertTrue(whole.endswith(self.lines))
        self.assertEqual(whole[-len(self.lines) - 1 : -len(self.lines)], b"\n")

    def test_read_later(self) -> None:
        """The thread waits, and goes on."""
        whole, got = bytes(self.lines), bytearray()
        done: list[Any] = []
        thread = Thread(target=lambda: done.append(self.file.write("-", self.lines)))
        thread.start()
        while len(got) < len(whole):
            got += os.read(self.reader, 1 << 16)
        thread.join()
        self.assertEqual((done, bytes(got), self.lines), ([0], whole, b""))

    def test_a_line_longer_than_a_piece(self) -> None:
        """It goes out in several."""
        line = b"y" * 10_000 + b"\n"
        self.file.write("-", bytearray(line))
        self.assertEqual(os.read(self.reader, 20_000), line)

    def test_whoever_read_is_gone(self) -> None:
        """An error, and nothing that would end the process."""
        os.close(os.dup(self.reader))
        os.dup2(os.open(os.devnull, os.O_RDONLY), self.reader)
        raised = self.assertRaises(OSError, self.file.write, "-", self.lines)
        self.assertEqual(raised.errno, errno.EPIPE)
