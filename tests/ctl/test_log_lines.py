"""Where lines come from."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.desk import Pace
from aibrix_twisted.ctl.failures import Misused
from aibrix_twisted.ctl.log_lines import followed, of_files, of_unit


class Over(Exception):
    """Nothing more will happen."""


class Fixture(SynchronousTestCase):
    """A folder."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "access.log"

    def add(self, data: bytes) -> None:
        """At the end of the file."""
        with self.path.open("ab") as file:
            file.write(data)


class FileTests(Fixture):
    """of_files."""

    def test_in_order(self) -> None:
        """Packed or not, and the standard input among them."""
        self.path.write_bytes(b"a\nb\n")
        packed = self.folder / "access.log.2.gz"
        packed.write_bytes(gzip.compress(b"c\nd\n"))
        self.patch(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"e\n")))
        self.assertEqual(list(of_files([str(self.path), "-", str(packed)])), [b"a\n", b"b\n", b"e\n", b"c\n", b"d\n"])

    def test_what_cannot_be_read(self) -> None:
        """The file is named, and why."""
        packed = self.folder / "cut.gz"
        packed.write_bytes(gzip.compress(b"x" * 1000)[:-12])
        for path, why in ((self.folder / "none", "No such file"), (self.folder, "Is a directory"), (packed, "end")):
            error = self.assertRaises(Misused, list, of_files([str(path)]))
            self.assertIn(f"{path}: expected a file of the access log (", str(error))
            self.assertIn(why, str(error))


class FollowTests(Fixture):
    """followed."""

    def lines(self, *happens: Callable[[], object], from_end: bool = False) -> list[bytes]:
        """All that come while this happens, one thing at each pause."""
        steps, got = list(happens), list[bytes]()

        def pause(seconds: float) -> None:
            if not steps:
                raise Over
            steps.pop(0)()

        lines = followed(str(self.path), Pace(lambda: 0.0, pause, lambda: 0.0), from_end=from_end)
        try:
            for line in lines:
                got.append(line)
        except Over:
            pass
        return got

    def test_what_comes(self) -> None:
        """In whole lines, however they come; what was there only where it is wanted."""
        for from_end in (False, True):
            self.path.write_bytes(b"old\n")
            got = self.lines(
                lambda: self.add(b"ne"), lambda: self.add(b"w\nnex"), lambda: self.add(b"t\n"), from_end=from_end
            )
            self.assertEqual(got, [b"old\n", b"new\n", b"next\n"][from_end:])

    def test_rotated(self) -> None:
        """To the end of the old one, then from the beginning of the new one; in between there may be none."""
        self.path.write_bytes(b"a\n")
        old = self.folder / "old"

        def last_of_the_old_one() -> None:
            with old.open("ab") as file:
                file.write(b"c\n")
            self.add(b"d\n")

        got = self.lines(
            lambda: self.add(b"b\n"),
            lambda: self.path.rename(old),
            last_of_the_old_one,
            lambda: self.add(b"e\n"),
        )
        self.assertEqual(got, [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"])

    def test_emptied(self) -> None:
        """Where it was copied and cut instead."""
        self.path.write_bytes(b"aaa\n")
        self.assertEqual(self.lines(lambda: self.path.write_bytes(b"b\n")), [b"aaa\n", b"b\n"])

    def test_none(self) -> None:
        """It has to be there."""
        self.assertRaises(Misused, self.lines)


class JournalTests(Fixture):
    """of_unit, with a command in the place of systemd's."""

    def journalctl(self, script: str) -> None:
        """What it does."""
        command = self.folder / "journalctl"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        os.environ["PATH"] = f"{self.folder}:{os.environ['PATH']}"

    def test_what_is_asked(self) -> None:
        """Of one unit, as it was written; since when; and what comes."""
        self.journalctl('printf "%s\\n" "$@"')
        always = [b"--output=cat\n", b"--no-pager\n", b"--quiet\n", b"--unit=gw\n"]
        self.assertEqual(list(of_unit("gw", None, follow=False)), always)
        self.assertEqual(list(of_unit("gw", 12.0, follow=False)), [*always, b"--since=@12\n"])
        self.assertEqual(list(of_unit("gw", None, follow=True)), [*always, b"--follow\n", b"--lines=0\n"])
        self.assertEqual(
            list(of_unit("gw", 12.0, follow=True)), [*always, b"--since=@12\n", b"--follow\n", b"--no-tail\n"]
        )

    def test_it_fails(self) -> None:
        """With its own words before ours."""
        self.journalctl("exit 1")
        self.assertRaises(Misused, list, of_unit("gw", None, follow=False))

    def test_nobody_wants_more(self) -> None:
        """It is ended."""
        self.journalctl("echo a; exec sleep 1000")
        lines = of_unit("gw", None, follow=True)
        self.assertEqual(next(lines), b"a\n")
        lines.close()  # type: ignore[attr-defined]

    def test_there_is_none(self) -> None:
        """As in a container."""
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        os.environ["PATH"] = str(self.folder)
        error = self.assertRaises(Misused, list, of_unit("gw", None, follow=False))
        self.assertEqual(error.notes, ["a file of the access log can be named: FILE"])
