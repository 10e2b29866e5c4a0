"""C{vtc-basic}: who has had much is sent further down the list of replicas, where those are who have had as much.

The Virtual Token Counter (Sheng et al., 2024) in AIBrix's simple form: users are spread over the replicas by the tokens
that they have had of late, so that one who asks for much shares a replica with others of the kind; how busy a replica
is counts beside it.  Replicas are taken in the order of the configuration, so that a user's place means something;
counts are put right once an engine says what a request took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.token_tracker import TokenTracker, estimated
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Missing, Usage
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer

#: What being in the wrong place counts for, and being busy.
FAIRNESS_WEIGHT: Final = 1.0
UTILIZATION_WEIGHT: Final = 1.0

#: So many requests in an engine make it wholly busy.
MAX_LOAD: Final = 100.0

#: A replica's share of tokens is never less than this.
MIN_BUCKET: Final = 1000.0


class _Memo(NamedTuple):
    """What was counted of a request."""

    user: str
    input_tokens: int
    output_tokens: int


class VtcBasic(Scorer):
    """The least score: distance from the user's place, and how busy."""

    __slots__ = ("_fairness", "_tracker", "_utilization")

    name = "vtc-basic"
    needs = Needs.PROMPT
    learns = True
    missing = Missing.USER

    def __init__(
        self,
        tracker: TokenTracker,
        fairness: float = FAIRNESS_WEIGHT,
        utilization: float = UTILIZATION_WEIGHT,
    ) -> None:
        self._tracker = tracker
        self._fairness = fairness
        self._utilization = utilization

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """Of each; without a user there is none."""
        if not ask.user:
            return [UNKNOWN] * len(candidates)
        fewest, most = self._tracker.extremes(now)
        bucket = max(MIN_BUCKET, (fewest + most) / 2)
        place = min(self._tracker.tokens(ask.user, now) / bucket, len(candidates) - 1)
        return [
            self._fairness * abs(at - place) + self._utilization * min(_running(replica, now) / MAX_LOAD, 1.0)
            for at, replica in enumerate(candidates)
        ]

    def chosen(self, replica: Replica, ask: Ask, now: float) -> _Memo | None:
        """Count what it will take, roughly."""
        if not ask.user:
            return None
        memo = _Memo(ask.user, *estimated(ask.prompt.length))
        self._tracker.add(ask.user, memo.input_tokens, memo.output_tokens, now)
        return memo

    def ended(self, memo: _Memo | None, now: float, *, well: bool, usage: Usage | None) -> None:
        """Count what it took."""
        if memo is None or (well and usage is None):
            return
        took = usage or Usage(0, 0)
        self._tracker.add(
            memo.user, took.input_tokens - memo.input_tokens, took.output_tokens - memo.output_tokens, now
        )


def _running(replica: Replica, now: float) -> float:
    """What the engine says that it computes; what we gave it, where it does not."""
    engine = replica.load.fresh_engine(now)
    if engine is None or engine.running is None:
        return float(replica.load.in_flight + replica.load.elsewhere)
    return engine.running
