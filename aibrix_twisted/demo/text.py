"""What a simulated engine says: words, by lot, but the same for the same prompt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

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


def ids_of(words: list[str]) -> list[int]:
    """The token of each word."""
    return [crc32(word.encode()) & 0xFFFFF for word in words]


def tokens(seed: int, choice: int, prompt: list[int], count: int, *, space: bool = False) -> Iterator[tuple[str, int]]:
    """C{count} words, each with the space before it that a tokenizer would give it, and its token.

    Each depends on all tokens before it, so that a text which was cut anywhere goes on as it would have.

    @param space: before the first, too.
    """
    state = crc32(b"%d %d" % (seed, choice))
    for token in prompt:
        state = crc32(b"%d" % token, state)
    for _ in range(count):
        word = _WORDS[(state * 2654435761 >> 16) % len(_WORDS)]
        token = crc32(word.encode()) & 0xFFFFF
        state = crc32(b"%d" % token, state)
        yield (" " if space else "") + word, token
        space = True


def vector(seed: int, text: list[str], size: int = 16) -> list[float]:
    """An embedding."""
    lot = random.Random(f"{seed} {' '.join(text)}")
    return [round(lot.uniform(-1, 1), 6) for _ in range(size)]
