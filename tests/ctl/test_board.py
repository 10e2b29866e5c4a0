"""The screen of top, from documents as the API has them."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.board import Look, board
from tests.ctl.script import replica
from tests.ctl.test_requests import FAILED, request

QUANTILES = {"count": 9, "p50": 0.02, "p90": 0.05, "p99": 0.1}

_NONE = dict.fromkeys(("ttft_s", "itl_s", "tpot_s", "duration_s", "queued_s", "own_s"))


def rates(**facts: Any) -> dict[str, Any]:
    """Of ten seconds."""
    return {
        "seconds": 10.0, "requests_per_s": 12.0, "outcomes_per_s": {"complete": 11.5}, "statuses_per_s": {"200": 11.5},
        "input_tokens_per_s": 300.0, "output_tokens_per_s": 1200.0, "errors_per_s": {"engine_broke": 0.5}, **_NONE,
        "ttft_s": QUANTILES, **facts,
    }  # fmt: skip


def stats(**facts: Any) -> dict[str, Any]:
    """As the API has them."""
    return {
        "version": "0.1.0", "now": "2026-01-01T00:01:00.000000Z", "uptime_s": 7260.0, "ready": True, "draining": False,
        "under_way": 50, "states": {"receiving": 0, "waiting": 3, "awaiting_first_token": 10, "streaming": 37},
        "in_flight": 47, "waiting": {"m": 3}, "ended": 100, "rss_bytes": 73 << 20,
        "connections": {"clients": 60, "upstream_idle": 3, "upstream_busy": 47},
        "last_10s": rates(), "last_60s": rates(requests_per_s=9.0), "models": [{"name": "m", "last_10s": rates()}],
        **facts,
    }  # fmt: skip


def fleet(*replicas: dict[str, Any]) -> dict[str, Any]:
    """These, and one model."""
    lately = {"seconds": 10.0, "attempts_per_s": 6.0, "failed_per_s": 0.0, "ttft_s": QUANTILES, "itl_s": None}
    model = {"name": "m", "replicas": ["gpu0", "gpu1"], "up": 1, "in_flight": 47, "waiting": 3}
    return {"replicas": [{"last_10s": lately, **one} for one in replicas], "models": [model], "problems": []}


def look(**facts: Any) -> Look:
    """At a gateway with two replicas, of which one is down, and an error."""
    down = replica("gpu1", state="down", reason="connection refused", since_s=1.2)
    failed = request("r9", **FAILED, accepted_at="2026-01-01T00:00:50.000000Z")
    errors = {"requests": [failed], "now": "2026-01-01T00:01:00.000000Z"}
    return Look(**{"stats": stats(), "fleet": fleet(replica("gpu0"), down), "errors": errors, **facts})


def shown(look: Look, height: int = 50, width: int = 160, trouble: str = "") -> list[str]:
    """The lines on a screen of this size."""
    out = io.StringIO()
    Console(file=out, width=width, height=height).print(board(look, width, height, trouble))
    return [line.rstrip() for line in out.getvalue().splitlines()]


class BoardTests(SynchronousTestCase):
    """board."""

    def row(self, lines: list[str], name: str) -> list[str]:
        """The cells of the line that begins with this."""
        return next(line for line in lines if line.startswith(name)).split()

    def test_all_of_it(self) -> None:
        """Figures of the whole, then replicas, models, errors."""
        lines = shown(look())
        self.assertIn("aibrix-gateway 0.1.0  ready  up 2h  00:01:00 UTC  memory 73 MiB  q quits", lines[0])
        self.assertEqual(
            lines[1],
            "under way 50 (3 waiting, 10 awaiting first token, 37 streaming), in flight 47, in the waiting room 3",
        )
        self.assertIn("requests 12.0/s (in 60 s 9.00/s), not complete 0.50/s, tokens 300/s in, 1200/s out", lines[2])
        self.assertEqual(self.row(lines, "TTFT"), ["TTFT", "20.0ms", "20.0ms", "50.0ms", "50.0ms", "100ms", "100ms"])
        self.assertEqual(self.row(lines, "ITL"), ["ITL", *"------"])
        self.assertEqual(self.row(lines, "gpu0")[:4], ["gpu0", "up", "12s", "0"])
        self.assertEqual(self.row(lines, "gpu1")[1:3], ["down", "1s"])
        self.assertIn("connection refused", next(line for line in lines if line.startswith("gpu1")))
        self.assertEqual(self.row(lines, "m ")[:6], ["m", "1/2", "47", "3", "12.0", "1200"])
        self.assertEqual(self.row(lines, "8s")[:5], ["8s", "engine_broke", "m", "gpu0", "r9"])

    def test_who_is_down_comes_first(self) -> None:
        """And stays where there is no room for all."""
        many = [replica(f"gpu{number:03}") for number in range(100)]
        down = replica("lost", state="down", reason="connection refused")
        lines = shown(look(fleet=fleet(*many, down)), height=30)
        self.assertLessEqual(len(lines), 30)
        names = [line.split()[0] for line in lines if line.startswith(("gpu", "lost"))]
        self.assertEqual(names[0], "lost")
        self.assertIn(f"and {101 - len(names)} more", lines)

    def test_it_fits(self) -> None:
        """No line is broken in two on a usual terminal, whatever the names are."""
        long = request("i" * 128, **{**FAILED, "reason": "why " * 100})
        errors = {"requests": [long] * 8, "now": "2026-01-01T00:01:00.000000Z"}
        names = [replica("gpu" * 20 + str(number), reason="x" * 200) for number in range(30)]
        for height, width in ((24, 80), (50, 160)):
            lines = shown(look(fleet=fleet(*names), errors=errors), height, width)
            self.assertTrue(all(len(line) <= width for line in lines))
            self.assertLessEqual(len(lines), max(height, 30))
            self.assertIn("up", next(line for line in lines if line.startswith("gpugpu")).split())

    def test_what_a_dead_engine_said(self) -> None:
        """Is not shown."""
        load = {"running": 15.0, "waiting": 2.0, "kv_usage": 0.06, "age_s": 0.1}
        down, up = replica("gone", state="down", load=load), replica("here", load=load)
        lines = shown(look(fleet=fleet(down, up)))
        self.assertEqual(self.row(lines, "gone")[4:7], ["-", "-", "-"])
        self.assertEqual(self.row(lines, "here")[4:7], ["15", "2", "6%"])

    def test_a_narrow_terminal(self) -> None:
        """It has fewer columns, and these whole."""
        lines = shown(look(), 24, 80)
        self.assertEqual(self.row(lines, "gpu1")[:3], ["gpu1", "down", "0"])
        self.assertIn("connection refused", next(line for line in lines if line.startswith("gpu1")))
        self.assertNotIn("TTFT99", " ".join(lines))

    def test_states(self) -> None:
        """Of the gateway itself."""
        self.assertIn("draining", shown(look(stats=stats(draining=True)))[0])
        self.assertIn("not ready", shown(look(stats=stats(ready=False)))[0])
        self.assertIn("no answer in time", shown(look(), trouble="no answer in time")[0])

    def test_nothing_yet(self) -> None:
        """A gateway that has just begun."""
        empty = rates(requests_per_s=0.0, outcomes_per_s={}, **_NONE)
        said = stats(last_10s=empty, last_60s=empty, models=[], states={}, under_way=0, waiting={})
        lines = shown(Look(said, {"replicas": [], "models": [], "problems": []}, {"requests": [], "now": said["now"]}))
        self.assertIn("no errors", lines)
        self.assertIn("under way 0, in flight", lines[1])

    def test_a_model_that_had_nothing(self) -> None:
        """It has no rates."""
        lines = shown(look(stats=stats(models=[])))
        self.assertEqual(self.row(lines, "m ")[:6], ["m", "1/2", "47", "3", "0", "0"])
