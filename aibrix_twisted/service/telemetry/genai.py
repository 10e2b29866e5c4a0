"""The metrics that OpenTelemetry's conventions for generative AI name, beside ours and of the same stamps.

A gateway is neither the model's server nor its client.  Users look for both sets of names, so that both are given:
C{gen_ai.server.*} as the gateway's client sees the server, C{gen_ai.client.*} of one measurement with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.telemetry.buckets import GENAI_DURATION_S, GENAI_TOKENS, GENAI_TPOT_S, GENAI_TTFT_S

#: C{gen_ai.provider.name}: what the API is, whosever model it is.
PROVIDER: Final = "openai"

#: C{gen_ai.operation.name} by route; a route that the conventions have no operation for stands for itself.
OPERATIONS: Final = {
    "chat_completions": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "generate": "text_completion",
    "pooling": "embeddings",
}

#: C{gen_ai.token.type}.
TOKEN_TYPES: Final = ("input", "output")


class _Operation:
    """Of one model and one operation."""

    __slots__ = ("durations", "tokens", "tpot", "ttft")

    def __init__(self) -> None:
        self.ttft = Histogram(GENAI_TTFT_S)
        self.tpot = Histogram(GENAI_TPOT_S)
        self.durations: dict[str, Histogram] = {}
        self.tokens = {kind: Histogram(GENAI_TOKENS) for kind in TOKEN_TYPES}


Labels = tuple[str, ...]


class GenaiMeters:
    """What is counted where C{[metrics] genai} is on."""

    def __init__(self) -> None:
        self._by: dict[tuple[str, str], _Operation] = {}

    def count(self, exchange: Exchange, model: str) -> None:
        """An exchange is over for which a replica was tried.

        @param model: its label.
        """
        key = OPERATIONS.get(exchange.route, exchange.route), model
        of = self._by.get(key)
        if of is None:
            of = self._by[key] = _Operation()
        durations = of.durations.get(exchange.error)
        if durations is None:
            durations = of.durations[exchange.error] = Histogram(GENAI_DURATION_S)
        durations.observe(exchange.stamps.duration_s)
        if exchange.input_tokens is not None:
            of.tokens["input"].observe(exchange.input_tokens)
        if exchange.output_tokens is not None:
            of.tokens["output"].observe(exchange.output_tokens)
        if exchange.stream:
            ttft, tpot = exchange.stamps.ttft_s, exchange.tpot_s
            if ttft is not None:
                of.ttft.observe(ttft)
            if tpot is not None:
                of.tpot.observe(tpot)

    def ttft(self) -> dict[Labels, Histogram]:
        """By labels."""
        return self._each(lambda of: {(): of.ttft})

    def tpot(self) -> dict[Labels, Histogram]:
        """By labels."""
        return self._each(lambda of: {(): of.tpot})

    def durations(self) -> dict[Labels, Histogram]:
        """By labels; the last is the error's type, empty where there is none."""
        return self._each(lambda of: {(error,): each for error, each in of.durations.items()})

    def tokens(self) -> dict[Labels, Histogram]:
        """By labels; the last is the type of token."""
        return self._each(lambda of: {(kind,): each for kind, each in of.tokens.items()})

    def _each(self, of: Callable[[_Operation], dict[Labels, Histogram]]) -> dict[Labels, Histogram]:
        return {
            (operation, PROVIDER, model, *more): histogram
            for (operation, model), meters in self._by.items()
            for more, histogram in of(meters).items()
        }
