"""An exchange: one request of a client, from accept to log.  The record that travels the rooms."""

from __future__ import annotations

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import GatewayError


class Exchange:
    """What is known of one exchange.  Written by the rooms that it passes, read by the meters and the log.

    @ivar id: the client's C{x-request-id} where it is fit, else one of ours.
    @ivar model: the name behind what was asked for, once resolved; C{""} before.
    @ivar queued_s: how long it was in the waiting room, in seconds.
    @ivar status: what the client was given, or 499 where it left before.
    @ivar error: an C{error_type} of L{aibrix_twisted.errors}, or C{""}.
    @ivar reason: the error's sentence, for people.
    @ivar edited: names of the edits made to the request's body, as in C{x-aibrix-edited}.
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
        "id",
        "input_tokens",
        "method",
        "model",
        "outcome",
        "output_tokens",
        "path",
        "policy",
        "queued_s",
        "reason",
        "replica",
        "route",
        "stamps",
        "status",
        "stream",
    )

    def __init__(self, id: str, client: str, method: str, path: str, route: str, stamps: Stamps) -> None:
        self.id = id
        self.client = client
        self.method = method
        self.path = path
        self.route = route
        self.stamps = stamps
        self.model = ""
        self.replica = ""
        self.policy = ""
        self.stream = False
        self.attempts = 0
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

    def failed(self, error: GatewayError) -> None:
        """This is what went wrong."""
        self.error, self.reason = error.error_type, str(error)
