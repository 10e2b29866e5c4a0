"""When things happened to an exchange and to its attempts, and what follows from that.

All stamps are seconds of one monotonic clock; C{None} is for what did not happen.  What lies between two stamps has a
name here and nowhere else: L{phases}.  They follow each other without a gap, so that they add up to the whole::

    accepted  read   admitted       ready    started  sent      first           over         taken    ended
       |-receive-|-admit-|-retry+queue-|-route-|-connect-|-engine--|-begin+stream-|-heal-|-spool-|-finish-|

C{admit}, C{route}, C{begin} and C{finish} are the gateway's own (L{OWN}); the rest is the client's, the network's or an
engine's, or was waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aibrix_twisted.domain.histogram import Histogram

if TYPE_CHECKING:
    from aibrix_twisted.domain.exchange import Exchange

#: The phases in their order.
PHASES: Final = (
    "receive",  # the client sends its request
    "admit",  # what is asked, and of which model
    "retry",  # attempts that came to nothing, and pauses between them
    "queue",  # in the waiting room
    "route",  # a replica is chosen, and what is sent to it is made
    "connect",  # a connection to it
    "engine",  # from the request's sending to the first of a body
    "begin",  # from there to the first byte for the client
    "stream",  # the rest of the body
    "heal",  # more of it, from other replicas
    "spool",  # the client takes the last of it, at its own pace, out of a file
    "finish",  # from its end to the exchange's
)

#: Those that the gateway itself takes.
OWN: Final = ("admit", "route", "begin", "finish")


class Stamps:
    """Of an exchange.

    @ivar accepted: the first byte of the request came.
    @ivar head: its head was there whole.
    @ivar read: the request was there whole.
    @ivar admitted: what it asks is known; it is looked for a replica.
    @ivar first_byte: the first byte of an answer's body was on its way to the client.
    @ivar taken: the client had, or was given, nothing more of what was in a file for it.
    @ivar ended: it was over.
    """

    __slots__ = ("accepted", "admitted", "ended", "first_byte", "head", "read", "taken")

    def __init__(self, accepted: float, head: float | None = None) -> None:
        self.accepted = accepted
        self.head = head
        self.read: float | None = None
        self.admitted: float | None = None
        self.first_byte: float | None = None
        self.taken: float | None = None
        self.ended: float | None = None

    @property
    def ttft_s(self) -> float | None:
        """Time to first token as the client has it: from the request read whole to the first byte of body."""
        if self.read is None or self.first_byte is None:
            return None
        return self.first_byte - self.read

    @property
    def duration_s(self) -> float:
        """From the first byte of the request to the end."""
        return (self.accepted if self.ended is None else self.ended) - self.accepted


def phases(exchange: Exchange) -> list[float]:
    """How long each of L{PHASES} took, in seconds; their sum is the exchange's duration.

    An answer that was gathered before it was begun has no C{begin}: giving it belongs to C{finish}.
    """
    stamps, served = exchange.stamps, exchange.served
    ended = stamps.accepted if stamps.ended is None else stamps.ended
    read = ended if stamps.read is None else stamps.read
    admitted = ended if stamps.admitted is None else stamps.admitted
    receive, admit = read - stamps.accepted, admitted - read
    if served is None:
        queue = min(exchange.queued_s, ended - admitted)
        return [receive, admit, 0.0, queue, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ended - admitted - queue]
    over = ended if served.ended is None else served.ended
    healed = over if exchange.healed is None or exchange.healed.ended is None else exchange.healed.ended
    taken = healed if stamps.taken is None else stamps.taken
    sent = over if served.sent is None else served.sent
    first = over if served.first is None else served.first
    begun = first if stamps.first_byte is None or stamps.first_byte > over else stamps.first_byte
    queue = min(exchange.queued_s, served.ready - admitted)
    return [
        receive,
        admit,
        served.ready - admitted - queue,
        queue,
        served.started - served.ready,
        sent - served.started,
        first - sent,
        begun - first,
        over - begun,
        healed - over,
        taken - healed,
        ended - taken,
    ]


#: Of L{Beats}: nothing came yet.
_NEVER: Final = -1.0


class Beats:
    """When a stream last brought the client something; the gaps between are counted as they end.

    What came in one read was there at once, and is no gap.
    """

    __slots__ = ("_gaps", "_last")

    def __init__(self, gaps: Histogram) -> None:
        """@param gaps: of seconds."""
        self._gaps = gaps
        self._last = _NEVER

    @property
    def last(self) -> float | None:
        """The newest."""
        return None if self._last == _NEVER else self._last

    def beat(self, now: float) -> None:
        """Something came.  HOT: once a read."""
        last, self._last = self._last, now
        if last != _NEVER:
            self._gaps.observe(now - last)
