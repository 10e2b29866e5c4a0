"""How fast a simulated engine is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speed:
    """Rates in tokens per second; 0 is as fast as the machine goes.

    @ivar prefill: prompt tokens, of one request.
    @ivar decode: tokens of an answer, of one request.
    @ivar batch: requests that are computed at once; others wait.
    @ivar prefix_cache: tokens of a prompt that were computed before cost nothing.
    """

    prefill: float = 2000.0
    decode: float = 40.0
    batch: int = 16
    prefix_cache: bool = True

    def prefill_s(self, tokens: int) -> float:
        """Seconds until the first token of an answer."""
        return tokens / self.prefill if self.prefill else 0.0

    @property
    def token_s(self) -> float:
        """Seconds between two tokens."""
        return 1 / self.decode if self.decode else 0.0


#: No waiting at all.
INSTANT = Speed(prefill=0.0, decode=0.0, batch=1 << 30, prefix_cache=False)


class PrefixCache:
    """Which beginnings of prompts were computed before, by blocks of words."""

    BLOCK_WORDS = 16

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def cached(self, words: list[str]) -> int:
        """How many of these words are cached; afterwards, all whole blocks of them are."""
        hit, chain, missed = 0, 0, False
        for at in range(0, len(words) - self.BLOCK_WORDS + 1, self.BLOCK_WORDS):
            chain = hash((chain, *words[at : at + self.BLOCK_WORDS]))
            if chain in self._seen and not missed:
                hit += self.BLOCK_WORDS
            else:
                missed = True
                self._seen.add(chain)
        return hit
