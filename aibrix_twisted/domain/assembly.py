"""The life of one upstream response, from its head to the one thing that ends it.

A response can be over for many reasons, and several of them often come in quick succession: the last chunk and
then the connection's close, a client's hang-up beneath the frame that relays to it and then the engine's reset.
Whoever is first ends the response; all others find it ended, are counted as late, and change nothing.  So there
is one terminal input, C{end(cause)}, and not one for each reason, and the decoder that judges the payload is told
of the end by it and by nothing else.

Two rules keep it so:

1. In each method the machine's own state is set before anyone else's code is called, because that code may come
   back beneath the same frame with a second end.
2. Whether the payload is whole and what that makes of the response is said in one place, L{outcome_of}.

Flow control is not here: pausing an upstream does not affect what may come next.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from aibrix_twisted.interfaces import IBodyConsumer, Payload


class Phase(enum.Enum):
    """Where a response is."""

    AWAITING_HEAD = "awaiting head"
    STREAMING = "streaming"
    ENDED = "ended"


class Cause(enum.StrEnum):
    """What got there first.  One of these ends every response, once."""

    FINAL_CHUNK = "final_chunk"  # the framing says whole: last chunk, length reached, no body allowed
    UPSTREAM_CLOSED = "upstream_closed"  # a clean close
    UPSTREAM_BROKE = "upstream_broke"  # a reset, or what came is not HTTP
    CLIENT_GONE = "client_gone"
    DEADLINE = "deadline"


class Outcome(enum.StrEnum):
    """How an ending is judged."""

    COMPLETE = "complete"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    ABANDONED = "abandoned"
    TIMED_OUT = "timed_out"


#: The whole machine.  L{ResponseAssembly} is the fast spelling of this table; its test holds the two together
#: over every sequence of inputs.  The last row absorbs.
TRANSITIONS: Final[dict[Phase, dict[str, Phase]]] = {
    Phase.AWAITING_HEAD: {"head": Phase.STREAMING, "end": Phase.ENDED},
    Phase.STREAMING: {"body": Phase.STREAMING, "end": Phase.ENDED},
    Phase.ENDED: {"head": Phase.ENDED, "body": Phase.ENDED, "end": Phase.ENDED},
}

# Up to Python 3.11 it takes as long to look up a member of an enum as to look at a response otherwise.
_AWAITING_HEAD: Final = Phase.AWAITING_HEAD
_STREAMING: Final = Phase.STREAMING
_ENDED: Final = Phase.ENDED
_WHOLE: Final = Payload.WHOLE
_CUT: Final = Payload.CUT
_BROKEN: Final = Payload.BROKEN
_OPAQUE: Final = Payload.OPAQUE


class Ending:
    """Said once, read by all: the retry, the pool, the client's side, the meters.  Not changed after.

    @ivar payload: what the decoder made of it; C{None} where no head came.
    @ivar received: bytes of body, framing taken off.
    """

    __slots__ = ("cause", "outcome", "payload", "received")

    def __init__(self, cause: Cause, outcome: Outcome, payload: Payload | None, received: int) -> None:
        self.cause = cause
        self.outcome = outcome
        self.payload = payload
        self.received = received

    def judged(self, outcome: Outcome, cause: Cause | None = None) -> Ending:
        """The same, seen with what else is known."""
        return Ending(cause or self.cause, outcome, self.payload, self.received)

    @property
    def headless(self) -> bool:
        """Nothing of an answer came."""
        return self.payload is None

    @property
    def framed_whole(self) -> bool:
        """The client may be given a clean end: the engine gave one, or its close was one."""
        return self.cause is Cause.FINAL_CHUNK or self.outcome is Outcome.COMPLETE


class OutOfTurn(Exception):
    """What is told cannot come next: a second head, or a body before its head."""


def outcome_of(cause: Cause, payload: Payload | None, *, close_delimited: bool) -> Outcome:
    """The ending, judged by framing and payload together.

    @param payload: C{None} where no head came.
    @param close_delimited: the head promised no length, so that only a close could end the body (RFC 9112 §6.3).
    """
    said = _WHATEVER_CAME.get(cause)
    if said is not None:
        return said
    if payload is _BROKEN:
        return Outcome.BROKEN
    if cause is Cause.FINAL_CHUNK:
        return Outcome.MALFORMED if payload is _CUT else Outcome.COMPLETE
    whole = payload is _WHOLE or payload is _OPAQUE
    return Outcome.COMPLETE if close_delimited and whole else Outcome.TRUNCATED


#: Causes that say it all, whatever had come by then.
_WHATEVER_CAME: Final = {
    Cause.CLIENT_GONE: Outcome.ABANDONED,
    Cause.DEADLINE: Outcome.TIMED_OUT,
    Cause.UPSTREAM_BROKE: Outcome.BROKEN,
}


class ResponseAssembly:
    """One per attempt.  Passes a response to its consumer and ends it once.

    @ivar late: counts of what came after the end, by event; shared with the meters.
    """

    __slots__ = ("_close_delimited", "_consumer", "_phase", "late", "received")

    def __init__(self, consumer: IBodyConsumer, late: dict[str, int]) -> None:
        self._consumer = consumer
        self._phase = _AWAITING_HEAD
        self._close_delimited = False
        self.received = 0
        self.late = late

    @property
    def phase(self) -> Phase:
        """Where it is."""
        return self._phase

    def head(self, head: Any, *, close_delimited: bool) -> None:
        """The response's head is here.

        @raise OutOfTurn: it already was.
        """
        if self._phase is _AWAITING_HEAD:
            self._phase = _STREAMING
            self._close_delimited = close_delimited
            self._consumer.headReceived(head)
        elif self._phase is _ENDED:
            self.late["head"] += 1
        else:
            raise OutOfTurn("a second head")

    def body(self, data: bytes) -> None:
        """More of the body.

        @raise OutOfTurn: no head came before it.
        """
        if self._phase is _STREAMING:  # the hot line: once a read
            self.received += len(data)
            self._consumer.bodyReceived(data)
        elif self._phase is _ENDED:
            self.late["body"] += 1
        else:
            raise OutOfTurn("a body before its head")

    def end(self, cause: Cause, *, unsigned: bool = False) -> bool:
        """The one terminal input.

        @param unsigned: TLS was spoken, and the close did not come through it: it may be anybody's, and says nothing of
            where the body ends (RFC 9112 §9.8).
        @return: whether it was this call that ended the response.
        """
        if self._phase is _ENDED:
            self.late["end"] += 1
            return False
        headless = self._phase is _AWAITING_HEAD
        self._phase = _ENDED  # ours first ...
        consumer = self._consumer
        # It holds us: kept, an exchange and its bodies would wait for the collector.  Nobody reads it any more.
        self._consumer = None  # type: ignore[assignment]
        payload = None if headless else consumer.payloadJudged()
        by_close = self._close_delimited and not unsigned
        outcome = outcome_of(cause, payload, close_delimited=by_close)
        consumer.ended(Ending(cause, outcome, payload, self.received))  # ... other people's code last
        return True
