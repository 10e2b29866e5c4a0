"""An engine's answer on its way to the client: passed through as it comes, or assembled whole first.

A stream goes out as it comes.  Its head waits for the first bytes of its body, so that until then another replica
may be tried.  Anything else is gathered up to a bound before its head goes out, so that one that is cut is never
begun; beyond the bound it, too, goes out as it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.wire.error_object import error_event
from aibrix_twisted.wire.head import Framing, ResponseHead
from aibrix_twisted.wire.jsonbody import WholeBody
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.openai import Asked
from aibrix_twisted.wire.stream import StreamWatch
from aibrix_twisted.wire.usage import Usage

#: The clock of what is stamped.
Seconds = Callable[[], float]


class Begins(Protocol):
    """Gives the client the head, made out of the engine's, and the first of the body."""

    def __call__(self, answer: Answer, head: ResponseHead, data: bytes, *, streamed: bool, length: int | None) -> None:
        """Called once, when the head is about to go out."""
        ...


class Answer:
    """How a response is passed on, once its head told which kind it is.

    @cvar streamed: a last event can be added to it.
    @cvar is_error: what the client is given of it is an error, within what has begun as a stream.
    @ivar usage: what it said of tokens, once it was judged.
    """

    __slots__ = ("usage",)

    streamed: ClassVar[bool] = False
    is_error: ClassVar[bool] = False

    def __init__(self) -> None:
        self.usage: Usage | None = None

    @property
    def held(self) -> int:
        """Bytes of it that wait to be given to the client."""
        return 0

    @property
    def events(self) -> int:
        """Events of a stream that the client has, or will have."""
        return 0

    def take(self, data: bytes) -> str:
        """More of the body.

        @return: why nothing more of it is wanted; empty: more is.
        """
        raise NotImplementedError

    def judge(self) -> Payload:
        """The body is over; called once."""
        raise NotImplementedError

    def finish(self) -> None:
        """Give the client a clean end."""
        raise NotImplementedError

    def detach(self) -> None:
        """The client left: read on, and give to nobody."""
        raise NotImplementedError


class StreamAnswer(Answer):
    """A stream of events."""

    __slots__ = (
        "_beats",
        "_begins",
        "_head",
        "_record",
        "_reply",
        "_seconds",
        "_watch",
    )

    streamed = True

    def __init__(
        self,
        head: ResponseHead,
        watch: StreamWatch,
        reply: Reply,
        begins: Begins,
        record: AttemptRecord,
        seconds: Seconds,
    ) -> None:
        super().__init__()
        self._head: ResponseHead | None = head
        self._watch = watch
        self._reply: Reply | None = reply
        self._begins = begins
        self._record = record
        self._seconds = seconds
        self._beats = record.beats

    @property
    def events(self) -> int:
        """Events that have passed."""
        return self._watch.events

    def take(self, data: bytes) -> str:
        """HOT: once a read."""
        out = self._watch.feed(data)
        if out:
            if self._head is not None:
                self._begin(out)
            elif self._reply is not None:
                self._beats.beat(self._seconds())
                self._reply.write(out)
        return self._broke() if self._watch.broke else ""

    def _broke(self) -> str:
        return "it reported an error" if self._watch.reported else "it ended the stream unfinished"

    @property
    def finished(self) -> bool:
        """Every choice has come to its end."""
        return self._watch.all_finished

    @property
    def withheld(self) -> bytes:
        """The event that broke it off."""
        return self._watch.broke

    def judge(self) -> Payload:
        """Whole where every choice has finished and the engine said that it was done."""
        payload = self._watch.finish()
        self.usage = self._watch.usage
        return payload

    @property
    def saw_done(self) -> bool:
        """The engine ended it with C{[DONE]}."""
        return self._watch.saw_done

    def finish(self) -> None:
        """Pass on what was held back, then the last chunk."""
        held = self._watch.held
        if self._head is not None:
            self._begin(held)
        elif held and self._reply is not None:
            self._reply.write(held)
        if self._reply is not None:
            self._reply.finish()

    def detach(self) -> None:
        """Read on, and give to nobody."""
        self._reply = None

    def _begin(self, data: bytes) -> None:
        head, self._head = self._head, None
        self._record.first = now = self._seconds()
        if self._reply is not None and head is not None:
            self._beats.beat(now)
            self._begins(self, head, data, streamed=True, length=None)


class WholeAnswer(Answer):
    """Anything but a stream."""

    __slots__ = ("_begins", "_body", "_head", "_record", "_reply", "_seconds")

    def __init__(
        self, head: ResponseHead, body: WholeBody, reply: Reply, begins: Begins, record: AttemptRecord, seconds: Seconds
    ) -> None:
        super().__init__()
        self._head: ResponseHead | None = head
        self._body = body
        self._reply: Reply | None = reply
        self._begins = begins
        self._record = record
        self._seconds = seconds

    @property
    def held(self) -> int:
        """What was gathered."""
        return self._body.held

    def take(self, data: bytes) -> str:
        """Gather; beyond the bound, pass on."""
        if self._record.first is None:
            self._record.first = self._seconds()
        out = self._body.feed(data)
        reply, head = self._reply, self._head
        if out and reply is not None:
            if head is None:
                reply.write(out)
            else:
                self._head = None
                length = head.content_length if head.framing is Framing.LENGTH else None
                self._begins(self, head, out, streamed=False, length=length)
        return ""

    def judge(self) -> Payload:
        """Whole where it decodes, or where its framing is all that can be asked."""
        payload = self._body.finish()
        self.usage = self._body.usage
        return payload

    def finish(self) -> None:
        """Give the client all of it, or the end of what it has."""
        reply, head = self._reply, self._head
        if reply is None:
            return
        if head is not None:
            data = self._body.body()
            self._begins(self, head, data, streamed=False, length=len(data))
        reply.finish()

    def detach(self) -> None:
        """Read on, and give to nobody."""
        self._reply = None


class EventAnswer(Answer):
    """What is no stream, for a client whose stream has begun while it waited: the one event that ends it."""

    __slots__ = ("_body", "_head", "_reply")

    streamed = True
    is_error = True

    def __init__(self, head: ResponseHead, reply: Reply) -> None:
        super().__init__()
        self._head = head
        self._body = bytearray()
        self._reply: Reply | None = reply

    def take(self, data: bytes) -> str:
        """Gather what an error may have to say."""
        if len(self._body) < _MAX_ERROR_BYTES:
            self._body += data
        return ""

    def judge(self) -> Payload:
        """It is passed on as it came."""
        return Payload.OPAQUE

    def finish(self) -> None:
        """An error object as it came, on one line; for anything else, an error of ours."""
        line = bytes(self._body).replace(b"\r", b"").replace(b"\n", b" ").strip()
        if self._head.status < 400 or not line.startswith(b"{") or len(line) > _MAX_ERROR_BYTES:
            event = error_event(f"the replica answered with status {self._head.status}", 502, None, "upstream_error")
        else:
            event = b"data: %b\n\n" % line
        if self._reply is not None:
            self._reply.cut(event)

    def detach(self) -> None:
        """Give to nobody."""
        self._reply = None


#: An engine's error object is shorter.
_MAX_ERROR_BYTES: Final = 65536


def answer_for(
    head: ResponseHead,
    asked: Asked,
    replica: Replica,
    reply: Reply,
    begins: Begins,
    record: AttemptRecord,
    seconds: Seconds,
    *,
    withhold_usage: bool,
    max_bytes: int,
    kept: Kept | None,
    may_break: Callable[[], bool] | None,
) -> Answer:
    """The way in which this response is passed on.

    An engine's own error is passed on as it is, whatever its body; so is what is coded, which nobody asked for.
    """
    kind = head.fields.get(b"content-type", b"").lower()
    readable = head.status < 400 and head.fields.get(b"content-encoding", b"identity").lower() == b"identity"
    dialect = asked.route.dialect
    if readable and kind.startswith(b"text/event-stream"):
        watch = StreamWatch(
            dialect,
            choices=asked.choices,
            done_required=replica.done_required,
            withhold_usage=withhold_usage,
            kept=kept,
            may_break=may_break,
        )
        return StreamAnswer(head, watch, reply, begins, record, seconds)
    if reply.begun:
        return EventAnswer(head, reply)
    decoded = readable and kind.startswith(b"application/json")
    return WholeAnswer(head, WholeBody(decoded=decoded, max_bytes=max_bytes), reply, begins, record, seconds)
