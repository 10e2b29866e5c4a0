"""What the models say: the next word follows from the words before it, and from nothing else.

So whoever is asked, and however often it is broken off and asked to go on, a text goes on as it would have: what an
undisturbed engine would have said is known for every request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

#: Words that are easily taken for something else are among them.
WORDS: Final = (
    "ready steady green copper river seven lantern quiet orbit maple signal harbor paper violet engine meadow silver "
    'thread window garden número façade żuraw 你好 🚀 data: [DONE] "finish_reason":"stop" {"error":1} "usage":{} '
    "event: \\n back\\slash : retry </s> 0\\r\\n\\r\\n bridge candle drift ember feather"
).split()

#: So many words back are remembered.
_MEMORY: Final = 6


def words_of(prompt: Any) -> list[str]:
    """The words of a prompt, of messages, or of whatever else is sent as input."""
    if isinstance(prompt, str):
        return prompt.split(" ")
    if isinstance(prompt, list):
        return [word for part in prompt for word in words_of(part)]
    if isinstance(prompt, dict):
        return words_of(prompt.get("content") or "")
    return []


def tokens(prompt: list[str], count: int, choice: int = 0) -> Iterator[str]:
    """C{count} words that go on from the prompt, each with the blank before it but for the first.

    @param choice: of several answers to one request.
    """
    known = list(prompt[-_MEMORY:])
    for index in range(count):
        word = WORDS[crc32(f"{choice} {' '.join(known)}".encode()) % len(WORDS)]
        known = [*known[1 - _MEMORY :], word]
        yield f" {word}" if index else word
