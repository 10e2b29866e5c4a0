"""A stream that broke after it had begun, and how it goes on.

What the client has is read out of what was kept, once; then another replica is asked for the rest, and its events are
spelled as the first ones were.  That may break, too, and is then continued in the same way.  What can't be continued so
that it could be shown to be right is not: see L{aibrix_twisted.wire.continuation}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.answers import Answer
from aibrix_twisted.wire.continuation import Continuation, Target, continuation, limit_of
from aibrix_twisted.wire.head import ResponseHead
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.openai import Asked
from aibrix_twisted.wire.respell import Diverged, Respeller, closing
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.sse import SSEParser, TooLong
from aibrix_twisted.wire.told import Told, read

#: The longest event of a continuation.
MAX_EVENT_BYTES = 1 << 20

#: Dialects whose streams can be continued.
HEALABLE = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})


class Healing:
    """What was asked, what the client has of it, and what is asked for then.

    @ivar told: what the client has; continuations add to it.
    """

    __slots__ = ("_dialect", "_document", "_limit", "_mode", "told")

    def __init__(self, asked: Asked, body: bytes, kept: Kept, mode: str, engine: str) -> None:
        """
        @param body: the client's.
        @param mode: C{exact}, C{text} or C{auto}.
        @param engine: that the stream began on.
        """
        self._dialect = asked.route.dialect
        self._mode = mode
        self._document: dict[str, Any] = orjson.loads(body)
        self._limit = limit_of(self._document, self._dialect, engine)
        self.told: Told = read(kept, self._dialect)

    def closing(self) -> bytes | None:
        """What is missing, where that is nothing but its end; C{None}: more is.

        @raise CannotContinue: that is all, but it is not known.
        """
        told = self.told
        if told.strange:
            return None
        if told.finish is not None:
            return closing(told, self._dialect, self._document, None)
        if self._limit is not None and told.tokens >= self._limit:
            return closing(told, self._dialect, self._document, "length")
        return None

    def plan(self, replica: Replica, model: str, context: int | None) -> Continuation:
        """What to ask of this replica.

        @param context: how many tokens the model takes and makes in all, where that is known.
        @raise CannotContinue: it could not be shown to be right.
        """
        target = Target(replica.engine, model, context, replica.forces_usage)
        return continuation(self._document, self._dialect, self.told, target, limit=self._limit, mode=self._mode)

    def respeller(self, plan: Continuation) -> Respeller:
        """Turns the events of a continuation into the client's."""
        return Respeller(self.told, plan, self._dialect, self._document)


class HealedAnswer(Answer):
    """A continuation on its way to the client.

    @ivar declined: the replica answered with no stream.
    @ivar diverged: with one that does not continue this one.
    """

    __slots__ = (
        "_done_required",
        "_events",
        "_parser",
        "_record",
        "_reply",
        "_respeller",
        "_seconds",
        "_told",
        "declined",
        "diverged",
    )

    streamed = True

    def __init__(
        self,
        healing: Healing,
        plan: Continuation,
        head: ResponseHead,
        reply: Reply,
        record: AttemptRecord,
        seconds: Callable[[], float],
        *,
        done_required: bool,
        events: int,
    ) -> None:
        """
        @param events: that the client had before.
        """
        super().__init__()
        self.declined = not _is_stream(head)
        self.diverged = False
        self._respeller = healing.respeller(plan)
        self._told = healing.told
        self._parser = SSEParser(max_bytes=MAX_EVENT_BYTES)
        self._reply: Reply | None = reply
        self._record = record
        self._seconds = seconds
        self._done_required = done_required
        self._events = events

    @property
    def events(self) -> int:
        """That the client has, those before this included."""
        return self._events

    @property
    def saw_done(self) -> bool:
        """The engine ended it with C{[DONE]}."""
        return self._respeller.done

    def take(self, data: bytes) -> str:
        """Pass on what it brings."""
        if self.declined or self.diverged:
            return ""
        out: list[bytes] = []
        why = ""
        try:
            for raw in self._parser.feed(data):
                out.append(self._respeller.respell(raw))
                if self._respeller.failed:
                    why = "it reported an error"
                    break
        except (Diverged, TooLong) as error:
            self.diverged = True
            why = f"the continuation cannot be passed on: {error}"
        self._write([event for event in out if event])
        return why

    def _write(self, events: list[bytes]) -> None:
        self._events += len(events)
        if not events or self._reply is None:
            return
        now = self._seconds()
        if self._record.first is None:
            self._record.first = now
        self._record.beats.beat(now)
        self._reply.write(b"".join(events))

    def judge(self) -> Payload:
        """Whole where the stream is finished."""
        respeller = self._respeller
        self.usage = respeller.usage
        if self.declined:
            return Payload.OPAQUE
        if respeller.failed:
            return Payload.BROKEN
        done = respeller.done or not self._done_required
        return Payload.WHOLE if done and self._told.finish is not None else Payload.CUT

    def finish(self) -> None:
        """The end of the whole stream."""
        if self._reply is not None:
            self._reply.write(self._respeller.ending())
            self._reply.finish()

    def detach(self) -> None:
        """Read on, and give to nobody."""
        self._reply = None


def _is_stream(head: ResponseHead) -> bool:
    kind = head.fields.get(b"content-type", b"").lower()
    coding = head.fields.get(b"content-encoding", b"identity").lower()
    return head.status == 200 and kind.startswith(b"text/event-stream") and coding == b"identity"
