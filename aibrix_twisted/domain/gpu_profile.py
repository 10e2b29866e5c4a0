"""What a kind of GPU can do with a model, as it was measured beforehand: AIBrix's profiles.

A profile is three tables over two indexes, the tokens of an answer and of a prompt.  What is asked for is found in them
at its signature: the places of its tokens in the indexes, the nearest in powers of two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Final

#: Halfway to the next index, in powers of two.
_TOLERANCE: Final = 0.5

Table = tuple[tuple[float, ...], ...]
Signature = tuple[int, int]


def place_of(tokens: float, index: Sequence[float]) -> int:
    """Where in an ascending index so many tokens are: its first place for fewer, its last for more.

    @raise ValueError: there are no such tokens.
    """
    if tokens < 0:
        raise ValueError(f"found {tokens:g} tokens, expected none at least")
    if tokens <= index[0]:
        return 0
    for place, (here, there) in enumerate(itertools.pairwise(index)):
        if tokens <= there:
            return place if log2(tokens) - log2(here) <= _TOLERANCE * (log2(there) - log2(here)) else place + 1
    return len(index) - 1


@dataclass(frozen=True, slots=True)
class GpuProfile:
    """Each table has a row for each number of answer tokens, and in it a figure for each number of prompt tokens.

    @ivar rates: requests a second that one replica can do.
    @ivar e2e: seconds for a whole request; C{ttft}: to its first token, empty where that is not known.
    """

    output_tokens: tuple[float, ...]
    prompt_tokens: tuple[float, ...]
    rates: Table
    e2e: Table
    ttft: Table = ()

    def signature(self, output_tokens: float, prompt_tokens: float) -> Signature:
        """Where such a request is in the tables."""
        return place_of(output_tokens, self.output_tokens), place_of(prompt_tokens, self.prompt_tokens)

    def consumption(self, at: Signature) -> float | None:
        """Which part of a replica such a request takes up while it is there; C{None} where it can do none of these.

        By Little's law a replica that does I{r} a second of what takes I{t} seconds has I{r t} of these at once.
        """
        at_once = self.rates[at[0]][at[1]] * self.e2e[at[0]][at[1]]
        return 1.0 / at_once if at_once > 0 else None
