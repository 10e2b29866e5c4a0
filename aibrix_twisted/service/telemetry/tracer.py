"""Which exchanges are traced.  The data path asks when one begins, and hands over those that are when they end.

It knows nothing of OpenTelemetry, which is loaded only where spans are wanted (L{tracing}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.trace import Trace
from aibrix_twisted.interfaces import Random
from aibrix_twisted.wire.onward import Fields
from aibrix_twisted.wire.traceparent import RANDOM, SAMPLED, is_sampled, parse_traceparent

_TRACE_IDS: Final = (1 << 128) - 1
_SPAN_IDS: Final = (1 << 64) - 1


class Tracer:
    """Decides by what the client says of its own trace, and else by lot.

    @ivar sample: the share of those that say nothing.
    @ivar over: takes an exchange that is over and has a C{trace}.
    """

    __slots__ = ("_rng", "over", "sample")

    def __init__(self, sample: float, rng: Random, over: Callable[[Exchange], None]) -> None:
        self.sample = sample
        self._rng = rng
        self.over = over

    def begun(self, fields: Fields) -> Trace | None:
        """A request's head came.

        @param fields: its headers.
        @return: its place in a trace; C{None}: nothing is kept of it, and its C{traceparent} goes on as it is.
        """
        said = fields.get(b"traceparent")
        if said is not None:
            sampled = is_sampled(said)
            if sampled:
                parent, state = parse_traceparent(said), fields.get(b"tracestate", b"")
                return Trace(parent.trace_id, self._span_id(), parent.span_id, parent.flags, state)
            if sampled is not None:
                return None
        rng = self._rng
        if rng.random() >= self.sample:
            return None
        return Trace(rng.randrange(_TRACE_IDS) + 1, self._span_id(), 0, SAMPLED | RANDOM, b"")

    def _span_id(self) -> int:
        return self._rng.randrange(_SPAN_IDS) + 1
