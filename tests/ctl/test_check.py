"""A file, validated as the daemon does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.script import Ran, Script

WRONG = '[[replica]]\nurl = "gpu0"\n[timeouts]\nstall = "long"\nconect = 1\n'


class CheckTests(SynchronousTestCase):
    """aibrixctl check."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name, "gateway.toml")

    def check(self, text: str, *options: str) -> Ran:
        """Check this text; no gateway answers anything."""
        self.path.write_text(text)
        return Script().run("check", str(self.path), *options)

    def test_a_good_file(self) -> None:
        """What is in it."""
        done = self.check('[[replica]]\nurl = "http://gpu0:8000"\n')
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(done.out, f"{self.path}: valid; [[replica]]: 1, [[model]]: 0\n")
        self.assertEqual(self.check("", "--json").out, '{"problems":[]}\n')

    def test_a_wrong_file(self) -> None:
        """Each problem in a line that begins with the file and the line, and nothing else."""
        done = self.check(WRONG)
        self.assertEqual((done.code, done.out), (2, ""))
        lines = sorted(done.err.splitlines())
        self.assertEqual(len(lines), 2)
        self.assertIn(f'{self.path}:4: timeouts.stall: found "long", expected a number', lines[0])
        self.assertIn(f"{self.path}:5: timeouts.conect: found an unknown key, expected one of", lines[1])

    def test_for_scripts(self) -> None:
        """The same problems as a document."""
        done = self.check(WRONG, "--json")
        self.assertEqual(done.code, 2)
        self.assertEqual(orjson.loads(done.out)["problems"], done.err.splitlines())

    def test_no_file(self) -> None:
        """It is named, with the reason."""
        done = Script().run("check", str(self.path))
        self.assertEqual((done.code, done.err), (2, f"{self.path}: cannot be read: No such file or directory\n"))

    def test_no_reactor_is_chosen(self) -> None:
        """Nothing that a check loads imports one."""
        program = (
            "import io, sys\nfrom tests.ctl.script import Script\n"
            f"Script().run('check', {str(self.path)!r})\nprint('twisted.internet.reactor' in sys.modules)"
        )
        self.path.write_text("")
        done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(done.stdout, "False\n")
