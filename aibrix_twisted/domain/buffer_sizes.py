"""How large a model's buffers are made: by what its answers, and its clients, were lately seen to be.

An answer that is no stream is gathered whole before it is begun, so that one that breaks can be had from elsewhere; up
to a bound, which is twice what nearly all of a model's answers need.  What is sent ahead of a client is bounded by what
clients of the model take in a moment: more would only wait.
"""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.quantiles import Quantiles

WINDOW_S: Final = 300.0

#: No answer is gathered to less than this.
LEAST_ANSWER: Final = 65536

#: Bytes sent ahead of a client: at the least, before anything is known, and at the most.
LEAST_AHEAD: Final = 16384
AHEAD: Final = 65536
MOST_AHEAD: Final = 262144

#: The moment: an engine that was paused is read again within it.
MOMENT_S: Final = 0.05

#: What nearly all is.
_NEARLY_ALL: Final = 0.99


class BufferSizes:
    """Of one model."""

    __slots__ = ("_answers", "_rates")

    def __init__(self) -> None:
        self._answers = Quantiles(WINDOW_S)
        self._rates = Quantiles(WINDOW_S)

    def answered(self, size: int, now: float) -> None:
        """An answer that is no stream had so many bytes."""
        self._answers.add(size, now)

    def taken(self, size: int, seconds: float, now: float) -> None:
        """A client that did not keep up took so much in this time."""
        self._rates.add(size / max(seconds, 0.001), now)

    def answer_bytes(self, now: float) -> int | None:
        """Up to how many bytes an answer is gathered; C{None}: nothing is known yet."""
        usual = self._answers.at(_NEARLY_ALL, now)
        return None if usual is None else max(int(2 * usual), LEAST_ANSWER)

    def ahead_bytes(self, now: float) -> int:
        """How many bytes are sent ahead of a client."""
        rate = self._rates.at(0.5, now)
        return AHEAD if rate is None else min(max(int(rate * MOMENT_S), LEAST_AHEAD), MOST_AHEAD)
