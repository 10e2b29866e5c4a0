"""Who has had how many tokens of late?  For fairness among users (vtc-basic)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: What a user's tokens count for, by kind.
INPUT_WEIGHT: Final = 1.0
OUTPUT_WEIGHT: Final = 2.0

#: Users that are remembered; of more, those that have asked for nothing the longest are forgotten.
MAX_USERS: Final = 10_000

#: The fewest and the most tokens of a user, before any has had some.
USUAL_FEWEST: Final = 1000.0
USUAL_MOST: Final = 8000.0


def estimated(text_bytes: int) -> tuple[int, int]:
    """Tokens of a prompt of so many bytes, and of its answer, before anybody has counted them."""
    tokens = -(-text_bytes // 4)
    return tokens, -(-tokens * 3 // 2)


class TokenTracker:
    """Weighted tokens by user, within a window that moves on by its parts."""

    def __init__(
        self,
        window_s: float = 300.0,
        parts: int = 5,
        input_weight: float = INPUT_WEIGHT,
        output_weight: float = OUTPUT_WEIGHT,
    ) -> None:
        self._part_s = window_s / parts
        self._parts = parts
        self._weights = (input_weight, output_weight)
        self._users: OrderedDict[str, dict[int, float]] = OrderedDict()
        self._looked = -1

    def add(self, user: str, input_tokens: float, output_tokens: float, now: float) -> None:
        """The user has had these; what was too much is taken back with negative ones."""
        part = int(now // self._part_s)
        had = self._users.setdefault(user, {})
        self._users.move_to_end(user)
        weights = self._weights
        had[part] = had.get(part, 0.0) + input_tokens * weights[0] + output_tokens * weights[1]
        while len(self._users) > MAX_USERS:
            self._users.popitem(last=False)
        self._forget(part)

    def tokens(self, user: str, now: float) -> float:
        """What the user has had within the window, 0 at least."""
        return self._sum(self._users.get(user, {}), int(now // self._part_s))

    def extremes(self, now: float) -> tuple[float, float]:
        """The fewest and the most that any user has had."""
        part = int(now // self._part_s)
        self._forget(part)
        sums = [total for had in self._users.values() if (total := self._sum(had, part)) > 0]
        return (min(sums), max(sums)) if sums else (USUAL_FEWEST, USUAL_MOST)

    def _sum(self, had: dict[int, float], part: int) -> float:
        return max(0.0, sum(tokens for at, tokens in had.items() if at > part - self._parts))

    def _forget(self, part: int) -> None:
        """Once a part, whoever has had nothing within the window."""
        if part == self._looked:
            return
        self._looked = part
        for user, had in list(self._users.items()):
            for at in [at for at in had if at <= part - self._parts]:
                del had[at]
            if not had:
                del self._users[user]
