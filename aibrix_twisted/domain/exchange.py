"""An exchange: one request of a client, from accept to log.  The record that travels the rooms."""

from __future__ import annotations

import enum

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.domain.trace import Trace
from aibrix_twisted.errors import GatewayError


class Heal(enum.StrEnum):
    """What became of a stream that broke after it had begun, and that is healed where it can be."""

    HEALED = "healed"
    REFUSED = "refused"  # no continuation could be shown to be right
    NO_REPLICA = "no_replica"  # there was none to continue it
    OVER_BUDGET = "over_budget"
    FAILED = "failed"  # continuations were asked for, and came to nothing
    ABANDONED = "abandoned"  # the client left meanwhile


class Spooled(enum.StrEnum):
    """What became of an answer whose client took it too slowly, so that its rest was put into a file for it."""

    TAKEN = "taken"
    LEFT = "left"  # the client left, or took nothing any more
    FULL = "full"  # it was more than one file, or all of them, may have
    FAILED = "failed"  # the file could not be written, or read
    STOPPED = "stopped"  # it took longer than the exchange, or the gateway, had


class Exchange:
    """What is known of one exchange.  Written by the rooms that it passes, read by the meters and the log.

    @ivar id: the client's C{x-request-id} where it is fit, else one of ours.
    @ivar client: its address.
    @ivar identity: the client's, by its certificate; C{""}: it has shown none.
    @ivar model: the name behind what was asked for, once resolved; C{""} before.
    @ivar profile: the routing profile that was found for it, where it left that to us.
    @ivar sticky: its client is told where its session is.
    @ivar queued_s: how long it was in the waiting room, in seconds.
    @ivar status: what the client was given, or 499 where it left before.
    @ivar error: an C{error_type} of L{aibrix_twisted.errors}, or C{""}.
    @ivar reason: the error's sentence, for people.
    @ivar edited: names of the edits made to the request's body, as in C{x-aibrix-edited}.
    @ivar tries: all attempts, oldest first; C{attempts} counts those of them that reached a replica.
    @ivar trace: its place in a trace; C{None}: it is not sampled.
    @ivar served: the one whose answer the client has, or the last one once it is over.
    @ivar healed: the last one that a broken stream was continued by.
    @ivar heal: what became of its healing: a L{Heal}; C{None}: there was nothing to heal.
    @ivar heal_reason: why it could not be healed, for people.
    @ivar spooled: what became of its answer in a file; C{None}: it was in none, or is still.
    @ivar spooled_bytes: so much of it was, its framing counted.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "cached_tokens",
        "cause",
        "client",
        "edited",
        "error",
        "events",
        "heal",
        "heal_reason",
        "healed",
        "id",
        "identity",
        "input_tokens",
        "method",
        "model",
        "outcome",
        "output_tokens",
        "path",
        "policy",
        "profile",
        "queued_s",
        "reason",
        "replica",
        "route",
        "served",
        "spooled",
        "spooled_bytes",
        "stamps",
        "status",
        "sticky",
        "stream",
        "trace",
        "tries",
    )

    def __init__(self, id: str, client: str, method: str, path: str, route: str, stamps: Stamps) -> None:
        self.id = id
        self.client = client
        self.identity = ""
        self.method = method
        self.path = path
        self.route = route
        self.stamps = stamps
        self.trace: Trace | None = None
        self.model = ""
        self.replica = ""
        self.policy = ""
        self.profile = ""
        self.sticky = False
        self.stream = False
        self.attempts = 0
        self.tries: list[AttemptRecord] = []
        self.served: AttemptRecord | None = None
        self.healed: AttemptRecord | None = None
        self.heal: Heal | None = None
        self.heal_reason = ""
        self.spooled: Spooled | None = None
        self.spooled_bytes = 0
        self.queued_s = 0.0
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.events = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.edited: tuple[str, ...] = ()
        self.error = ""
        self.reason = ""
        self.cause: Cause | None = None
        self.outcome: Outcome | None = None

    @property
    def trace_id(self) -> str:
        """As people write it; empty where it is not sampled."""
        return "" if self.trace is None else self.trace.hex_id

    @property
    def tpot_s(self) -> float | None:
        """Time per output token of a stream after its first, by the engine's own count of them."""
        served, tokens = self.served, self.output_tokens
        if served is None or tokens is None or tokens < 2:
            return None
        first, last = served.first, (self.healed or served).last
        return None if first is None or last is None else (last - first) / (tokens - 1)

    def failed(self, error: GatewayError) -> None:
        """This is what went wrong."""
        self.error, self.reason = error.error_type, error.logged
