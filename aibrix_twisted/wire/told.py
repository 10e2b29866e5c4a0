"""What a broken stream had told its client: read out of what was kept of it, once it has to be continued."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from aibrix_twisted.wire.kept import Framed, Kept
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.sse import read_event
from aibrix_twisted.wire.usage import Usage

#: Put in the place of the text of events that differ in it only, to see where in an event it stands.
_HERE: Final = rb"\u0000here"
_HERE_SAID: Final = "\0here"


class Told:
    """One choice's stream so far.  A continuation adds to it, so that it can be continued again.

    @ivar template: an event of it, decoded: what a further one is like but for its choice.
    @ivar choice: the choice of an event, with text if there was one.
    @ivar role: the client has the choice's role.
    @ivar events: with text.
    @ivar finish: the choice's C{finish_reason}, once it has one.
    @ivar done: C{[DONE]} was passed.
    @ivar usage_passed: so was an event of usage.
    @ivar prompt_ids: the prompt's tokens; empty where they are not known.
    @ivar strange: what is in it that no continuation could go on with; empty where there is nothing such.
    """

    __slots__ = (
        "_before",
        "_ids_known",
        "_marks",
        "_pieces",
        "_said",
        "choice",
        "done",
        "events",
        "finish",
        "prompt_ids",
        "role",
        "strange",
        "template",
        "usage_passed",
    )

    def __init__(self) -> None:
        self.template: dict[str, Any] = {}
        self.choice: dict[str, Any] = {}
        self.role = False
        self.events = 0
        self.finish: str | None = None
        self.done = False
        self.usage_passed = False
        self.prompt_ids: list[int] = []
        self.strange = ""
        self._pieces: list[str] = []
        self._marks: list[tuple[str, list[int]]] = []  # of each event: its text, and the tokens that it stands for
        self._before: list[tuple[str, list[int]]] = []  # as they were when some had to be made anew
        self._ids_known = True
        self._said: tuple[int, int] | None = None  # tokens, by the engine's count, and events by then

    @property
    def text(self) -> str:
        """All that was said."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def has_ids(self) -> bool:
        """The tokens of all of it are known, and the prompt's."""
        return self._ids_known and bool(self.prompt_ids)

    @property
    def tokens(self) -> int:
        """How many tokens it was: by their ids, else as the engine counts them with each event, else by events."""
        if self.has_ids or self._said is None:
            return sum(len(ids) or bool(text) for text, ids in self._all_marks())
        tokens, events = self._said
        return tokens + self.events - events

    @property
    def usage(self) -> Usage | None:
        """What it took so far, where that is known for sure."""
        return Usage(len(self.prompt_ids), self.tokens) if self.has_ids else None

    def add(self, text: str, ids: list[int] | None, *, had: int = 0, sure: bool = True) -> None:
        """So much more was said.

        @param ids: the tokens of it; C{None}: they were not said.
        @param had: so many characters at its beginning were said before.
        @param sure: they follow those before them; else they only tell how many there were.
        """
        fresh = text[had:] if had else text
        if fresh:
            self._pieces.append(fresh)
            self.events += 1
        if ids is None or (text and not ids) or not sure:
            self._ids_known = False
        self._marks.append((text, ids or []))

    def count(self, tokens: int) -> None:
        """The engine's own count, up to here."""
        self._said = tokens, self.events

    def resume_at(self, *, deterministic: bool, ids_passed: bool) -> tuple[list[int], str]:
        """From where it can be asked for again.

        An event without text stands for part of a character: its tokens brought the client nothing, and are made anew.
        An event of several tokens may end with such a part.  It, too, is made anew where the same will come of it.

        @param deterministic: the engine says the same again.
        @param ids_passed: the client has the tokens, too: none is made anew.
        @return: tokens that are sure; and text that will come again after them, which the client has.
        """
        marks = self._marks
        sure = len(marks)
        if not ids_passed:
            while sure and not marks[sure - 1][0]:
                sure -= 1
            if deterministic and sure and len(marks[sure - 1][1]) > 1:
                sure -= 1
        said = sum(len(text) for text, _ in marks[:sure])
        return [token for _, ids in marks[:sure] for token in ids], self.text[said:]

    def back_to(self, tokens: int) -> None:
        """Only so many tokens are sure; those after them come anew, with their text."""
        self._before = self._all_marks().copy()
        surplus = sum(len(ids) for _, ids in self._marks) - tokens
        while surplus > 0:
            surplus -= len(self._marks.pop()[1])

    def _all_marks(self) -> list[tuple[str, list[int]]]:
        """Of all that was said: while some of it has yet to come anew, as it was."""
        missing = len(self.text) - sum(len(text) for text, _ in self._marks) if self._before else 0
        return self._before if missing > 0 else self._marks

    def tokens_within(self, size: int) -> int:
        """How many tokens the last characters were, so many of them; those that were of more than these not counted."""
        count = 0
        for text, ids in reversed(self._all_marks()):
            if len(text) > size:
                break
            size -= len(text)
            count += len(ids) or bool(text)
        return count


def read(kept: Kept, dialect: Dialect) -> Told:
    """Read what was kept.

    @param dialect: chat or completions.
    """
    told = Told()
    if kept.lost:
        told.strange = "more than may be kept of it"
        return told
    try:
        told.prompt_ids = kept.prompt_ids()
        ids = iter(kept.ids())
        for segment in kept.passed():
            if isinstance(segment, bytes):
                _take(told, segment, dialect, next(ids, None))
            else:
                _take_framed(told, segment, dialect, ids)
    except ValueError:
        told.strange = "an event that is not JSON"
    return told


def _take_framed(told: Told, framed: Framed, dialect: Dialect, ids: Iterator[list[int]]) -> None:
    """Events that differ in their text only: one is read, and the others are like it."""
    raws = framed.texts.split(b"\n")[:-1]
    texts: list[str] = orjson.loads(b'["%b"]' % b'","'.join(raws))
    example = read_event(framed.start + _HERE + framed.end)
    document = orjson.loads(example.data) if example is not None else None
    choice = _only_choice(document)
    if len(texts) == len(raws) and choice is not None and said_by(choice, dialect) == _HERE_SAID:
        _take_choice(told, choice, dialect)
        told.template, told.choice = document or {}, choice
        for text in texts:
            told.add(text, next(ids, None))
    else:
        for raw in raws:
            _take(told, framed.start + raw + framed.end, dialect, next(ids, None))


def _take(told: Told, raw: bytes, dialect: Dialect, ids: list[int] | None) -> None:
    event = read_event(raw)
    if event is None:
        return
    if event.data.strip() == b"[DONE]":
        told.done = True
        return
    document = orjson.loads(event.data)
    if not isinstance(document, dict):
        told.strange = "an event that is no object"
        return
    told.template = told.template or document
    usage = document.get("usage")
    if document.get("choices"):
        choice = _only_choice(document)
        text = None if choice is None else said_by(choice, dialect)
        if choice is None:
            told.strange = "more than one choice"
        elif text is None:
            told.strange = told.strange or "something else than text"
        else:
            _take_choice(told, choice, dialect)
            if told.finish is not None and isinstance(usage, dict) and told._said is None:
                told.usage_passed = True  # it rides along, as in llama.cpp's completions; or else with each event
            if text or not told.choice:
                told.template, told.choice = document, choice
            told.add(text, ids)
    else:
        told.usage_passed = told.usage_passed or isinstance(usage, dict)
    if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
        told.count(usage["completion_tokens"])


def _only_choice(document: Any) -> dict[str, Any] | None:
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or len(choices) != 1:
        return None
    choice = choices[0]
    return choice if isinstance(choice, dict) and choice.get("index", 0) == 0 else None


def _take_choice(told: Told, choice: dict[str, Any], dialect: Dialect) -> None:
    if dialect is Dialect.CHAT and choice["delta"].get("role"):
        told.role = True
    if choice.get("finish_reason") is not None:
        told.finish = str(choice["finish_reason"])


def said_by(choice: dict[str, Any], dialect: Dialect) -> str | None:
    """The text of a choice in an event; C{None} where it says something that is not text.

    What is not text: a call of a tool, reasoning, a refusal, sound; see OpenAI's chat completion chunk object, and
    C{reasoning_content} of vLLM and SGLang.
    """
    if dialect is Dialect.COMPLETIONS:
        text = choice.get("text")
        return text if isinstance(text, str) else None
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return None
    if any(value not in (None, "", []) for name, value in delta.items() if name not in ("role", "content")):
        return None
    content = delta.get("content")
    return content if isinstance(content, str) else "" if content is None else None
