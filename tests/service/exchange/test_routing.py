"""Routing seen whole, without a network: what a client asks for, what becomes of it, and what policies learn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prompt import prompt_of
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ModelSettings, ProfileSettings, QueueSettings, Retry, Settings
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from aibrix_twisted.wire.prompt_text import prompt_text
from aibrix_twisted.wire.routes import Dialect
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post, replica
from tests.wire.streams import DONE, _chat

JSON = answer(b'{"id":"c","usage":{"prompt_tokens":9,"completion_tokens":3}}')
LONG = "Once upon a time there was a gateway. " * 20


def body(text: str = LONG, **more: Any) -> bytes:
    """A chat."""
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more})


class RoutingTestCase(SynchronousTestCase):
    """Two replicas."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, policy: str = "prefix-cache", *models: ModelSettings, **more: Any) -> None:
        """A gateway."""
        replicas = (replica("gpu0"), replica("gpu1", labels={"rack": "r1"}))
        more.setdefault("retry", Retry(backoff=0.0))
        self.bench = Bench(Settings(policy=policy, model=models, **more), replicas)

    @property
    def replicas(self) -> Sequence[Replica]:
        return self.bench.replicas

    def ask(self, request: bytes = b"", *lines: bytes) -> Wire:
        """One request; its engine is at C{self.up}."""
        client, wire = self.bench.client()
        before = len(self.bench.reactor.connects)
        client.dataReceived(post(request or body(), b"/v1/chat/completions", *lines))
        if len(self.bench.reactor.connects) > before:
            self.up, self.upwire = self.bench.upstream()
        return wire

    def headers(self, request: bytes = b"", *lines: bytes) -> dict[str, str]:
        """Of an answer that is given at once."""
        wire = self.ask(request, *lines)
        self.up.dataReceived(JSON)
        self.upwire.lose()
        head = wire.take().partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        return {"": head[0], **dict(line.split(": ", 1) for line in head[1:])}

    def depths(self, text: str = LONG) -> list[int]:
        """How much of a prompt each replica is taken to have, in blocks."""
        exchanges = self.bench.exchanges
        prompt = prompt_of(prompt_text(Dialect.CHAT, orjson.loads(body(text))).text, 128)
        return exchanges.chooser.indexes["m"].depths(prompt, self.replicas)


class HeaderTests(RoutingTestCase):
    """What clients say and are told."""

    def test_who_decided(self) -> None:
        """The header says it, in full, whichever way it was asked for."""
        for line, said in (
            (b"x: y", "prefix-cache"), (b"routing-strategy: random", "random"), (b"routing-strategy: auto", "least-work"),
            (b"routing-strategy: least-request:3, throughput", "least-request:3,throughput"),
        ):  # fmt: skip
            self.assertEqual(self.headers(b"", line)["routing-strategy"], said)

    def test_bad_wishes(self) -> None:
        """400, naming them, before anything is sent."""
        for line, param, code in (
            (b"routing-strategy: best", "routing-strategy", "unknown_routing_strategy"),
            (b"routing-strategy: random,throughput", "routing-strategy", "unknown_routing_strategy"),
            (b"external-filter: rack in", "external-filter", "invalid_external_filter"),
            (b"config-profile: x", "config-profile", "unknown_config_profile"),
        ):
            written = self.ask(b"", line).written
            self.assertTrue(written.startswith(b"HTTP/1.1 400 "), written)
            self.assertIn(b"x-error-routing: true\r\n", written)
            error = orjson.loads(written.partition(b"\r\n\r\n")[2])["error"]
            self.assertEqual((error["param"], error["code"]), (param, code))
            value = line.decode().partition(": ")[2]
            self.assertNotIn(repr(value), self.bench.log.seen[-1].reason, "what clients send is not logged")
        self.assertEqual(self.bench.reactor.connects, [])

    def test_filter(self) -> None:
        """Only who is picked; 503 at once where nobody is."""
        for _ in range(4):
            self.assertEqual(self.headers(b"", b"external-filter: rack=r1")["x-aibrix-replica"], "gpu1")
        written = self.ask(b"", b"external-filter: rack=r2").written
        self.assertTrue(written.startswith(b"HTTP/1.1 503 "), written)
        self.assertIn(b"no_replica_available", written)

    def test_filter_holds_for_retries(self) -> None:
        """What failed on the only one that was picked is not tried elsewhere."""
        wire = self.ask(b"", b"external-filter: rack=r1")
        self.upwire.lose(clean=False)
        self.assertIn(b" 502 ", wire.written[:20])
        self.assertEqual(len(self.bench.reactor.connects), 1)

    def test_profile(self) -> None:
        """It is said which was found."""
        profiles = {"long": ProfileSettings(policy="least-request", prompt_tokens_gte=50)}
        self.begin("random", ModelSettings(name="m", profiles=profiles))
        found = self.headers(b"", b"config-profile: auto")
        self.assertEqual((found["routing-strategy"], found["x-aibrix-config-profile"]), ("least-request", "long"))
        found = self.headers(body("short"), b"config-profile: auto")
        self.assertEqual((found["routing-strategy"], "x-aibrix-config-profile" in found), ("random", False))

    def test_sessions(self) -> None:
        """An answer says where its session is, and who says that goes back there; with others beside it, too."""
        for strategy in (b"session-affinity", b"session-affinity:10,least-request"):
            first = self.headers(b"", b"routing-strategy: " + strategy)
            session = first["x-session-id"]
            self.assertEqual(base64.b64decode(session).decode(), first["x-aibrix-replica"])
            for _ in range(5):
                again = self.headers(b"", b"routing-strategy: " + strategy, b"x-session-id: " + session.encode())
                self.assertEqual(again["x-aibrix-replica"], first["x-aibrix-replica"])
        self.assertNotIn("x-session-id", self.headers())

    def test_a_session_that_is_gone(self) -> None:
        """Begins anew elsewhere, and is told so."""
        gone = base64.b64encode(b"10.9.9.9:8000")
        found = self.headers(b"", b"routing-strategy: session-affinity", b"x-session-id: " + gone)
        self.assertEqual(base64.b64decode(found["x-session-id"]).decode(), found["x-aibrix-replica"])

    def test_the_models_own(self) -> None:
        """What is locked cannot be asked for otherwise; what is not can."""
        self.begin("random", ModelSettings(name="m", locked_policy="round-robin"))
        self.assertEqual(self.headers(b"", b"routing-strategy: random")["routing-strategy"], "round-robin")


class LearnTests(RoutingTestCase):
    """What the prefix index makes of attempts."""

    def test_answered(self) -> None:
        """Whoever answered has the prompt, and is asked again."""
        first = self.headers()["x-aibrix-replica"]
        self.assertEqual([depth > 4 for depth in self.depths()], [first == "gpu0", first == "gpu1"])
        for _ in range(5):
            self.assertEqual(self.headers(body(LONG + "and on"))["x-aibrix-replica"], first)

    def test_a_model_that_nobody_had_said_yet(self) -> None:
        """The body is decoded anew then: as it was decoded first it is not kept while the request waits."""
        self.bench.replicas = (replica("gpu0", None),)
        self.bench.publish()
        self.ask()
        self.assertEqual(len(self.bench.reactor.connects), 0)
        self.bench.replicas[0].models = ("m",)
        self.bench.publish()
        self.bench.advance(1)
        self.up, self.upwire = self.bench.upstream()
        self.up.dataReceived(JSON)
        self.assertGreater(self.depths()[0], 4)

    def test_under_way(self) -> None:
        """Whoever has been given it is taken to have it already: a burst stays together."""
        ups = []
        for _ in range(3):
            self.ask()
            ups.append(self.up)
        self.assertEqual(sum(depth > 0 for depth in self.depths()), 1)
        for up in ups:
            up.dataReceived(JSON)
        self.assertEqual(sum(depth > 0 for depth in self.depths()), 1)

    def broke(self, how: bytes) -> None:
        """An attempt that is no answer."""
        self.begin(retry=Retry(attempts=1), queue=QueueSettings(wait_busy=0.0, wait_down=0.0))
        self.ask()
        self.assertEqual(sum(depth > 0 for depth in self.depths()), 1)
        if how:
            self.up.dataReceived(how)
        else:
            self.upwire.lose(clean=False)
        self.assertEqual(self.depths(), [0, 0])

    def test_not_answered(self) -> None:
        """An error, too much to do, a connection that broke, or a client that left: nobody has it."""
        for how in (
            answer(b'{"error":{}}', status=b"500 Internal Server Error"), answer(b"{}", status=b"429 Too Many"),
            answer(b'{"error":{}}', status=b"400 Bad Request"), b"",
        ):  # fmt: skip
            self.broke(how)
        self.begin()
        self.ask()
        for connection in tuple(self.bench.exchanges.live):
            connection.transport.abortConnection()
        self.assertEqual(self.depths(), [0, 0])

    def test_refused(self) -> None:
        """It goes elsewhere, and is known there only."""
        client, wire = self.bench.client()
        client.dataReceived(post(body()))
        refusing = self.bench.reactor.connects[-1]
        refusing.refused()
        self.up, self.upwire = self.bench.upstream()
        self.up.dataReceived(JSON)
        self.assertIn(b" 200 ", wire.written[:20])
        self.assertEqual(sum(depth > 0 for depth in self.depths()), 1)

    def test_a_stream(self) -> None:
        """Has been answered once it has begun, though it breaks off later."""
        wire = self.ask(body(stream=True))
        self.up.dataReceived(STREAM_HEAD + chunk(_chat('{"content":"Hi"}').encode()))
        self.assertIn(b"Hi", wire.written)
        self.upwire.lose(clean=False)
        self.assertEqual(sum(depth > 0 for depth in self.depths()), 1)

    def test_resent_on_another_connection(self) -> None:
        """Once more at the same replica: it is expected there again, and counted once."""
        first = self.headers()["x-aibrix-replica"]
        self.assertEqual(self.bench.exchanges.chooser.indexes["m"].kept, max(self.depths()))
        wire = self.ask(body(LONG + "x" * 500))
        up: UpstreamConnection = self.up
        up.dataReceived(JSON)
        self.assertIn(f"x-aibrix-replica: {first}".encode(), wire.take())
        wire = self.ask(
            body("y" * 800), b"external-filter: name=" + first.encode()
        )  # on the connection that is idle now
        self.upwire.lose()  # which the engine closes just then
        again, _ = self.bench.upstream()
        self.assertEqual(sum(depth > 0 for depth in self.depths("y" * 800)), 1)
        again.dataReceived(JSON)
        self.assertIn(b" 200 ", wire.written[:20])
        for holder in self.bench.exchanges.chooser.indexes["m"]._holders.values():
            self.assertEqual(holder.coming, {})


class WorkTests(RoutingTestCase):
    """C{least-work} hears of first tokens."""

    def test_first_tokens(self) -> None:
        """What is ahead at a replica is gone once the stream has begun, and before it is over."""
        self.begin("least-work")
        self.ask(body(stream=True))
        policy: Any = self.bench.exchanges.chooser._made["m", "least-work"]
        now = self.bench.reactor.seconds()
        (prefill,) = policy._prefills.values()
        self.assertGreater(prefill.ahead(now), 500)
        self.up.dataReceived(STREAM_HEAD)
        self.assertGreater(prefill.ahead(now), 500)
        self.up.dataReceived(chunk(_chat('{"content":"Hi"}').encode()))
        self.assertEqual(prefill.ahead(now), 0.0)
        self.up.dataReceived(chunk((_chat("{}", '"stop"') + DONE).encode()) + b"0\r\n\r\n")
        self.assertEqual(self.bench.exchanges.under_way, 0)

    def test_it_spreads(self) -> None:
        """Different prompts that come at once go to different replicas."""
        self.begin("least-work")
        names = set()
        for text in ("a" * 4000, "b" * 4000):
            self.ask(body(text))
            names.add(self.bench.reactor.connects[-1].factory)
        self.assertEqual([one.load.in_flight for one in self.replicas], [1, 1])


class RecordTests(RoutingTestCase):
    """What is recorded."""

    def test_each_decision(self) -> None:
        """Also those of retries; and what came of it."""
        wire = self.ask(b"", b"x-request-id: abc")
        self.upwire.lose(clean=False)
        self.up, self.upwire = self.bench.upstream()
        self.up.dataReceived(JSON)
        self.assertIn(b" 200 ", wire.written[:20])
        first, second = self.bench.exchanges.chooser.flights.of("abc")
        self.assertEqual((len(first.candidates), len(second.candidates)), (2, 1))
        self.assertIsNot(first.choice.replica, second.choice.replica)
        self.assertEqual(second.exchange.status, 200)

    def test_fallbacks_are_counted(self) -> None:
        """In the metrics."""
        self.headers(b"", b"routing-strategy: least-kv-cache")
        self.assertEqual(dict(self.bench.metrics.policy_fallbacks), {("least-kv-cache", "no_metrics"): 1})
