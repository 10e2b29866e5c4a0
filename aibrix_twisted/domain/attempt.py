"""What is known of one attempt, for the meters, the log, and people."""

from __future__ import annotations

import enum

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.timing import Beats


class Kind(enum.StrEnum):
    """Why an attempt was made."""

    FIRST = "first"
    RETRY = "retry"
    RESEND = "resend"  # to the same replica: the connection had died before
    HEDGE = "hedge"  # beside one that was late
    HEAL = "heal"  # for the rest of a stream that broke


class AttemptRecord:
    """One try at one replica.  Stamps are seconds of the exchange's clock; C{None} for what did not happen.

    @ivar replica: its name.
    @ivar model: what was asked of it, once resolved; another one where it was a fallback.
    @ivar ready: a replica was about to be chosen.
    @ivar started: what is sent was made; a connection is taken or opened.
    @ivar sent: the request was on its way.
    @ivar head: the engine's head came.
    @ivar first: the first of the body that is the client's came.
    @ivar ended: it was over.
    @ivar beats: when the reads of a stream came.
    @ivar status: the engine's; 0 while no head came.
    @ivar outcome: C{None} while it is under way.
    @ivar fault: what went wrong, for people.
    """

    __slots__ = (
        "beats",
        "ended",
        "fault",
        "first",
        "head",
        "kind",
        "model",
        "outcome",
        "ready",
        "replica",
        "sent",
        "started",
        "status",
    )

    def __init__(self, replica: str, model: str, kind: Kind, ready: float, started: float, gaps: Histogram) -> None:
        """@param gaps: where the gaps between the reads of a stream are counted: see L{Beats}."""
        self.replica = replica
        self.model = model
        self.kind = kind
        self.ready = ready
        self.started = started
        self.sent: float | None = None
        self.head: float | None = None
        self.first: float | None = None
        self.ended: float | None = None
        self.beats = Beats(gaps)
        self.status = 0
        self.outcome: Outcome | None = None
        self.fault = ""

    @property
    def ttft_s(self) -> float | None:
        """The replica's time to first token: from the request's sending to the first of the body."""
        return None if self.sent is None or self.first is None else self.first - self.sent

    @property
    def last(self) -> float | None:
        """When the client last got something of its stream."""
        return self.beats.last
