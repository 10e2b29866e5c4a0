"""Questions to all others: three workers who hear each other at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.link import MAX_BYTES
from aibrix_twisted.service.workers.asking import PATIENCE_S, Asking


class AskingTests(SynchronousTestCase):
    """Of which each knows what the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.known: list[Any] = [None, None, None]
        self.deaf: set[int] = set()
        self.all = [self.worker(number) for number in range(3)]

    def worker(self, number: int) -> Asking:
        """One of them."""

        def tell(words: dict[str, Any]) -> None:
            for other, worker in enumerate(self.all):
                if other != number and other not in self.deaf:
                    if "ask" in words:
                        worker.asked(words["ask"])
                    else:
                        worker.answered(words["answer"])

        return Asking(self.clock, number, lambda: len(self.all) - 1, tell, lambda what, about: self.known[number])

    def test_those_who_know(self) -> None:
        """Answer; it is over when all have."""
        self.known = [{"a": 0}, {"a": 1}, None]
        self.assertEqual(self.successResultOf(self.all[0].ask("request", "x")), [{"a": 1}])
        self.assertEqual(self.successResultOf(self.all[2].ask("request", "x")), [{"a": 0}, {"a": 1}])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_does_not_answer(self) -> None:
        """Is not waited for for long, and what it says later means nothing."""
        self.known = [None, {"a": 1}, {"a": 2}]
        self.deaf = {2}
        asked = self.all[0].ask("request", "x")
        self.assertNoResult(asked)
        self.clock.advance(PATIENCE_S)
        self.assertEqual(self.successResultOf(asked), [{"a": 1}])
        self.all[0].answered([0, 1, {"a": 2}])

    def test_nobody_else(self) -> None:
        """Is an answer at once."""
        self.all = self.all[:1]
        self.assertEqual(self.successResultOf(self.all[0].ask("request", "x")), [])

    def test_a_list_that_is_too_long(self) -> None:
        """Is cut to the newest; another document that is too long is none."""
        self.known = [None, {"requests": ["x" * 1000] * 1000}, {"filling": "x" * MAX_BYTES}]
        ((cut,),) = (self.successResultOf(self.all[0].ask("requests", {})),)
        self.assertEqual(len(cut["requests"]), 125)
