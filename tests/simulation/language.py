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

#: Where a prompt begins with this one, words that are not ASCII are two tokens each, as characters are in many
#: vocabularies: the first of them says nothing.
SCRIPT: Final = "żuraw"

#: Here the assistant begins to speak.
ASSISTANT: Final = 9_999_999


def words_of(prompt: Any) -> list[str]:
    """The words of a prompt, of messages, or of whatever else is sent as input."""
    if isinstance(prompt, str):
        return prompt.split(" ")
    if isinstance(prompt, list):
        return [word for part in prompt for word in words_of(part)]
    if isinstance(prompt, dict):
        return words_of(prompt.get("content") or "")
    return []


def ids_of(prompt: Any) -> list[int]:
    """Its tokens; it may be of tokens already.  Before what the assistant says in a chat there is a token of its own."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
        return prompt
    words = words_of(prompt)
    script = words[:1] == [SCRIPT]
    if not isinstance(prompt, list) or not prompt or not isinstance(prompt[0], dict):
        return _ids(words, script=script)
    said = prompt[-1:] if prompt[-1]["role"] == "assistant" else []
    asked = words_of(prompt[: len(prompt) - len(said)])
    return [*_ids(asked, script=script), ASSISTANT, *_ids(words_of(said), script=script)]


def tokens(prompt: list[int], count: int, choice: int = 0) -> Iterator[tuple[str, int]]:
    """C{count} tokens that go on from the prompt's: the text that each brings, and its number.

    Each word depends on all that was before it, and has a blank before it unless it is the first that is said in a chat.

    @param choice: of several answers to one request.
    """
    script = prompt[:2] == _ids([SCRIPT], script=True)
    state = _after(prompt, crc32(b"%d" % choice))
    left = [_SECOND[prompt[-1]]] if script and prompt[-1] in _SECOND else []
    begun = prompt[-1 - len(left) :][:1] != [ASSISTANT]
    for _ in range(count):
        if not left:
            left = _spelled(WORDS[state * 2654435761 % 2**32 % len(WORDS)], script=script)
        (text, id), *left = left
        state = _after([id], state)
        yield (" " + text if text and begun else text), id
        begun = begun or bool(text)


def _ids(words: list[str], *, script: bool) -> list[int]:
    return [id for word in words for _, id in _spelled(word, script=script)]


def _after(ids: list[int], state: int) -> int:
    for id in ids:
        state = crc32(b"%d" % id, state)
    return state


def _spelled(word: str, *, script: bool) -> list[tuple[str, int]]:
    """A word, token by token; all have numbers of seven digits."""
    id = 1_000_000 + (crc32(word.encode()) & 0xFFFFF) * 2
    return [(word, id)] if word.isascii() or not script else [("", id), (word, id + 1)]


#: What begins with such a token ends with another one.
_SECOND: Final = {
    _spelled(word, script=True)[0][1]: _spelled(word, script=True)[1] for word in WORDS if not word.isascii()
}
