"""One bound for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.memory import KINDS, Memory, Pressure

_PARTS = st.tuples(*[st.integers(0, 1000)] * len(KINDS))


class MemoryTests(SynchronousTestCase):
    """What shares say, added up."""

    @given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), _PARTS))))
    def test_the_sum_is_that_of_the_shares(self, steps: list[tuple[int, tuple[int, int, int, int] | None]]) -> None:
        """However often each is told anew, or cleared."""
        memory = Memory(10_000)
        shares = [memory.share() for _ in range(4)]
        there = [(0, 0, 0, 0)] * 4
        for which, parts in steps:
            if parts is None:
                shares[which].clear()
            else:
                shares[which].set(*parts)
            there[which] = parts or (0, 0, 0, 0)
            self.assertEqual(memory.total, sum(map(sum, there)))
            self.assertEqual(list(memory.by_kind.values()), [sum(kind) for kind in zip(*there, strict=True)])
            self.assertEqual(shares[which].total, sum(there[which]))

    def test_pressure(self) -> None:
        """Grows with what is taken of the bound."""
        memory = Memory(1000)
        share = memory.share()
        seen = []
        for taken in (0, 699, 700, 849, 850, 949, 950, 5000):
            share.set(0, 0, 0, taken)
            seen.append(memory.pressure)
        none, slow, kept, full = Pressure
        self.assertEqual(seen, [none, none, slow, slow, kept, kept, full, full])
