"""One request's time."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.failures import Refused
from tests.ctl.script import Script, ran
from tests.ctl.test_requests import request


def timeline(**facts: Any) -> dict[str, Any]:
    """One that two replicas were tried for."""
    attempt = {"replica": "gpu9", "model": "m", "kind": "first", "ready": 0.25, "started": 0.25, "sent": None,
               "head": None, "first": None, "last": None, "ended": 0.5, "status": None, "outcome": "broken",
               "fault": "connection refused", "ttft_s": None}  # fmt: skip
    second = {**attempt, "replica": "gpu0", "kind": "retry", "ready": 0.5, "started": 0.5, "sent": 0.75, "head": 1.0,
              "first": 1.25, "last": 3.0, "ended": 3.0, "status": 200, "outcome": "complete", "fault": ""}  # fmt: skip
    stamps = {"accepted": 0.0, "head": 0.125, "read": 0.25, "admitted": 0.25, "first_byte": 1.25, "ended": 3.0}
    return {
        **request(state="over", outcome="complete", status=200, ttft_s=1.0, duration_s=3.0),
        "cause": "final_chunk", "edited": ["model"], "stamps": stamps, "own_s": 0.0001, "tpot_s": 0.25,
        "phases": {"receive": 0.25, "retry": 0.25, "engine": 0.5, "stream": 1.75}, "tries": [attempt, second], **facts,
    }  # fmt: skip


class RequestTests(SynchronousTestCase):
    """aibrixctl request ID."""

    def test_over(self) -> None:
        """A summary, every step in its order with the time since the one before, and every phase."""
        done = ran(timeline(), "request", "r1")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("r1: complete, status 200, after 3.00s\n", done.out)
        self.assertIn("edited: model", done.out)
        steps = [
            line.rstrip().split(maxsplit=2) for line in done.out.splitlines() if " was " in line or " had " in line
        ]
        self.assertIn(["500ms", "gpu0", "was chosen (retry)"], steps)
        self.assertIn(["750ms", "+250ms", "gpu0 had the request"], steps)
        texts = done.out.splitlines()
        order = [
            next(at for at, line in enumerate(texts) if text in line)
            for text in ("the first byte of the request", "gpu9 was done with: broken (connection refused)",
                         "gpu0 was chosen", "gpu0 answered with 200", "gpu0 sent the first", "it was over")
        ]  # fmt: skip
        self.assertEqual(order, sorted(order))
        phases = {cells[0]: cells[1] for cells in done.rows if len(cells) > 1 and cells[0] in ("receive", "stream")}
        self.assertEqual(phases, {"receive": "250ms", "stream": "1.75s"})
        self.assertIn("the gateway's own of it: 0.10ms\n", done.out)

    def test_under_way(self) -> None:
        """No phases yet."""
        stamps = {"accepted": 0.0, "head": None, "read": None, "admitted": None, "first_byte": None, "ended": None}
        said = timeline(state="receiving", outcome=None, status=None, phases=None, own_s=None, tries=[], stamps=stamps)
        done = ran(said, "request", "r1")
        self.assertEqual(done.code, 0)
        self.assertNotIn("PHASE", done.out)
        self.assertIn("r1: receiving, after", done.out)

    def test_a_trace(self) -> None:
        """Its id, where there is one."""
        self.assertIn("trace:    0af7\n", ran(timeline(trace_id="0af7"), "request", "r1").out)
        self.assertNotIn("trace:", ran(timeline(trace_id=""), "request", "r1").out)

    def test_ids_are_quoted(self) -> None:
        """Whatever they are made of."""
        script = Script(timeline())
        script.run("request", "a/b?c")
        self.assertEqual(script.asked, [("GET", "/api/requests/a%2Fb%3Fc", None)])

    def test_none(self) -> None:
        """The gateway's sentence, and exit code 1."""
        done = ran(Refused("there is no request 'x'"), "request", "x")
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertIn("there is no request 'x'", done.err)
