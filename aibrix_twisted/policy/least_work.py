"""C{least-work}: the replica that is taken to bring the first token soonest.

That is once it has read what it was given before, and what it has not of this prompt.  What it has says the prefix
index; how fast it reads, and how far it is, is learned from the first tokens that come.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, NamedTuple

from aibrix_twisted.domain.prefill import USUAL_RATE, Prefill, Reading
from aibrix_twisted.domain.prefix_index import Credit, PrefixIndex
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Usage
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import kept
from aibrix_twisted.policy.prefix_scores import Crediting

#: What a cache would have spared counts for so much more than the time that it takes: those who come after wait for it,
#: too.  Found by trying, on Mooncake's trace of conversations (docs/routing.md).
SPARED: Final = 0.5

#: Predictions that differ by less than this are equal, in seconds: then the load decides.
EQUAL_S: Final = 0.005


class _Memo(NamedTuple):
    """What was begun at a replica."""

    prefill: Prefill
    reading: Reading
    credit: Credit | None


class LeastWork(Crediting):
    """The soonest first token; among equals the least loaded; among these the lot."""

    __slots__ = ("_prefills",)

    name = "least-work"

    def __init__(self, index: PrefixIndex) -> None:
        super().__init__(index)
        self._prefills: dict[str, Prefill] = {}

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """What each would cost, in seconds."""
        waits, reads = self._predicted(candidates, ask, now)
        return [wait + (1.0 + SPARED) * read for wait, read in zip(waits, reads, strict=True)]

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """The least, or of those that hardly differ from it the one that has the least to do beside."""
        waits, reads = self._predicted(candidates, ask, now)
        seconds = [wait + (1.0 + SPARED) * read for wait, read in zip(waits, reads, strict=True)]
        soonest = min(seconds) + EQUAL_S
        places = [place for place, one in enumerate(seconds) if one <= soonest]
        loads = [(replica.load.in_flight + replica.load.elsewhere) / replica.weight for replica in candidates]
        fewest = min(loads[place] for place in places)
        equals = [candidates[place] for place in places if loads[place] == fewest]
        chosen = equals[0] if len(equals) == 1 else drawn(equals, rng)
        return Choice(chosen, {"score": seconds, "ahead_s": waits, "own_s": reads, "load": loads})

    def chosen(self, replica: Replica, ask: Ask, now: float) -> _Memo:
        """It is given the prompt."""
        prefill = self._prefills.get(replica.name)
        if prefill is None:
            prefill = self._prefills[replica.name] = Prefill(self._usual_rate() * replica.weight)
        (depth,) = self.index.depths(ask.prompt, (replica,))
        work = ask.prompt.length - ask.prompt.covered(depth)
        return _Memo(prefill, prefill.begin(work, now, streamed=ask.stream), super().chosen(replica, ask, now))

    def forget_all_but(self, names: Set[str]) -> None:
        """Of replicas that are gone."""
        self._prefills = kept(self._prefills, names)

    def answered(self, memo: _Memo, now: float) -> None:
        """The first token came."""
        memo.prefill.read(memo.reading, now)

    def ended(self, memo: _Memo, now: float, *, well: bool, usage: Usage | None) -> None:
        """It is over."""
        memo.prefill.abandon(memo.reading, now)
        super().ended(memo.credit, now, well=well, usage=usage)

    def _predicted(self, candidates: Sequence[Replica], ask: Ask, now: float) -> tuple[list[float], list[float]]:
        """For each: how long until it has read what it was given before, and how long it reads this one, in seconds."""
        prompt, prefills, usual = ask.prompt, self._prefills, 0.0
        length, ends = prompt.length, prompt.ends
        waits, reads = [], []
        for replica, depth in zip(candidates, self.index.depths(prompt, candidates), strict=True):
            prefill = prefills.get(replica.name)
            own = length - min(length, ends[depth - 1]) if depth else length
            if prefill is None:
                usual = usual or self._usual_rate()
                waits.append(0.0)
                reads.append(own / (usual * replica.weight))
            else:
                rate = prefill.rate
                waits.append(prefill.ahead(now) / rate)
                reads.append(own / rate)
        return waits, reads

    def _usual_rate(self) -> float:
        """Of those that were measured."""
        rates = [prefill.rate for prefill in self._prefills.values() if prefill.measured]
        return sum(rates) / len(rates) if rates else USUAL_RATE
