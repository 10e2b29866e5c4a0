"""A reload whose outcome is seen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.failures import Refused
from tests.ctl.script import Script, ran


class ReloadTests(SynchronousTestCase):
    """aibrixctl reload."""

    def test_taken(self) -> None:
        """How many replicas there are now."""
        script = Script({"status": "reloaded", "replicas": 3})
        done = script.run("reload")
        self.assertEqual((done.code, done.out), (0, "reloaded; replicas: 3\n"))
        self.assertEqual(script.asked, [("POST", "/api/reload", None)])

    def test_refused(self) -> None:
        """Every problem, and exit code 1; a script has the document."""
        error = Refused("the file cannot be used", ["x.toml:1: a: b", "x.toml:2: c: d"], answer='{"problems":[]}')
        done = ran(error, "reload", "--json")
        self.assertEqual((done.code, done.out), (1, '{"problems":[]}\n'))
        self.assertEqual(done.err.splitlines()[1:], ["x.toml:1: a: b", "x.toml:2: c: d"])
