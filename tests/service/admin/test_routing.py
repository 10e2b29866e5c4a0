"""Why a replica was chosen, which one would be, and what can be replayed."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import ModelSettings, ReplicaSettings, Settings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.replay.trace import read_trace
from aibrix_twisted.service.exchange.flights import Flight
from aibrix_twisted.wire.openai import peek
from aibrix_twisted.wire.routes import ROUTES
from tests.service.admin.listener import AdminState, Listener

LONG = "Once upon a time there was a gateway. " * 20
BODY = {"model": "m", "messages": [{"role": "user", "content": LONG}]}

TWO = tuple(
    ReplicaSettings(name=name, url=f"http://192.0.2.{number}:8000", models=("m",), labels={"n": str(number)})
    for number, name in enumerate(("gpu0", "gpu1"))
)


class RoutingTestCase(SynchronousTestCase):
    """Two replicas."""

    def setUp(self) -> None:
        models = (ModelSettings(name="n", fallbacks=("m",)),)
        self.state = AdminState(Settings(replica=TWO, policy="prefix-cache", model=models))
        self.state.keeper.renew()
        self.listener = Listener(self.state)

    def decided(self, id: str = "x", *, over: bool = True, **more: Any) -> Flight:
        """One exchange."""
        exchange = Exchange(id, "", "POST", "/v1/chat/completions", "chat_completions", Stamps(self.state.now))
        exchange.model, exchange.policy, exchange.replica, exchange.attempts = "m", "prefix-cache", "gpu0", 1
        body = orjson.dumps({**BODY, **more})
        asked = peek(ROUTES[b"/v1/chat/completions"], None, body)
        routing = self.state.chooser.routing("m", {}, asked, body)
        flight = self.state.chooser.choose(exchange, routing, "m", self.state.fleet, {})
        assert isinstance(flight, Flight)
        if over:
            exchange.stamps.read = exchange.stamps.accepted
            exchange.stamps.first_byte, exchange.stamps.ended = self.state.now + 0.5, self.state.now + 2.0
            exchange.status, exchange.outcome = 200, Outcome.COMPLETE
            exchange.input_tokens, exchange.output_tokens = 200, 30
        return flight

    def route(self, **question: Any) -> Any:
        """Where it would go."""
        said = self.listener.ask(b"POST", b"/api/route", {"body": BODY, **question})
        self.assertEqual(said.status, 200, said.body)
        return said.document


class ExplainTests(RoutingTestCase):
    """C{GET /api/explain/ID}."""

    def explain(self, id: bytes = b"x") -> Any:
        """Of one."""
        return self.listener.ask(b"GET", b"/api/explain/" + id).document

    def test_over(self) -> None:
        """Candidates with their figures, the choice, and what came of it."""
        flight = self.decided()
        said = self.explain()
        (decision,) = said["decisions"]
        self.assertEqual(decision["replica"], flight.choice.replica.name)
        self.assertEqual(
            decision["candidates"],
            [{"replica": name, "figures": {"match_percent": 0.0, "load": 0.0}} for name in ("gpu0", "gpu1")],
        )
        self.assertEqual(decision["prompt"]["blocks"], len(flight.ask.prompt.hashes))
        self.assertEqual(
            [said[name] for name in ("outcome", "status", "ttft_s", "duration_s", "attempts")],
            ["complete", 200, 0.5, 2.0, 1],
        )
        self.assertEqual((decision["policy"], decision["at"][:10]), ("prefix-cache", "2026-01-01"))

    def test_under_way(self) -> None:
        """It has not come to anything yet."""
        self.decided(over=False)
        said = self.explain()
        self.assertEqual((said["outcome"], said["status"], said["ttft_s"]), (None, None, None))

    def test_what_was_missing(self) -> None:
        """Is said, and figures that there were none of are null."""
        self.state.chooser.configure(Settings(policy="least-kv-cache"))
        self.decided()
        (decision,) = self.explain()["decisions"]
        self.assertEqual(decision["fallbacks"], [{"policy": "least-kv-cache", "reason": "no_metrics"}])
        self.assertIsNone(decision["candidates"][0]["figures"]["score"])

    def test_no_text(self) -> None:
        """Of the prompt."""
        self.decided()
        for path in (b"/api/explain/x", b"/api/flights"):
            self.assertNotIn(b"Once upon", self.listener.ask(b"GET", path).body)

    def test_not_known(self) -> None:
        """404."""
        said = self.listener.ask(b"GET", b"/api/explain/nobody")
        self.assertEqual((said.status, said.code), (404, "request_not_found"))
        for path in (b"/api/explain", b"/api/explain/", b"/api/explain/x/y"):
            self.assertEqual(self.listener.ask(b"GET", path).status, 404)


class RouteTests(RoutingTestCase):
    """C{POST /api/route}."""

    def test_it_changes_nothing(self) -> None:
        """However often it is asked."""
        for _ in range(5):
            self.assertIn(self.route()["decision"]["replica"], ("gpu0", "gpu1"))
        self.assertEqual([replica.load.leased for replica in self.state.fleet.replicas], [0, 0])
        self.assertEqual(list(self.state.chooser.flights), [])
        self.assertEqual(self.state.chooser.indexes["m"].kept, 0)

    def test_as_the_client_would_have_it(self) -> None:
        """By its headers, its filter, its path, and what stands in for its model."""
        said = self.route(headers={"Routing-Strategy": "random", "external-filter": "n=1"})
        self.assertEqual((said["policy"], said["decision"]["replica"]), ("random", "gpu1"))
        said = self.route(path="/v1/completions", body={"model": "n", "prompt": "x" * 500})
        self.assertEqual((said["decision"]["model"], said["decision"]["prompt"]["bytes"]), ("m", 500))

    def test_nobody(self) -> None:
        """Why not."""
        said = self.route(headers={"external-filter": "n=9"})
        self.assertEqual((said["decision"], said["lack"]), (None, "unmatched"))
        for replica in self.state.fleet.replicas:
            replica.health.drain(0.0, on=True)
        self.assertEqual(self.route()["lack"], "down")

    def test_refused(self) -> None:
        """What its client would be told."""
        for question, status, code in (
            ({"headers": {"routing-strategy": "best"}}, 400, "unknown_routing_strategy"),
            ({"body": {"model": "x", "messages": []}}, 404, "model_not_found"),
            ({"body": {"messages": []}}, 400, "invalid_body"),
            ({"headers": {"content-type": "text/plain"}}, 415, None),
        ):
            of: Any = question
            refused = self.route(**of)["refused"]
            self.assertEqual(refused["status"], status, refused)
            if code is not None:
                self.assertEqual(refused["code"], code)

    def test_no_question(self) -> None:
        """400, naming what is wrong."""
        for body, said in (
            ([], "a table"), ({}, "body: expected"), ({"body": []}, "body: expected"), ({"body": {}, "x": 1}, "'x'"),
            ({"body": {}, "path": "/metrics"}, "path: found"), ({"body": {}, "path": 5}, "path: found"),
            ({"body": {}, "path": "/v1/audio/transcriptions"}, "path: found"),
            ({"body": {}, "headers": []}, "headers: expected"), ({"body": {}, "headers": {"a": 1}}, "headers: a"),
            ({"body": {}, "headers": {"a": "x\ny"}}, "headers: a"), (b"{", "not JSON"),
        ):  # fmt: skip
            found = self.listener.ask(b"POST", b"/api/route", body)
            self.assertEqual(found.status, 400, found.body)
            self.assertIn(said, found.document["error"]["message"])


class FlightsTests(RoutingTestCase):
    """C{GET /api/flights}."""

    def test_they_can_be_replayed(self) -> None:
        """What is over, each exchange once, with its hashes and its size."""
        flight = self.decided("a")
        self.state.chooser.flights.add(flight)
        self.decided("b", over=False)
        found = self.listener.ask(b"GET", b"/api/flights")
        self.assertEqual(found.headers[b"content-type"], b"application/x-ndjson")
        (arrival,) = read_trace(found.body.splitlines())
        prompt = flight.ask.prompt
        self.assertEqual((arrival.input_tokens, arrival.output_tokens), (200, 30))
        self.assertEqual((list(arrival.prompt.hashes), arrival.prompt.length), (list(prompt.hashes), prompt.length))
        self.assertEqual(arrival.prompt.covered(3), 384)

    def test_what_was_not_counted(self) -> None:
        """Is guessed from what is known."""
        flight = self.decided()
        flight.exchange.input_tokens = flight.exchange.output_tokens = None
        flight.exchange.events = 7
        (arrival,) = read_trace(self.listener.ask(b"GET", b"/api/flights").body.splitlines())
        self.assertEqual((arrival.input_tokens, arrival.output_tokens), (flight.ask.prompt.tokens, 7))
