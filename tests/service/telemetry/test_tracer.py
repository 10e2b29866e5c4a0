"""Which exchanges are traced."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.tracer import Tracer

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = SAMPLED[:-1] + b"0"


def tracer(sample: float, seed: int = 1) -> Tracer:
    """One that hands over to nobody."""
    taken: list[Exchange] = []
    return Tracer(sample, random.Random(seed), taken.append)


class BegunTests(SynchronousTestCase):
    """By what the client says, and by lot."""

    def test_the_clients_word(self) -> None:
        """Whatever the share is."""
        for sample in (0.0, 0.5, 1.0):
            for _ in range(20):
                self.assertIsNone(tracer(sample).begun({b"traceparent": NOT_SAMPLED}))
                trace = tracer(sample).begun({b"traceparent": SAMPLED, b"tracestate": b"a=1"})
                assert trace is not None
                self.assertEqual((trace.trace_id, trace.parent_id, trace.flags), (TRACE_ID, SPAN_ID, 1))
                self.assertEqual(trace.state, b"a=1")
                self.assertNotEqual(trace.span_id, SPAN_ID)

    def test_no_word(self) -> None:
        """The share decides; a new trace has an id at random, says so, and has no parent."""
        for fields in ({}, {b"traceparent": b"nonsense", b"tracestate": b"a=1"}, {b"tracestate": b"a=1"}):
            self.assertIsNone(tracer(0.0).begun(fields))
            trace = tracer(1.0).begun(fields)
            assert trace is not None
            self.assertEqual((trace.parent_id, trace.flags, trace.state), (0, 3, b""))
            self.assertTrue(trace.trace_id and trace.span_id)

    def test_share(self) -> None:
        """Of many, about so many; each with ids of its own."""
        one = tracer(0.01)
        traces = [trace for _ in range(20_000) if (trace := one.begun({})) is not None]
        self.assertTrue(140 < len(traces) < 270, len(traces))
        self.assertEqual(len({trace.trace_id for trace in traces}), len(traces))
        self.assertEqual(len({trace.span_id for trace in traces}), len(traces))
