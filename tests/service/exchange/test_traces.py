"""The place of exchanges in traces: what the engines are told, and what is kept for the spans."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import Retry, Settings
from aibrix_twisted.service.telemetry.tracer import Tracer
from aibrix_twisted.wire.head import parse_request_head
from aibrix_twisted.wire.traceparent import parse_traceparent
from tests.fakes import Bench, Wire, answer, post, replica

TRACE_ID, SPAN_ID = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
SAMPLED = b"00-%b-%b-01" % (TRACE_ID, SPAN_ID)
NOT_SAMPLED = SAMPLED[:-1] + b"0"


def context_of(wire: Wire) -> tuple[bytes | None, bytes | None]:
    """What an engine was told: C{traceparent}, C{tracestate}."""
    raw = wire.take()
    fields = parse_request_head(raw[: raw.index(b"\r\n\r\n") + 4], max_headers=100).fields
    return fields.get(b"traceparent"), fields.get(b"tracestate")


class TracesTestCase(SynchronousTestCase):
    """A gateway with two replicas."""

    def begin(self, sample: float | None, settings: Settings | None = None) -> None:
        """@param sample: C{None}: tracing is off."""
        self.bench = Bench(settings or Settings(retry=Retry(backoff=0.0)), (replica("gpu0"), replica("gpu1")))
        self.taken: list[Exchange] = []
        if sample is not None:
            self.bench.exchanges.tracer = Tracer(sample, random.Random(1), self.taken.append)

    def ask(self, *lines: bytes) -> tuple[bytes | None, bytes | None]:
        """One request, answered; what the engine was told."""
        client, _ = self.bench.client()
        client.dataReceived(post(b'{"model":"m"}', b"/v1/chat/completions", *lines))
        up, wire = self.bench.upstream()
        told = context_of(wire)
        up.dataReceived(answer(b'{"id":"c"}', b"connection: close"))
        return told

    @property
    def logged(self) -> Exchange:
        """The newest that is over."""
        return self.bench.log.seen[-1]


class OnwardTests(TracesTestCase):
    """What the engines are told."""

    def test_passed(self) -> None:
        """As it came, in every byte: where tracing is off, and where this one is not sampled."""
        for sample in (None, 0.0):
            self.begin(sample)
            for said, state in ((NOT_SAMPLED, b"a=1"), (b"nonsense", b"x"), (b"00-\xff", b"\xff")):
                self.assertEqual(self.ask(b"TraceParent: " + said, b"tracestate: " + state), (said, state))
            self.assertEqual(self.ask(), (None, None))
            self.assertEqual((self.taken, self.logged.trace_id), ([], ""))
        self.begin(None)
        self.assertEqual(self.ask(b"traceparent: " + SAMPLED, b"tracestate: a=1"), (SAMPLED, b"a=1"))
        self.begin(1.0)
        self.assertEqual(self.ask(b"traceparent: " + NOT_SAMPLED, b"tracestate: a=1"), (NOT_SAMPLED, b"a=1"))

    def test_ours_between(self) -> None:
        """A sampled one is told the attempt's span, in the client's trace, with its state, whatever the share is."""
        for sample in (0.0, 1.0):
            self.begin(sample)
            said, state = self.ask(b"Traceparent: " + SAMPLED, b"TraceState: a=1", b"tracestate: b=2")
            trace = self.logged.trace
            assert trace is not None
            self.assertEqual((said, state), (b"00-%b-%016x-01" % (TRACE_ID, trace.attempts[0]), b"a=1, b=2"))
            self.assertNotIn(b"%016x" % trace.attempts[0], (SPAN_ID, b"%016x" % trace.span_id))
            self.assertEqual(self.logged.trace_id.encode(), TRACE_ID)

    def test_a_new_trace(self) -> None:
        """Where the client says nothing, or nothing that is valid; its state was of no trace, and goes."""
        self.begin(1.0)
        for lines in ((), (b"traceparent: nonsense", b"tracestate: a=1"), (b"tracestate: a=1",)):
            said, state = self.ask(*lines)
            parent, trace = parse_traceparent(said or b""), self.logged.trace
            assert trace is not None
            self.assertEqual((parent.trace_id, parent.span_id, parent.flags), (trace.trace_id, trace.attempts[0], 3))
            self.assertIsNone(state)

    def test_two_are_none(self) -> None:
        """A header that comes twice is none, and ours is the only one that goes on."""
        self.begin(1.0)
        said, _ = self.ask(b"traceparent: " + SAMPLED, b"traceparent: " + SAMPLED)
        self.assertNotEqual(b"%032x" % parse_traceparent(said or b"").trace_id, TRACE_ID)

    def test_each_attempt_its_own(self) -> None:
        """Of a retry; its engine's spans are below the attempt that reached it."""
        self.begin(0.0)
        client, _ = self.bench.client()
        client.dataReceived(post(b'{"model":"m"}', b"/v1/chat/completions", b"traceparent: " + SAMPLED))
        _, first = self.bench.upstream()
        one, _ = context_of(first)
        first.lose(clean=False)
        up, second = self.bench.upstream()
        two, _ = context_of(second)
        up.dataReceived(answer())
        trace = self.logged.trace
        assert trace is not None
        self.assertEqual([b"00-%b-%016x-01" % (TRACE_ID, span_id) for span_id in trace.attempts], [one, two])
        self.assertEqual(len(self.logged.tries), 2)
        self.assertNotEqual(one, two)


class KeptTests(TracesTestCase):
    """What there is at the end."""

    def test_handed_over(self) -> None:
        """Once, when it is settled; refusals and our own pages, too."""
        self.begin(1.0)
        self.ask()
        self.assertEqual(self.taken, [self.logged])
        self.assertIsNotNone(self.logged.stamps.ended)
        client, _ = self.bench.client()
        client.dataReceived(post(b'{"model":"nobody"}'))
        client.dataReceived(b"GET /v1/models HTTP/1.1\r\nhost: gw\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: gw\r\n\r\n")
        self.assertEqual([exchange.status for exchange in self.taken], [200, 404, 200, 404])
        client.dataReceived(b"garbage\r\n\r\n")
        self.assertEqual((self.logged.status, len(self.taken)), (400, 4), "there was no head to be asked")

    def test_waits(self) -> None:
        """From when to when it was in the waiting room."""
        self.bench = Bench(Settings(), (replica("gpu0", max_in_flight=1),))
        self.taken = []
        self.bench.exchanges.tracer = Tracer(1.0, random.Random(1), self.taken.append)
        first, _ = self.bench.client()
        first.dataReceived(post())
        up, _ = self.bench.upstream()
        second, _ = self.bench.client()
        self.bench.advance(1.0)
        second.dataReceived(post())
        self.bench.advance(2.0)
        up.dataReceived(answer())
        self.bench.advance(1.0)
        up.dataReceived(answer())
        exchange = self.taken[-1]
        assert exchange.trace is not None
        ((entered, left),) = exchange.trace.waits
        self.assertEqual(round(left - entered, 6), round(exchange.queued_s, 6))
        self.assertGreater(exchange.queued_s, 1.9)

    def test_turned_off_meanwhile(self) -> None:
        """What is under way ends as ever."""
        self.begin(1.0)
        client, wire = self.bench.client()
        client.dataReceived(post())
        self.bench.exchanges.tracer = None
        up, _ = self.bench.upstream()
        up.dataReceived(answer())
        self.assertIn(b"HTTP/1.1 200", wire.take())
        self.assertEqual(self.taken, [])
