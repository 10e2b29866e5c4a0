"""Short traces."""

from __future__ import annotations

from aibrix_twisted.domain.prompt import Prompt
from aibrix_twisted.replay.trace import Arrival


def arrival(at: float, *hashes: int, tokens: int | None = None, answer: int = 1) -> Arrival:
    """A request of whole blocks of 512 tokens, unless it is said how many tokens it has."""
    length = 512 * len(hashes) if tokens is None else tokens
    return Arrival(at, Prompt(length * 4, hashes, range(2048, 2048 * (len(hashes) + 1), 2048)), length, answer)
