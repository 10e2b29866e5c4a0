"""Why one request went where it did."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.failures import Refused
from tests.ctl.script import Script

ANSWER: dict[str, Any] = {
    "id": "x y",
    "model": "m",
    "decisions": [
        {
            "at": "2026-01-01T00:00:00Z",
            "policy": "least-work",
            "model": "m",
            "replica": "gpu1",
            "prompt": {"bytes": 760, "blocks": 5},
            "fallbacks": [{"policy": "least-work", "reason": "no_prompt"}],
            "candidates": [
                {"replica": "gpu0", "figures": {"score": 1.5, "load": None}},
                {"replica": "gpu1", "figures": {"score": 0.25, "load": 2.0}},
            ],
        }
    ],
    "replica": "gpu1",
    "attempts": 1,
    "status": 200,
    "outcome": "complete",
    "ttft_s": 0.5,
    "duration_s": 2.0,
}


class ExplainTests(SynchronousTestCase):
    """aibrixctl explain."""

    def test_it(self) -> None:
        """The candidates side by side, the chosen one marked."""
        script = Script(ANSWER)
        done = script.run("explain", "x y")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(script.asked, [("GET", "/api/explain/x%20y", None)])
        self.assertIn("x y: complete, status 200, first token 500ms, 2.00s in all", done.out)
        self.assertIn("least-work chose gpu1, a prompt of 760 bytes in 5 blocks", done.out)
        self.assertIn("least-work had to do without: no_prompt", done.out)
        self.assertEqual(done.rows[-3:], [["REPLICA", "SCORE", "LOAD"], ["gpu0", "1.5", "-"], ["> gpu1", "0.25", "2"]])

    def test_under_way(self) -> None:
        """It has come to nothing yet."""
        done = Script({**ANSWER, "outcome": None, "status": None, "ttft_s": None, "replica": ""}).run("explain", "x")
        self.assertIn("under way, first token -", done.out)
        self.assertIn("answered by nobody", done.out)

    def test_not_known(self) -> None:
        """The gateway says so."""
        done = Script(Refused("no decision for a request 'x' is recorded, or not any more")).run("explain", "x")
        self.assertEqual(done.code, 1)
        self.assertIn("no decision", done.err)
