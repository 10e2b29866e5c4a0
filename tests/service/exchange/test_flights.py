"""The flight recorder."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.prompt import Prompt
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.service.exchange import flights
from aibrix_twisted.service.exchange.flights import Flight, Flights
from tests.policy.fleet import fleet

POLICY: Any = None


def flight(id: str = "x", blocks: int = 0, of: Exchange | None = None) -> Flight:
    """One decision."""
    exchange = of or Exchange(id, "", "", "", "", Stamps(0.0))
    (replica,) = fleet(1)
    ask = Ask(Prompt(blocks * 4, list(range(blocks)), range(4, blocks * 4 + 4, 4)))
    return Flight(exchange, "m", POLICY, ask, 0.0, [replica], Choice(replica, {}))


class RecorderTests(SynchronousTestCase):
    """What is kept."""

    def ids(self, kept: Flights) -> str:
        """Whose."""
        return "".join(one.exchange.id for one in kept)

    def test_the_newest(self) -> None:
        """So many; fewer after a reload that says so, and more after another one; none at all."""
        kept = Flights(3)
        for id in "abcde":
            kept.add(flight(id))
        self.assertEqual(self.ids(kept), "cde")
        kept.configure(2)
        self.assertEqual(self.ids(kept), "de")
        kept.configure(5)
        kept.add(flight("f"))
        self.assertEqual(self.ids(kept), "def")
        kept.configure(0)
        for _ in range(3):
            kept.add(flight("g", blocks=9))
        self.assertEqual(self.ids(kept), "")

    def test_hashes_are_bounded(self) -> None:
        """However long prompts are: the oldest decisions go for them."""
        self.patch(flights, "MAX_BLOCKS", 100)
        kept = Flights(10)
        for number in range(30):
            kept.add(flight(str(number % 10), blocks=number))
            self.assertLessEqual(sum(len(one.ask.prompt.hashes) for one in kept), 100)
            self.assertEqual(kept._blocks, sum(len(one.ask.prompt.hashes) for one in kept))
        self.assertEqual(self.ids(kept), "789")
        kept.configure(1)
        kept.add(flight("a"))
        self.assertEqual((self.ids(kept), kept._blocks), ("a", 0))

    def test_by_id(self) -> None:
        """All decisions of one exchange, in their order; of two exchanges with one id, the newer's."""
        kept = Flights(10)
        older = flight("x")
        newer = flight("x")
        again = flight(of=newer.exchange)
        for one in (older, newer, flight("y"), again):
            kept.add(one)
        self.assertEqual(kept.of("x"), [newer, again])
        self.assertEqual(kept.of("z"), [])
