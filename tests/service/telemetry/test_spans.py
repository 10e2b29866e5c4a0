"""An exchange as spans."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.domain.trace import Trace
from aibrix_twisted.errors import (
    ClientGone,
    Draining,
    EngineMalformed,
    EngineReported,
    GatewayError,
    QueueFull,
    UnknownModel,
    UnknownPolicy,
    UpstreamBroke,
    UpstreamTimeout,
)
from aibrix_twisted.service.telemetry.spans import SpanMaker, count_of
from tests.otlp import plain, tree

WALL_NS = 1_700_000_000_000_000_000
ERROR = 2


def record(replica: str = "gpu0", kind: Kind = Kind.FIRST, **more: Any) -> AttemptRecord:
    """An attempt that went well."""
    made = AttemptRecord(replica, "m", kind, 1.10, 1.11, Histogram([1.0]))
    made.sent, made.first, made.ended = 1.12, 1.20, 1.30
    made.status, made.outcome = 200, Outcome.COMPLETE
    for name, value in more.items():
        setattr(made, name, value)
    return made


def an_exchange(*tries: AttemptRecord, **more: Any) -> Exchange:
    """A chat that went well, and is over."""
    exchange = Exchange("id", "192.0.2.7", "POST", "/v1/chat/completions", "chat_completions", Stamps(1.0))
    stamps = exchange.stamps
    stamps.read, stamps.admitted, stamps.first_byte, stamps.ended = 1.05, 1.06, 1.21, 1.31
    exchange.model, exchange.replica, exchange.policy = "m", "gpu0", "random"
    exchange.status, exchange.outcome, exchange.attempts = 200, Outcome.COMPLETE, len(tries)
    exchange.tries = list(tries)
    exchange.trace = Trace(0xABC, 0xD, 0, 3, b"")
    for number in range(len(tries)):
        exchange.trace.attempts.append(0x100 + number)
    for name, value in more.items():
        setattr(exchange, name, value)
    return exchange


class Made:
    """What the receiver would read."""

    def __init__(self, exchange: Exchange) -> None:
        ids = iter(range(0x1000, 0x2000))
        maker = SpanMaker(Resource({"service.name": "t"}), lambda: next(ids))
        message = encode_spans(maker.spans(exchange, WALL_NS))
        self.spans: list[Span] = list(message.resource_spans[0].scope_spans[0].spans)
        assert len(self.spans) == count_of(exchange)
        self.root = self.spans[0]
        self.attributes = plain(self.root.attributes)

    def named(self, name: str) -> Span:
        """The one of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


def at(span_time: int) -> float:
    """In seconds of the exchange's clock."""
    return round((span_time - WALL_NS) / 1e9 + 1.31, 6)


class ShapeTests(SynchronousTestCase):
    """Which spans there are, of which trace, when."""

    def test_plain(self) -> None:
        """One of the exchange, one of the choice, one of the attempt; times as they were stamped."""
        made = Made(an_exchange(record()))
        self.assertEqual(tree(made.spans), {"": ["chat m"], "chat m": ["route", "attempt gpu0"]})
        self.assertEqual({span.trace_id.hex() for span in made.spans}, {"0" * 29 + "abc"})
        times = {span.name: (at(span.start_time_unix_nano), at(span.end_time_unix_nano)) for span in made.spans}
        self.assertEqual(times, {"chat m": (1.0, 1.31), "route": (1.10, 1.11), "attempt gpu0": (1.11, 1.30)})
        self.assertEqual([span.kind for span in made.spans], [Span.SPAN_KIND_SERVER, 1, Span.SPAN_KIND_CLIENT])
        self.assertEqual(made.named("attempt gpu0").span_id.hex(), "0000000000000100")
        self.assertEqual(made.root.parent_span_id, b"")

    def test_moments(self) -> None:
        """What a span's end does not say: when it was read, sent, and answered."""
        made = Made(an_exchange(record()))
        self.assertEqual(
            [(e.name, at(e.time_unix_nano)) for e in made.root.events], [("read", 1.05), ("first_byte", 1.21)]
        )
        attempt = made.named("attempt gpu0")
        self.assertEqual(
            [(e.name, at(e.time_unix_nano)) for e in attempt.events], [("sent", 1.12), ("first_byte", 1.20)]
        )

    def test_the_clients_trace(self) -> None:
        """Its span is the parent of ours, and every span has its state, where it is one."""
        exchange = an_exchange(record())
        exchange.trace = Trace(0xABC, 0xD, 0xE, 1, b"a=1,b=2")
        exchange.trace.attempts.append(5)
        made = Made(exchange)
        self.assertEqual(made.root.parent_span_id.hex(), "000000000000000e")
        self.assertEqual({span.trace_state for span in made.spans}, {"a=1,b=2"})
        self.assertTrue(made.root.flags & 0x200, "the parent is another process's")
        self.assertFalse(made.named("route").flags & 0x200)
        exchange.trace.state = b"\xff nonsense"
        self.assertEqual({span.trace_state for span in Made(exchange).spans}, {""})

    def test_waits(self) -> None:
        """Each stay in the waiting room by itself."""
        exchange = an_exchange(record())
        assert exchange.trace is not None
        exchange.trace.waits += [(1.06, 1.07), (1.08, 1.09)]
        made = Made(exchange)
        queues = [(at(s.start_time_unix_nano), at(s.end_time_unix_nano)) for s in made.spans if s.name == "queue"]
        self.assertEqual(queues, [(1.06, 1.07), (1.08, 1.09)])
        self.assertEqual(len({span.span_id for span in made.spans}), 5)

    def test_several_attempts(self) -> None:
        """Each is a span, under the id that its engine was told; the exchange says when and why there was another."""
        lost = record("gpu1", Kind.FIRST, outcome=Outcome.BROKEN, status=0, first=None, fault="it broke")
        late = record("gpu2", Kind.HEDGE, outcome=Outcome.ABANDONED, ready=1.2, first=None)
        made = Made(an_exchange(lost, record("gpu0", Kind.RETRY, ready=1.15), late))
        self.assertEqual(
            [event.name for event in made.root.events], ["read", "retry", "hedge", "first_byte"], "in their order"
        )
        self.assertEqual(plain(made.root.events[1].attributes), {"aibrix.replica": "gpu0"})
        found = {
            name: plain(made.named(f"attempt {name}").attributes) | {"code": made.named(f"attempt {name}").status.code}
            for name in ("gpu0", "gpu1", "gpu2")
        }
        same = {"gen_ai.request.model": "m"}
        self.assertEqual(
            found,
            {
                "gpu0": same
                | {
                    "aibrix.replica": "gpu0",
                    "aibrix.attempt.kind": "retry",
                    "http.response.status_code": 200,
                    "aibrix.attempt.outcome": "complete",
                    "code": 0,
                },
                "gpu1": same
                | {
                    "aibrix.replica": "gpu1",
                    "aibrix.attempt.kind": "first",
                    "aibrix.attempt.outcome": "broken",
                    "error.type": "broken",
                    "code": ERROR,
                },
                "gpu2": same
                | {
                    "aibrix.replica": "gpu2",
                    "aibrix.attempt.kind": "hedge",
                    "http.response.status_code": 200,
                    "aibrix.attempt.outcome": "abandoned",
                    "code": 0,
                },
            },
        )
        self.assertEqual(made.named("attempt gpu1").status.message, "it broke")

    def test_what_did_not_happen(self) -> None:
        """An attempt that was not sent, and one that has no end, as little as nothing else is made up."""
        refused = record(sent=None, first=None, status=0, outcome=Outcome.BROKEN)
        endless = record("gpu1", ended=None, outcome=None)
        made = Made(an_exchange(refused, endless))
        self.assertEqual([event.name for event in made.named("attempt gpu0").events], [])
        self.assertEqual(at(made.named("attempt gpu1").end_time_unix_nano), 1.31)
        self.assertNotIn("aibrix.attempt.outcome", plain(made.named("attempt gpu1").attributes))


class AttributeTests(SynchronousTestCase):
    """What the exchange's span says."""

    def test_all_of_them(self) -> None:
        """Of a stream with usage."""
        made = Made(
            an_exchange(
                record(),
                stream=True,
                edited=("model", "stream_options"),
                input_tokens=7,
                output_tokens=5,
                cached_tokens=0,
            )
        )
        self.assertEqual(round(made.attributes.pop("gen_ai.response.time_to_first_chunk"), 6), 0.16)
        self.assertEqual(
            made.attributes,
            {
                "http.request.method": "POST",
                "url.path": "/v1/chat/completions",
                "client.address": "192.0.2.7",
                "http.response.status_code": 200,
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "m",
                "gen_ai.request.stream": True,
                "gen_ai.usage.input_tokens": 7,
                "gen_ai.usage.output_tokens": 5,
                "gen_ai.usage.cache_read.input_tokens": 0,
                "aibrix.request_id": "id",
                "aibrix.outcome": "complete",
                "aibrix.attempts": 1,
                "aibrix.replica": "gpu0",
                "aibrix.policy": "random",
                "aibrix.edited": "model,stream_options",
            },
        )

    def test_tokens_stand_once(self) -> None:
        """No other span has them."""
        made = Made(an_exchange(record(), input_tokens=7, output_tokens=5))
        for span in made.spans[1:]:
            self.assertEqual([name for name in plain(span.attributes) if name.startswith("gen_ai.usage")], [])

    def test_names(self) -> None:
        """The operation and the model; without a model the operation; what no engine is asked for by its method."""
        for more, name in (
            ({}, "chat m"),
            ({"model": ""}, "chat"),
            ({"route": "completions"}, "text_completion m"),
            ({"route": "embeddings"}, "embeddings m"),
            ({"route": "rerank"}, "rerank m"),
            ({"route": "models", "method": "GET", "model": ""}, "GET models"),
            ({"route": "other", "method": "BREW", "model": ""}, "HTTP other"),
            ({"method": "GET", "model": ""}, "GET chat_completions"),
        ):
            self.assertEqual(Made(an_exchange(**more)).root.name, name)
        brewed = Made(an_exchange(method="BREW")).attributes
        self.assertEqual(brewed["http.request.method"], "_OTHER")
        self.assertNotIn("gen_ai.operation.name", brewed)

    def test_text_of_others(self) -> None:
        """Is cut, and what UTF-8 cannot say does not cost the batch."""
        made = Made(an_exchange(record("g\ud800", fault="x" * 5000, outcome=Outcome.BROKEN), path="/" * 3000))
        self.assertEqual(len(made.attributes["url.path"]), 1024)
        attempt = made.spans[2]
        self.assertEqual((attempt.name, len(attempt.status.message)), ("attempt g?", 1024))


class StatusTests(SynchronousTestCase):
    """Which span failed, and of what."""

    def seen(self, error: GatewayError | None, status: int, **more: Any) -> tuple[int, str, str]:
        """The status, its words, and C{error.type}."""
        exchange = an_exchange(record(), status=status, **more)
        if error is not None:
            exchange.failed(error)
        made = Made(exchange)
        return made.root.status.code, made.root.status.message, made.attributes.get("error.type", "")

    def test_table(self) -> None:
        """Engines' and our own errors are failures; what a client did wrong, or that it left, is none."""
        for error, status, expected in (
            (None, 200, (0, "", "")),
            (UpstreamBroke("it broke"), 502, (ERROR, "it broke", "engine_broke")),
            (UpstreamBroke("it broke"), 200, (ERROR, "it broke", "engine_broke")),
            (UpstreamTimeout("late"), 504, (ERROR, "late", "engine_timeout")),
            (EngineMalformed("odd"), 200, (ERROR, "odd", "engine_malformed")),
            (QueueFull("full"), 503, (ERROR, "full", "gateway_queue_full")),
            (Draining("bye"), 503, (ERROR, "bye", "gateway_draining")),
            (UnknownModel("which?"), 404, (0, "", "client_unknown_model")),
            (UnknownPolicy("how?"), 400, (0, "", "policy_unknown")),
            (None, 500, (ERROR, "a replica answered with 500", "500")),
            (None, 429, (0, "", "")),
        ):
            self.assertEqual(self.seen(error, status), expected, (error, status))

    def test_a_client_that_leaves(self) -> None:
        """Is an outcome; unless it left because the engine had failed."""
        gone = an_exchange(record(outcome=Outcome.ABANDONED), status=499, outcome=Outcome.ABANDONED)
        gone.failed(ClientGone("the client left"))
        made = Made(gone)
        self.assertEqual((made.root.status.code, made.attributes["aibrix.outcome"]), (0, "abandoned"))
        self.assertNotIn("error.type", made.attributes)
        self.assertEqual(made.named("attempt gpu0").status.code, 0)
        told = self.seen(EngineReported("it said so"), 499, outcome=Outcome.ABANDONED)
        self.assertEqual(told, (ERROR, "it said so", "engine_reported"))

    def test_our_own_pages(self) -> None:
        """C{/readyz} says 503 where that is the truth."""
        self.assertEqual(self.seen(None, 503, method="GET", route="readyz", outcome=None), (0, "", ""))

    def test_attempts(self) -> None:
        """By their outcome, else by the engine's status, as OpenTelemetry judges who asks."""
        for status, outcome, expected in (
            (200, Outcome.COMPLETE, (0, "")),
            (200, Outcome.TRUNCATED, (ERROR, "truncated")),
            (200, Outcome.MALFORMED, (ERROR, "malformed")),
            (0, Outcome.TIMED_OUT, (ERROR, "timed_out")),
            (400, Outcome.COMPLETE, (ERROR, "400")),
            (503, Outcome.COMPLETE, (ERROR, "503")),
            (503, Outcome.BROKEN, (ERROR, "broken")),
            (200, Outcome.ABANDONED, (0, "")),
        ):
            attempt = Made(an_exchange(record(status=status, outcome=outcome))).spans[2]
            found = attempt.status.code, plain(attempt.attributes).get("error.type", "")
            self.assertEqual(found, expected, (status, outcome))
