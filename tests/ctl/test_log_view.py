"""How a line looks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.log_view import line_text, style_of, whole_text
from tests.ctl.test_log_filter import a_record

TRIES = [
    {"replica": "gpu1", "kind": "first", "outcome": "broken", "status": 0, "fault": "reset", "started_s": 0.01,
     "sent_s": None, "head_s": None, "first_s": None, "ended_s": 0.02},
    {"replica": "gpu0", "kind": "retry", "outcome": "complete", "status": 200, "fault": "", "started_s": 0.03,
     "sent_s": 0.04, "head_s": 0.1, "first_s": 0.19, "ended_s": 1.5},
]  # fmt: skip


class LineTests(SynchronousTestCase):
    """On one line."""

    def test_it_went_well(self) -> None:
        """What there is to know of it."""
        text = line_text(a_record(input_tokens=300, tries=None)).plain
        self.assertEqual(
            text,
            "2023-11-14T22:13:20.500Z  200 complete    500.0ms  ttft  199.0ms        300/8  completions  m  gpu0  x",
        )

    def test_it_did_not(self) -> None:
        """What went wrong comes last; nothing that it says steers a terminal, or begins a line."""
        record = a_record(
            status=502, outcome="broken", error="engine_broke", reason="the\nconnection \x1b[31mbroke", attempts=3,
            tokens_by="events", ttft_s=None, model="",
        )  # fmt: skip
        text = line_text(record).plain
        self.assertTrue(text.endswith(r"x  attempts 3  engine_broke: the\nconnection \x1b[31mbroke"), text)
        self.assertIn("-/12ev  completions  -  gpu0", text)
        self.assertIn("ttft        -", text)

    def test_of_another_version(self) -> None:
        """Less is said where less is known."""
        self.assertTrue(line_text({"time": "2023", "id": "x"}).plain.startswith("2023    0 -"))
        self.assertEqual(whole_text({"time": "2023", "id": "x"}).plain, "x\n  time          2023")

    def test_colours(self) -> None:
        """Whose doing it is."""
        for more, style in (
            ({}, "green"),
            ({"error": "client_gone", "status": 499, "outcome": "abandoned"}, "yellow"),
            ({"error": "engine_broke", "status": 502}, "bold red"),
            ({"error": "gateway_no_replica", "status": 503}, "bold red"),
            ({"status": 500}, "bold red"),
            ({"status": 400}, "yellow"),
        ):
            self.assertEqual(style_of(a_record(**more)), style, more)


class WholeTests(SynchronousTestCase):
    """All of it."""

    def test_everything(self) -> None:
        """Members that have a value; phases, one behind the other; each attempt."""
        lines = whole_text(a_record(tries=TRIES, later="what a later version says")).plain.split("\n")
        self.assertEqual(lines[0], "x")
        self.assertIn("  outcome       complete", lines)
        self.assertIn("  later         what a later version says", lines)
        self.assertNotIn("  error", " ".join(lines))
        self.assertIn("  engine          160.0ms    █████████████", lines)
        self.assertIn(f"  stream          250.0ms  {' ' * 16}{'█' * 20}", lines)
        self.assertEqual(
            lines[-2:],
            [
                "  attempt       first at gpu1: broken (reset); started 10.0ms, ended 20.0ms",
                "  attempt       retry at gpu0: complete, status 200; started 30.0ms, sent 40.0ms, head 100.0ms, "
                "first 190.0ms, ended 1.50s",
            ],
        )

    def test_what_has_members(self) -> None:
        """Is said in words."""
        text = whole_text(a_record(spooled={"outcome": "taken", "bytes": 7})).plain
        self.assertIn("\n  spooled       outcome taken, bytes 7\n", text + "\n")

    def test_no_bar_is_wider_than_all(self) -> None:
        """However phases and duration were rounded."""
        text = whole_text(a_record(phases={"engine": 0.4, "stream": 0.4, "finish": 0.000001}, duration_s=0.5)).plain
        self.assertTrue(all(len(line.rpartition("  ")[2]) <= 40 for line in text.split("\n")), text)
        whole_text(a_record(phases={"finish": 0.000001}, duration_s=0.0))
