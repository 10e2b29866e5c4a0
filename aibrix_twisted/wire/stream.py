"""Watches a stream of events pass: counts them, and remembers those that say how it ended.

Nearly every event is a piece of text between two others, and differs from the one before in that text only.  So the
pass path compares an event with the frame of an earlier one, and looks no further.  What does not fit the frame is
searched for what an event of interest would have to contain; one that has it is kept as bytes, and is decoded when
the stream is over and not before.  The one exception is usage that the gateway asked for and the client did not: its
event has to be recognised as it passes, because it is withheld.

Part of an event is held back until the rest of it comes, so that a stream that is cut can be ended with an event that
says so: what went to the client is whole events.

A search finds too much (a text may quote a key), never too little: within JSON strings a quote is escaped, so what
looks like a key is one or is a whole string, and decoding decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from zope.interface import classImplements

from aibrix_twisted.interfaces import IBodyDecoder, Payload
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.sse import SSEParser, TooLong, read_event
from aibrix_twisted.wire.usage import Usage, merged, usage_of

_DONE: Final = b"[DONE]"

#: What a whole stream's last word is, in dialects that have types of events.
_LAST_TYPES: Final[dict[Dialect, frozenset[str]]] = {
    Dialect.RESPONSES: frozenset({"response.completed", "response.incomplete"}),
    Dialect.MESSAGES: frozenset({"message_stop"}),
}
_CHOICES: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})

#: Events of interest that are kept; a stream has a few for each choice.
_MAX_KEPT: Final = 1024

#: What comes right before the text of an event, in chat and in completions.
_TEXT_KEYS: Final = (b'"content":"', b'"text":"')

#: Looked for as numbers: C{bytes in bytes} takes ten times as long, for it first tries its operand as a number (and
#: fails, with an exception); where more than a byte is looked for, C{find} does not.
_QUOTE: Final = 0x22
_LF: Final = 0x0A
_CR: Final = 0x0D

#: So long is what one token says, mostly.
_SHORT: Final = 24
_BACKSLASH: Final = ord("\\")

#: Frames learned per stream; one whose events keep changing does without.
_MAX_FRAMES: Final = 8


class StreamWatch:
    """The decoder of a streamed response.

    @ivar events: events with data that have passed whole.
    @ivar broke: the event that broke it off, which was not passed; empty where there was none.
    After C{finish}:
    @ivar usage: what the stream said of it last.
    @ivar saw_done: it ended with C{[DONE]}.
    @ivar finished: choices that got a C{finish_reason}.
    @ivar reported: the event in which the engine said that it failed, as it came; empty where there was none.
    @ivar held: bytes not yet given back by C{feed}.
    """

    __slots__ = (
        "_choices",
        "_dialect",
        "_dirty",
        "_done_required",
        "_frame_bytes",
        "_frame_end",
        "_frame_start",
        "_frames",
        "_interesting",
        "_kept",
        "_last_seen",
        "_lost",
        "_may_break",
        "_parser",
        "_torn",
        "_withhold",
        "broke",
        "events",
        "finished",
        "held",
        "reported",
        "saw_done",
        "usage",
    )

    def __init__(
        self,
        dialect: Dialect,
        *,
        choices: int,
        done_required: bool,
        withhold_usage: bool = False,
        kept: Kept | None = None,
        may_break: Callable[[], bool] | None = None,
        max_bytes: int = 1 << 20,
    ) -> None:
        """
        @param choices: how many the request asked for.
        @param done_required: this engine ends its streams with C{[DONE]}.
        @param withhold_usage: an event that has usage and no choices is not the client's.
        @param kept: keeps what passes.
        @param may_break: asked, once an event says that the engine failed or ends the stream before every choice has
            finished, whether the stream can be continued elsewhere; then it is broken, and the event not passed.
        @param max_bytes: the longest event that is looked into.
        """
        self._dialect = dialect
        self._choices = choices
        self._done_required = done_required
        self._withhold = withhold_usage
        self._kept = kept
        self._may_break = may_break
        self._parser = SSEParser(max_bytes=max_bytes)
        self._frame_start = self._frame_end = b"\0"  # fits nothing
        self._frame_bytes = 2
        self._frames = 0
        self._dirty = False  # the parser holds part of an event
        self._lost = False  # an event was too long to be looked into
        self._torn = False  # it ended amid an event
        self._interesting: list[bytes] = []
        self._last_seen = False
        self.events = 0
        self.broke = b""
        self.usage: Usage | None = None
        self.saw_done = False
        self.finished: set[int] = set()
        self.reported = b""
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the body.  HOT: once a read, and then mostly one whole event.

        @return: what may go to the client now.
        """
        if not self._dirty:
            kept = self._kept
            if kept is not None and kept.takes_ids and _is_one_event(data):
                data = kept.without_ids(data)
            if self._is_in_frame(data):
                return data
            if _is_one_event(data):
                self.events += 1
                return self._pass_other(data)
        if self._lost:
            return data
        return self._feed_otherwise(data)

    def _is_in_frame(self, event: bytes) -> bool:
        """Whether an event differs from the frame in its text and in nothing else; then it is counted, and its text is
        kept.  HOT: once an event."""
        start, end = self._frame_start, self._frame_end
        until = len(event) - len(end)
        if len(event) < self._frame_bytes or event[: len(start)] != start or event[until:] != end:
            return False
        text = event[len(start) : until]
        if not _is_one_string(text):
            return False
        self.events += 1
        kept = self._kept
        if kept is not None:
            kept.text(text)
        return True

    def _pass_one(self, event: bytes) -> bytes:
        """One of several events, or one whose line ends are others than LF."""
        kept = self._kept
        if kept is not None and kept.takes_ids:
            event = kept.without_ids(event)
        if self._is_in_frame(event):
            return event
        if event.startswith(b"data:") or (event.find(b"data") >= 0 and read_event(event) is not None):
            self.events += 1
            return self._pass_other(event)
        if kept is not None:
            kept.raw(event)
        return event

    def _pass_other(self, event: bytes) -> bytes:
        """An event that fits no frame."""
        kept = self._kept
        if not _is_of_interest(event):
            if kept is not None:
                kept.raw(event)
            self._learn(event)
        elif self._keep(event):
            if kept is not None:
                kept.raw(event)
        else:
            if kept is not None:
                kept.raw(b"")
            return b""
        return event

    def finish(self) -> Payload:
        """The stream is over: decode what was kept, and judge."""
        self._may_break = None
        if not self._lost:
            self.held = self._parser.rest
            last = self._parser.finish()
            self._torn = not last and _is_torn(self.held)
            if last:
                if self._kept is not None:  # who has to go on with it goes on from before it
                    self._kept = self._kept.blank()
                self.held = self._pass(last)
        self._digest()
        return self._judge()

    def _learn(self, event: bytes) -> None:
        """Take an event without interest for a frame: whatever differs from it in its text only is like it."""
        if self._frames < _MAX_FRAMES:
            for key in _TEXT_KEYS:
                at = event.find(key)
                if at >= 0:
                    at += len(key)
                    end = event.find(b'"', at)
                    if end < 0 or event[end - 1] == _BACKSLASH:  # no quote, or one within it
                        return
                    self._frames += 1
                    self._frame_start = event[:at]
                    self._frame_end = event[end:]
                    self._frame_bytes = len(self._frame_start) + len(self._frame_end)
                    if self._kept is not None:
                        self._kept.frame(self._frame_start, self._frame_end)
                    return

    def _feed_otherwise(self, data: bytes) -> bytes:
        """Several events, or parts of some, or line ends other than LF."""
        try:
            raws = self._parser.feed(data)
        except TooLong as too_long:
            self._lost, self._dirty = True, False
            if self._kept is not None:
                self._kept.drop()
            return self._pass(too_long.events) + self._parser.rest
        self._dirty = bool(self._parser.rest)
        return self._pass(raws)

    def _pass(self, raws: list[bytes]) -> bytes:
        passed = []
        for raw in raws:
            passed.append(self._pass_one(raw))
            if self.broke:
                break
        return b"".join(passed)

    def _keep(self, raw: bytes) -> bool:
        """Remember an event of interest.

        @return: whether it is the client's.
        """
        self._interesting.append(raw)
        if len(self._interesting) > _MAX_KEPT:  # an engine that says something of interest in each event
            self._digest()
        if self._may_break is not None and (raw.find(b"error") >= 0 or raw.find(b"[DONE]") >= 0) and self._breaks(raw):
            self.broke = raw
            return False
        return not (self._withhold and b'"usage"' in raw and _is_usage_alone(raw))

    @property
    def all_finished(self) -> bool:
        """Every choice has got its C{finish_reason}."""
        return len(self.finished) >= self._choices

    def _breaks(self, raw: bytes) -> bool:
        """Whether it cannot go on from this engine, but can from another."""
        self._digest()
        if self.reported:
            fails = self.reported is raw  # else the client has read of it
        else:
            fails = self.saw_done and not self.all_finished
        return fails and self._may_break is not None and self._may_break()

    def _digest(self) -> None:
        interesting, self._interesting = self._interesting, []
        for raw in interesting:
            event = read_event(raw)
            if event is None:
                continue
            if event.data.strip() == _DONE:
                self.saw_done = True
                continue
            document = _decoded(event.data)
            if not isinstance(document, dict):
                continue
            if event.name == b"error" or _reports_failure(document):
                self.reported = self.reported or raw
            choices = document.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                if isinstance(choice, dict) and choice.get("finish_reason") is not None:
                    self.finished.add(choice.get("index", 0))
            if document.get("type") in _LAST_TYPES.get(self._dialect, ()):
                self._last_seen = True
            self.usage = merged(self.usage, usage_of(document))

    def _judge(self) -> Payload:
        if self.reported:
            return Payload.BROKEN
        if self._lost:
            return Payload.OPAQUE
        if self._dialect in _CHOICES:
            whole = self.all_finished and (self.saw_done or not (self._done_required or self._torn))
        elif self._dialect in _LAST_TYPES:
            whole = self._last_seen
        elif self._dialect is Dialect.GENERATE and self._done_required:
            whole = self.saw_done
        else:
            return Payload.OPAQUE
        return Payload.WHOLE if whole else Payload.CUT


classImplements(StreamWatch, IBodyDecoder)


def _is_one_event(data: bytes) -> bool:
    """Whether it is one whole event of one line, and nothing else.  HOT."""
    # Where the first line end stands is found many bytes at a time; to count them would be to look at each.
    end = len(data) - 2
    return data.startswith(b"data:") and data.endswith(b"\n\n") and data.find(b"\n") == end and _CR not in data


def _is_one_string(text: bytes) -> bool:
    """Whether neither the string nor the line ends within it.  HOT: once an event."""
    count = len(text)
    if count > _SHORT:
        return _QUOTE not in text and _LF not in text and _CR not in text
    # Compiled, to look at a byte costs a tenth of a call.
    for at in range(count):
        byte = text[at]
        if byte == _QUOTE or byte == _LF or byte == _CR:
            return False
    return True


def _is_torn(rest: bytes) -> bool:
    """Whether it is the beginning of an event; C{[DONE]} is none, though the blank line after it did not come."""
    rest = rest.strip()
    return bool(rest) and rest[:1] != b":" and not rest.endswith(_DONE)


def _is_of_interest(data: bytes) -> bool:
    """Whether there may be something in it that says how the stream ends, or what it took.  HOT."""
    find = data.find
    return (
        (find(b'"finish_reason"') >= 0 and _says_more_than_null(data, b'"finish_reason"'))
        or find(b'"error"') >= 0
        or find(b"[DONE]") >= 0
        or (find(b'"usage"') >= 0 and _says_more_than_null(data, b'"usage"'))
        or find(b'"response.') >= 0
        or find(b"message_stop") >= 0
        or find(b"event: error") >= 0
        or find(b"event:error") >= 0
    )


def _says_more_than_null(data: bytes, key: bytes) -> bool:
    """Whether a key that is there has, at one place at least, another value than null."""
    return data.count(key) != data.count(key + b":null") + data.count(key + b": null")


def _is_usage_alone(raw: bytes) -> bool:
    """Whether the event is the one that C{include_usage} adds: usage, and an empty list of choices."""
    event = read_event(raw)
    document = _decoded(event.data) if event is not None else None
    return isinstance(document, dict) and document.get("choices") == [] and isinstance(document.get("usage"), dict)


def _reports_failure(document: dict[str, Any]) -> bool:
    """OpenAI's error object, or the failure events of responses and messages."""
    return document.get("error") is not None or document.get("type") in ("error", "response.failed")


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
