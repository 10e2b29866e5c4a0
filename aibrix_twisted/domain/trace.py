"""An exchange's place in a trace: what is noted of one that is sampled, until its spans are made at its end."""

from __future__ import annotations


class Trace:
    """Of one exchange.

    @ivar trace_id: 128 bits; of the client's trace, or of a new one.
    @ivar span_id: of the exchange's own span.
    @ivar parent_id: of the client's span; 0: the trace begins here.
    @ivar flags: as C{traceparent} says them to the replicas.
    @ivar state: the client's C{tracestate}; empty where it has none, or where the trace begins here.
    @ivar attempts: the span of each attempt, in the order of the exchange's C{tries}.
    @ivar waits: when it was in the waiting room, from and to, in seconds of the exchange's clock.
    """

    __slots__ = ("attempts", "flags", "parent_id", "span_id", "state", "trace_id", "waits")

    def __init__(self, trace_id: int, span_id: int, parent_id: int, flags: int, state: bytes) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.state = state
        self.attempts: list[int] = []
        self.waits: list[tuple[float, float]] = []

    @property
    def hex_id(self) -> str:
        """The trace's id as people and their tools write it."""
        return f"{self.trace_id:032x}"
