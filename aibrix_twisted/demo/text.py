"""What a simulated engine says: words, by lot, but the same for the same prompt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

_WORDS: Final = (
    "ready steady green copper river seven lantern quiet orbit maple signal harbor paper violet engine meadow "
    "silver thread window garden número façade żuraw ναι да 你好 🚀 bridge candle drift ember feather"
).split()


def words_of(prompt: Any) -> list[str]:
    """The tokens of a prompt, of a list of messages, or of anything else that is sent as input."""
    if isinstance(prompt, str):
        return prompt.split()
    if isinstance(prompt, list):
        return [word for part in prompt for word in words_of(part)]
    if isinstance(prompt, dict):
        return words_of(prompt.get("content") or prompt.get("text") or "")
    return [] if prompt is None else [str(prompt)]


def tokens(seed: int, choice: int, prompt: list[str], count: int) -> Iterator[str]:
    """C{count} words, each with the space before it that a tokenizer would give it."""
    lot = random.Random(f"{seed} {choice} {' '.join(prompt[-64:])}")
    for index in range(count):
        yield (" " if index else "") + lot.choice(_WORDS)


def vector(seed: int, text: list[str], size: int = 16) -> list[float]:
    """An embedding."""
    lot = random.Random(f"{seed} {' '.join(text)}")
    return [round(lot.uniform(-1, 1), 6) for _ in range(size)]
