"""What has passed of a stream, kept so that the stream can be continued should its engine die.

Nearly all events of a stream differ from each other in their text only (see L{aibrix_twisted.wire.stream}), so the
text is all that is kept of them, with the frame around it once; a token takes about ten bytes so.  What fits no frame
is kept as it came.  Nothing is decoded here.

vLLM says with each event which tokens it stands for, if it is asked to (C{return_token_ids}).  Where it was asked by
the gateway and not by the client, the ids are kept, and C{null} is put in their place, which is what the engine itself
writes where nobody asked: the client's bytes are those that it would have had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

_IDS: Final = b'"token_ids":['
_PROMPT_IDS: Final = b'"prompt_token_ids":['

#: An engine whose first events bring no ids, not even the prompt's, will not bring any: these are not looked for again.
MAX_BARE: Final = 8

#: What an event that is kept by itself takes beside its bytes.
OBJECT_BYTES: Final = 64


class Framed(NamedTuple):
    """Events that differ in their text only.

    @ivar texts: as they came, each with a line end, which is in none of them.
    """

    start: bytes
    end: bytes
    texts: bytes


class Kept:
    """Bounded: beyond the bound nothing is kept, and C{lost} says so.

    @ivar takes_ids: ids are taken out of events; no longer so where an engine does not say any.
    @ivar withholds_ids: and are not the client's.
    @ivar lost: there was more than may be kept.
    """

    __slots__ = (
        "_end",
        "_ids",
        "_max_bytes",
        "_prompt",
        "_room",
        "_segments",
        "_start",
        "_texts",
        "lost",
        "takes_ids",
        "withholds_ids",
    )

    def __init__(self, max_bytes: int, *, takes_ids: bool, withholds_ids: bool) -> None:
        """
        @param max_bytes: of all that is kept.
        @param takes_ids: the engine was asked to say which tokens an event stands for,
        @param withholds_ids: and the client was not the one who asked.
        """
        self._max_bytes = self._room = max_bytes
        self.takes_ids = takes_ids
        self.withholds_ids = withholds_ids
        self._start = self._end = b""
        self._segments: list[Framed | bytes] = []
        self._texts = bytearray()  # of events in the current frame
        self._ids = bytearray()  # of each event: numbers with commas between, and a semicolon
        self._prompt = b""
        self.lost = False

    @property
    def size(self) -> int:
        """Bytes kept."""
        return 0 if self.lost else self._max_bytes - self._room + len(self._texts) + len(self._ids)

    def without_ids(self, event: bytes) -> bytes:
        """Take the ids out of one whole event.  HOT where ids were asked for: once an event.

        Each event has its place among the ids, so that one that is withheld has to be told of, too.

        @return: the event as it is the client's.
        """
        at = event.rfind(_IDS) + len(_IDS)
        end = event.find(b"]", at) if at >= len(_IDS) else -1
        if end >= 0:
            if not self.lost:
                self._ids += event[at:end]
            if self.withholds_ids:
                event = b"%bnull%b" % (event[: at - 1], event[end + 1 :])
        elif not self._prompt and len(self._ids) >= MAX_BARE and not self._ids.strip(b";"):
            self.takes_ids = False
            self._ids.clear()
            return self._without_prompt_ids(event)
        if not self.lost:
            self._ids += b";"
            if len(self._ids) + len(self._texts) > self._room:
                self.drop()
        return event if self._prompt else self._without_prompt_ids(event)

    def _without_prompt_ids(self, event: bytes) -> bytes:
        at = event.find(_PROMPT_IDS) + len(_PROMPT_IDS)
        end = event.find(b"]", at)
        if at < len(_PROMPT_IDS) or end < 0:
            return event
        if not self.lost:
            self._prompt = event[at:end]
            self._take_room(end - at)
        return b"%bnull%b" % (event[: at - 1], event[end + 1 :]) if self.withholds_ids else event

    def text(self, text: bytes) -> None:
        """An event in the current frame has passed.  HOT: once an event."""
        if not self.lost:
            texts = self._texts
            texts += text
            texts += b"\n"
            if len(texts) + len(self._ids) > self._room:
                self.drop()

    def raw(self, event: bytes) -> None:
        """Any other event has passed; an empty one: it was withheld."""
        if not self.lost:
            self._close_frame()
            self._take_room(len(event) + OBJECT_BYTES)
            if not self.lost:
                self._segments.append(event)

    def frame(self, start: bytes, end: bytes) -> None:
        """From here on texts are between these."""
        self._close_frame()
        self._start, self._end = start, end

    def drop(self) -> None:
        """Keep nothing of it, and nothing from here on."""
        self.lost = True
        self._segments.clear()
        self._texts.clear()
        self._ids.clear()
        self._prompt = b""

    def blank(self) -> Kept:
        """One that takes out the same, and keeps nothing: for events of which it is not yet known whose they are."""
        return Kept(0, takes_ids=self.takes_ids, withholds_ids=self.withholds_ids)

    def passed(self) -> Iterator[Framed | bytes]:
        """What has passed, oldest first, as the client has it."""
        self._close_frame()
        return iter(self._segments)

    def ids(self) -> list[list[int]]:
        """The tokens of each event, in the order of the events; no event has any where ids were not taken.

        @raise ValueError: what was said are no numbers.
        """
        ids: list[list[int]] = (
            orjson.loads(b"[[%b]]" % bytes(self._ids[:-1]).replace(b";", b"],[")) if self._ids else []
        )
        return ids

    def prompt_ids(self) -> list[int]:
        """The prompt's tokens; none where they were not said.

        @raise ValueError: what was said are no numbers.
        """
        ids: list[int] = orjson.loads(b"[%b]" % self._prompt)
        return ids

    def _close_frame(self) -> None:
        if self._texts:
            texts = bytes(self._texts)
            self._texts.clear()
            self._take_room(len(texts) + OBJECT_BYTES)
            if not self.lost:
                self._segments.append(Framed(self._start, self._end, texts))

    def _take_room(self, size: int) -> None:
        self._room -= size
        if self._room < len(self._ids):
            self.drop()
