"""How large the buffers of each model are, kept up to date twice a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibrix_twisted.domain.buffer_sizes import AHEAD, BufferSizes
from aibrix_twisted.domain.exchange import Exchange

#: Sizes are computed anew after so long; between, asking costs one lookup.
FRESH_S: Final = 30.0

#: Models that have sizes of their own, as many as have numbers of their own.
MAX_MODELS: Final = 1000


class Sizes:
    """By model.

    @ivar answers: up to how many bytes an answer is gathered, of those models of which it is known.
    @ivar ahead: how many bytes are sent ahead of a client.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._models: dict[str, BufferSizes] = {}
        self._computed = 0.0
        self._ceiling = 0
        self.answers: dict[str, int] = {}
        self.ahead: dict[str, int] = {}

    def answered(self, exchange: Exchange) -> None:
        """An exchange is over, and its client got an answer that is no stream."""
        self._of(exchange.model).answered(exchange.bytes_out, self._seconds())

    def taken(self, exchange: Exchange, size: int, seconds: float) -> None:
        """A client that did not keep up took so much in this time."""
        if size > 0 and exchange.model:
            self._of(exchange.model).taken(size, seconds, self._seconds())

    def answer_bytes(self, model: str, ceiling: int) -> int:
        """Up to how many bytes an answer is gathered, and to no more than the ceiling."""
        if ceiling != self._ceiling or self._seconds() - self._computed > FRESH_S:
            self._compute(ceiling)
        return self.answers.get(model, ceiling)

    def ahead_bytes(self, model: str) -> int:
        """How many bytes are sent ahead of a client."""
        return self.ahead.get(model, AHEAD)

    def _compute(self, ceiling: int) -> None:
        now = self._computed = self._seconds()
        self._ceiling = ceiling
        self.answers = {model: sizes.answer_bytes(ceiling, now) for model, sizes in self._models.items()}
        self.ahead = {model: sizes.ahead_bytes(now) for model, sizes in self._models.items()}

    def _of(self, model: str) -> BufferSizes:
        sizes = self._models.get(model)
        if sizes is None:
            if len(self._models) >= MAX_MODELS:
                self._models.pop(next(iter(self._models)))
            sizes = self._models[model] = BufferSizes()
        return sizes
