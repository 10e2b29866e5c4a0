"""How long will the answer be?  As long as those to prompts of that length were of late, by lot."""

from __future__ import annotations

from math import log2
from typing import Final

WINDOW_S: Final = 240.0
SLOT_S: Final = 10.0

#: The largest bucket: 2**20 tokens.
_LAST: Final = 20


def bucket_of(tokens: float) -> int:
    """The power of two that is nearest, of those up to a million tokens."""
    return min(_LAST, round(log2(tokens))) if tokens > 1 else 0


class OutputPredictor:
    """Answers by the length of their prompts, both by powers of two, within a window."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[int, dict[tuple[int, int], int]] = {}

    def add(self, prompt_tokens: int, output_tokens: int, now: float) -> None:
        """An answer was so long."""
        slot = int(now // SLOT_S)
        if slot not in self._slots:
            for old in [old for old in self._slots if old <= slot - WINDOW_S / SLOT_S]:
                del self._slots[old]
        counts = self._slots.setdefault(slot, {})
        pair = bucket_of(prompt_tokens), bucket_of(output_tokens)
        counts[pair] = counts.get(pair, 0) + 1

    def predict(self, prompt_tokens: int, now: float, lot: float) -> int:
        """Tokens of an answer: a power of two; 1 where nothing is known.

        @param lot: in [0, 1).
        """
        oldest, wanted = now // SLOT_S - WINDOW_S / SLOT_S, bucket_of(prompt_tokens)
        counts: dict[int, int] = {}
        for slot, pairs in self._slots.items():
            for (prompt, output), count in pairs.items():
                if slot > oldest and prompt == wanted:
                    counts[output] = counts.get(output, 0) + count
        mark = lot * sum(counts.values())
        for output in sorted(counts):
            mark -= counts[output]
            if mark < 0:
                return int(2**output)
        return 1
