"""C{/api/events}: what happens, as it happens, as server-sent events (WHATWG HTML, "Server-sent events").

Four times a second, while anybody reads, it is looked at what has changed, and each change is made into bytes once for
all readers.  A reader that does not keep up is sent nothing while its connection is full; then it is told how much it
has missed.  One that takes nothing for half a minute is cut.  So what is kept for a reader is what its connection
holds, and never grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.http import Request
from zope.interface import implementer

from aibrix_twisted.service.admin.changes import Changes, Event
from aibrix_twisted.service.admin.documents import Denied, Stream
from aibrix_twisted.service.admin.query import Parameter, read_query, seconds
from aibrix_twisted.service.owned import log_failure_of

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"

LOOK_S: Final = 0.25

#: An idle connection is shown to be alive so often.
HEARTBEAT_S: Final = 15.0

#: A reader may take nothing for so long.
PATIENCE_S: Final = 30.0

#: Readers at once.
READERS: Final = 100

#: Of the query.
PARAMETERS: Final[tuple[Parameter, ...]] = (
    seconds("seconds", "The stream ends after so long; without it, when its reader leaves.", above=0.0, most=86400.0),
)

_HEARTBEAT: Final = b": still here\n\n"


class Feed:
    """All readers, and what they are told."""

    def __init__(self, clock: IReactorTime, changes: Changes) -> None:
        self._clock = clock
        self._changes = changes
        self._readers: set[Reader] = set()
        self._call = LoopingCall(self._look)
        self._call.clock = clock

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    def stream(self, given: Mapping[bytes, Sequence[bytes]]) -> Stream:
        """One more reader, once its request is begun.

        @param given: the query.
        @raise Denied: it is wrong, or there are too many already.
        """
        asked = read_query(given, PARAMETERS)
        if len(self._readers) >= READERS:
            raise Denied(503, f"there are {READERS} readers of events already", "too_many_readers")
        return Stream(lambda request: self._join(request, asked.get("seconds")), CONTENT_TYPE)

    def stop(self) -> None:
        """Let all of them go."""
        for reader in tuple(self._readers):
            reader.finish()

    def _join(self, request: Request, seconds: float | None) -> None:
        now = self._clock.seconds()
        reader = Reader(request, now, None if seconds is None else now + seconds)
        self._readers.add(reader)
        request.registerProducer(reader, True)
        log_failure_of(request.notifyFinish().addBoth(lambda _: self._left(reader)), "reading events")
        reader.take(encoded(self._changes.hello()), 1, now)
        if not self._call.running:
            self._changes.begin()
            log_failure_of(self._call.start(LOOK_S, now=False), "looking for events")

    def _left(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if not self._readers and self._call.running:
            self._call.stop()
            self._changes.forget()

    def _look(self) -> None:
        events = self._changes.look()
        frame, count, now = b"".join(map(encoded, events)), len(events), self._clock.seconds()
        for reader in tuple(self._readers):
            if frame:
                reader.take(frame, count, now)
            reader.check(now)


@implementer(IPushProducer)
class Reader:
    """One connection that events are written to."""

    def __init__(self, request: Request, now: float, ends: float | None) -> None:
        """@param ends: when it has had enough; C{None}: never."""
        self._request = request
        self._ends = ends
        self._heard = now  # when something was last written
        self._blocked: bool = False
        self._missed = 0
        self._over = False

    def take(self, frame: bytes, count: int, now: float) -> None:
        """So many events, encoded; or none of them, while its connection is full."""
        if self._blocked or self._over:
            self._missed += count
            return
        if self._missed:
            frame = encoded(("skipped", {"events": self._missed})) + frame
            self._missed = 0
        self._write(frame, now)

    def check(self, now: float) -> None:
        """Is it there still, and has it enough?"""
        if self._over:
            return
        if self._ends is not None and now >= self._ends:
            self.finish()
        elif self._blocked:
            if now - self._heard > PATIENCE_S:
                self._over = True
                self._request.channel.forceAbortClient()
        elif now - self._heard >= HEARTBEAT_S:
            self._write(_HEARTBEAT, now)

    def finish(self) -> None:
        """End it as it should."""
        if not self._over:
            self._over = True
            self._request.unregisterProducer()
            self._request.finish()

    def _write(self, frame: bytes, now: float) -> None:
        self._heard = now
        self._request.write(frame)

    # -- from its connection (IPushProducer) -----------------------------------------------------------------

    def pauseProducing(self) -> None:
        """It is full."""
        self._blocked = True

    def resumeProducing(self) -> None:
        """There is room again."""
        self._blocked = False

    def stopProducing(self) -> None:
        """It is gone."""
        self._over = True


def encoded(event: Event) -> bytes:
    """An event and its document, on the wire."""
    name, document = event
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), _json(document))


def _json(document: Any) -> bytes:
    """On one line, which JSON is where nobody asks for more."""
    return orjson.dumps(document)
