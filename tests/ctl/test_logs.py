"""The command."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl import logs as command
from aibrix_twisted.ctl.failures import Misused
from aibrix_twisted.ctl.logs import since_of
from tests.ctl.script import Script
from tests.ctl.test_log_filter import a_record


class LogsTests(SynchronousTestCase):
    """aibrixctl logs."""

    def setUp(self) -> None:
        self.path = Path(tempfile.mkdtemp()) / "access.log"
        records = [
            a_record(id="a"),
            a_record(id="b", status=502, error="engine_broke", reason="reset"),
            a_record(id="c"),
        ]
        self.lines = [orjson.dumps(record).decode() + "\n" for record in records]
        self.path.write_text(f"2026 [-] serving\n{''.join(self.lines)}")

    def test_for_people(self) -> None:
        """A line each; with an id, all of it."""
        done = Script().run("logs", str(self.path))
        self.assertEqual((done.code, done.err, len(done.out.splitlines())), (0, "", 3))
        done = Script().run("logs", "--errors", str(self.path))
        self.assertEqual(len(done.out.splitlines()), 1)
        self.assertTrue(done.out.endswith("engine_broke: reset\n"))
        self.assertTrue(Script().run("logs", "--request", "b", str(self.path)).out.startswith("b\n  time "))

    def test_for_scripts(self) -> None:
        """The lines as they are."""
        self.assertEqual(Script().run("logs", "--json", str(self.path)).out, "".join(self.lines))

    def test_since(self) -> None:
        """By the clock."""
        script = Script()
        script.wall += 60
        self.assertEqual(script.run("logs", "--since", "59s", str(self.path)).out, "")
        self.assertEqual(len(script.run("logs", "--since", "61s", str(self.path)).out.splitlines()), 3)

    def test_nothing_of_the_log(self) -> None:
        """It is said, beside."""
        self.path.write_text("2026 [-] serving\n")
        done = Script().run("logs", str(self.path))
        self.assertEqual((done.code, done.out), (0, ""))
        self.assertIn("none of what was read is a line of the access log", done.err)

    def test_the_journal(self) -> None:
        """Where no file is named."""
        asked = []

        def of_unit(unit: str, since: float | None, *, follow: bool) -> list[bytes]:
            asked.append((unit, since, follow))
            return [line.encode() for line in self.lines]

        self.patch(command, "of_unit", of_unit)
        self.assertEqual(len(Script().run("logs").out.splitlines()), 3)
        Script().run("logs", "--unit", "gw", "--since", "10s", "-f")
        self.assertEqual(asked, [("aibrix-gateway", None, False), ("gw", 1699999990.0, True)])

    def test_what_contradicts(self) -> None:
        """2, and what was expected."""
        for arguments, said in (
            (("--unit", "gw", "file"), "expected one of them"),
            (("-f", "a", "b"), "--follow: found 2 files, expected one"),
            (("--since", "yesterday", "file"), "--since: found 'yesterday', expected 30s, 15m, 2h, 1d or a time"),
        ):
            done = Script().run("logs", *arguments)
            self.assertEqual(done.code, 2)
            self.assertIn(said, done.err)


class SinceTests(SynchronousTestCase):
    """since_of."""

    def test_ago(self) -> None:
        """In four units."""
        self.assertEqual(
            [since_of(text, 1e6) for text in ("30s", "1.5m", "2h", "1d")], [999970, 999910, 992800, 913600]
        )

    def test_a_time(self) -> None:
        """With an offset, and without."""
        self.assertEqual(since_of("2023-11-14T22:13:20.500Z", 0), 1700000000.5)
        self.assertEqual(since_of("2023-11-14 23:13:20+01:00", 0), 1700000000)
        self.assertEqual(since_of("2023-11-14", 0), datetime(2023, 11, 14).timestamp())

    def test_what_is_neither(self) -> None:
        """It is refused."""
        for text in ("", "soon", "15", "-5m", "0001-01-01", "2023-13-01"):
            self.assertRaises(Misused, since_of, text, 0.0)
