"""The table of requests."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.script import Script, ran


def request(id: str = "r1", **facts: Any) -> dict[str, Any]:
    """One under way, as the API shows it."""
    return {
        "id": id, "state": "awaiting_first_token", "client": "192.0.2.7", "method": "POST",
        "path": "/v1/chat/completions", "route": "chat_completions", "model": "m", "replica": "gpu0",
        "policy": "least-request", "stream": True, "attempts": 1, "accepted_at": "2026-01-01T00:00:00.000000Z",
        "duration_s": 1.5, "queued_s": 0.0, "ttft_s": None, "status": None, "outcome": None, "error": "", "reason": "",
        "bytes_in": 87, "bytes_out": 0, "events": 0, "input_tokens": None, "output_tokens": None,
        "cached_tokens": None, **facts,
    }  # fmt: skip


FAILED = {"state": "over", "outcome": "broken", "error": "engine_broke", "reason": "gpu0 hung up", "status": 502}


class RequestsTests(SynchronousTestCase):
    """aibrixctl requests."""

    def test_a_row_each(self) -> None:
        """Where it is, or how it ended and why."""
        well = {"state": "over", "outcome": "complete", "status": 200, "ttft_s": 0.0123}
        done = ran(
            {"requests": [request(), request("r2", **FAILED), request("r3", **well, input_tokens=5, output_tokens=8)],
             "matched": 3},
            "requests",
        )  # fmt: skip
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(
            done.rows,
            [
                ["ID", "STATE", "MODEL", "REPLICA", "TIME", "TTFT", "TOKENS", "TRIES", "STATUS", "WHY"],
                ["r1", "prefill", "m", "gpu0", "1.50s", "-", "-", "1", "-", "-"],
                ["r2", "broken: engine_broke", "m", "gpu0", "1.50s", "-", "-", "1", "502", "gpu0 hung up"],
                ["r3", "complete", "m", "gpu0", "1.50s", "12.3ms", "5+8", "1", "200", "-"],
            ],
        )

    def test_what_is_asked(self) -> None:
        """Options are the API's filters; those that failed are over."""
        for options, query in (
            ((), "state=now"),
            (("--past",), "state=past"),
            (("--errors",), "state=past&error=any"),
            (("--slow", "1.5", "--limit", "7"), "state=now&min_seconds=1.5&limit=7"),
            (("--past", "--model", "a b/c", "--replica", "10.0.0.1:8000"),
             "state=past&model=a+b%2Fc&replica=10.0.0.1%3A8000"),
        ):  # fmt: skip
            script = Script({"requests": [], "matched": 0})
            self.assertEqual(script.run("requests", *options).code, 0)
            self.assertEqual(script.asked, [("GET", f"/api/requests?{query}", None)])

    def test_there_are_more(self) -> None:
        """Said beside the table."""
        done = ran({"requests": [request()], "matched": 12}, "requests")
        self.assertEqual(done.err, "11 more: --limit 12 lists them, too\n")

    def test_nothing_steers_the_terminal(self) -> None:
        """Clients choose ids, and engines write errors."""
        done = ran({"requests": [request("a\x1b[2J", reason="\x07")], "matched": 1}, "requests")
        self.assertNotIn("\x1b", done.out)
        self.assertNotIn("\x07", done.out)
