"""How large the buffers of each model are, kept up to date twice a minute while there is traffic."""

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
    @ivar ahead: how many bytes are sent ahead of a client, where it is not L{AHEAD}.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._models: dict[str, BufferSizes] = {}
        self._computed = seconds()
        self.answers: dict[str, int] = {}
        self.ahead: dict[str, int] = {}

    def answered(self, exchange: Exchange) -> None:
        """An exchange is over, and its client got an answer that is no stream."""
        now = self._seconds()
        self._of(exchange.model).answered(exchange.bytes_out, now)
        self._keep_fresh(now)

    def taken(self, exchange: Exchange, size: int, seconds: float) -> None:
        """A client that did not keep up took so much in this time."""
        if size > 0 and exchange.model:
            now = self._seconds()
            self._of(exchange.model).taken(size, seconds, now)
            self._keep_fresh(now)

    def answer_bytes(self, model: str, ceiling: int) -> int:
        """Up to how many bytes an answer is gathered, and to no more than the ceiling."""
        return min(self.answers.get(model, ceiling), ceiling)

    def _keep_fresh(self, now: float) -> None:
        if now - self._computed > FRESH_S:
            self._computed = now
            answers = {model: sizes.answer_bytes(now) for model, sizes in self._models.items()}
            self.answers = {model: size for model, size in answers.items() if size is not None}
            ahead = {model: sizes.ahead_bytes(now) for model, sizes in self._models.items()}
            self.ahead = {model: size for model, size in ahead.items() if size != AHEAD}

    def _of(self, model: str) -> BufferSizes:
        sizes = self._models.get(model)
        if sizes is None:
            if len(self._models) >= MAX_MODELS:
                self._models.pop(next(iter(self._models)))
            sizes = self._models[model] = BufferSizes()
        return sizes
