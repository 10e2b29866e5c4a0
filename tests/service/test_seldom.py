"""Tracebacks that do not fill the log."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.seldom import EVERY_S, MOST, Seldom


class Defect(Exception):
    """One of ours."""


class SeldomTests(SynchronousTestCase):
    """By what reaches the log."""

    def test_some_are_logged(self) -> None:
        """As many as may be, and later how many more there were; then as many again."""
        told: list[str] = []
        log = Logger(observer=lambda event: told.append(event["log_format"]))
        clock = Clock()
        seldom = Seldom(clock.seconds)

        def fails(times: int) -> list[str]:
            told.clear()
            for _ in range(times):
                try:
                    raise Defect
                except Defect:
                    seldom.failure(log, "while {what}", what="testing")
            return list(told)

        self.assertEqual(fails(MOST + 5), ["while {what}"] * MOST)
        clock.advance(EVERY_S + 1)
        self.assertEqual(fails(2), ["{count} tracebacks were left out", "while {what}", "while {what}"])
        clock.advance(EVERY_S + 1)
        self.assertEqual(fails(1), ["while {what}"])
