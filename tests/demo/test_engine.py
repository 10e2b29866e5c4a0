"""The simulated engine, in memory: its paths, its speed, its habits."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.demo.speed import INSTANT, PrefixCache, Speed
from aibrix_twisted.demo.text import ids_of, tokens, vector, words_of
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.wire.head import ResponseHead
from aibrix_twisted.wire.response import ResponseParser
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.stream import StreamWatch

CHAT: dict[str, Any] = {
    "model": "demo-model",
    "messages": [{"role": "user", "content": "one two three"}],
    "max_tokens": 3,
}


class Heard:
    """One response, read by our parser."""

    def __init__(self, raw: bytes) -> None:
        self.head: ResponseHead | None = None
        self.body, self.complete = b"", False
        self.parser = ResponseParser(self, self.response_body)
        self.parser.feed(raw)

    def response_head(self, head: ResponseHead) -> None:
        self.head = head

    def response_body(self, data: bytes) -> None:
        self.body += data

    def response_complete(self) -> None:
        self.complete = True

    @property
    def status(self) -> int:
        return self.head.status if self.head is not None else 0

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class EngineCase(SynchronousTestCase):
    """One engine, one client."""

    def engine(self, **more: Any) -> DemoEngine:
        """As fast as it goes, unless a speed is given."""
        self.clock = Clock()
        arguments: dict[str, Any] = {"speed": INSTANT, "profile": "plain", **more}
        return DemoEngine(self.clock, **arguments)

    def client(self, engine: DemoEngine) -> tuple[Any, StringTransportWithDisconnection]:
        """A connection."""
        connection: Any = engine.factory.buildProtocol(None)
        transport = StringTransportWithDisconnection()
        transport.protocol = connection
        connection.makeConnection(transport)
        return connection, transport

    def send(self, connection: Any, path: str, document: Any = None, method: str = "POST", **headers: str) -> None:
        """A request."""
        body = b"" if document is None else orjson.dumps(document)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        connection.dataReceived(
            f"{method} {path} HTTP/1.1\r\nhost: e\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        )

    def ask(self, engine: DemoEngine, path: str, document: Any = None, method: str = "POST", **headers: str) -> Heard:
        """A request and its answer."""
        connection, transport = self.client(engine)
        self.send(connection, path, document, method, **headers)
        return Heard(transport.value())


class PathTests(EngineCase):
    """What it answers."""

    def test_chat(self) -> None:
        """Whole: text, usage, finish; the same for the same prompt."""
        engine = self.engine()
        answer = self.ask(engine, "/v1/chat/completions", CHAT)
        self.assertEqual((answer.status, answer.complete), (200, True))
        self.assertEqual(answer.json["usage"]["completion_tokens"], 3)
        again = self.ask(engine, "/v1/chat/completions", CHAT)
        self.assertEqual(answer.json["choices"], again.json["choices"])

    def test_streams_of_each_profile_are_whole_by_their_own_rules(self) -> None:
        """As the gateway's watch reads them, with n=2, with and without usage, chat and completions."""
        for name, profile in PROFILES.items():
            for path, body in (
                ("/v1/chat/completions", CHAT),
                ("/v1/completions", {**CHAT, "messages": None, "prompt": "a b"}),
            ):
                wanted = {key: value for key, value in body.items() if value is not None}
                document = {**wanted, "stream": True, "n": 2, "stream_options": {"include_usage": True}}
                answer = self.ask(self.engine(profile=name), path, document)
                self.assertEqual(answer.status, 200, (name, answer.body))
                dialect = Dialect.CHAT if "chat" in path else Dialect.COMPLETIONS
                watch = StreamWatch(dialect, choices=2, done_required=profile.done)
                watch.feed(answer.body)
                self.assertEqual(watch.finish(), Payload.WHOLE, (name, path))
                says = profile.usage_event or profile.usage_in_finish
                self.assertEqual(watch.usage is not None, says, name)

    def test_tools_and_logprobs(self) -> None:
        """A call whose pieces add up to its arguments; a probability for each token."""
        tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
        answer = self.ask(self.engine(), "/v1/chat/completions", {**CHAT, "tools": [tool], "tool_choice": "required"})
        call = answer.json["choices"][0]["message"]["tool_calls"][0]
        self.assertEqual(call["function"]["name"], "look")
        orjson.loads(call["function"]["arguments"])
        answer = self.ask(self.engine(), "/v1/chat/completions", {**CHAT, "logprobs": True})
        self.assertTrue(answer.json["choices"][0]["logprobs"]["content"])

    def test_other_paths(self) -> None:
        """Embeddings, tokens, models, health, metrics."""
        engine = self.engine(models=("a", "b"))
        embedded = self.ask(engine, "/v1/embeddings", {"model": "a", "input": ["x y", "z"]}).json
        self.assertEqual((len(embedded["data"]), embedded["usage"]["prompt_tokens"]), (2, 3))
        self.assertEqual(self.ask(engine, "/tokenize", {"prompt": "x y z"}).json["count"], 3)
        self.assertEqual(self.ask(engine, "/detokenize", {"tokens": [1, 2]}).json["prompt"], "1 2")
        models = self.ask(engine, "/v1/models", method="GET").json
        self.assertEqual([model["id"] for model in models["data"]], ["a", "b"])
        self.assertEqual(self.ask(engine, "/health", method="GET").status, 200)
        self.assertIn(
            b'vllm:num_requests_running{engine="0",model_name="a"} 0.0', self.ask(engine, "/metrics", method="GET").body
        )
        self.assertEqual(self.ask(engine, "/nowhere", {}).status, 404)

    def test_errors(self) -> None:
        """In the profile's own words."""
        for profile, document, status, part in (
            ("vllm", {**CHAT, "model": "x"}, 404, b"does not exist"),
            ("sglang", {**CHAT, "model": "x"}, 200, b"choices"),
            ("transformers", {**CHAT, "ignore_eos": True}, 422, b'{"detail":'),
            ("vllm", {"model": "demo-model"}, 400, b"missing"),
            ("vllm", {**CHAT, "max_tokens": -1}, 400, b"max_tokens"),
            ("vllm", [], 400, b"object"),
            ("vllm", {**CHAT, "n": "two"}, 400, b"n is"),
            ("vllm", {**CHAT, "stream_options": "all"}, 400, b"stream_options"),
            ("vllm", {**CHAT, "tools": [7], "tool_choice": "auto"}, 400, b"functions"),
            ("vllm", {**CHAT, "tool_choice": {"function": 7}}, 400, b"functions"),
        ):
            answer = self.ask(self.engine(profile=profile), "/v1/chat/completions", document)
            self.assertEqual(answer.status, status)
            self.assertIn(part, answer.body)


class SpeedTests(EngineCase):
    """Time is the clock's."""

    def test_prefill_then_a_token_at_a_time(self) -> None:
        """Three words at ten a second, then a token each half second."""
        engine = self.engine(speed=Speed(prefill=10.0, decode=2.0, prefix_cache=False))
        connection, transport = self.client(engine)
        self.send(
            connection, "/v1/completions", {"model": "demo-model", "prompt": "a b c", "max_tokens": 3, "stream": True}
        )
        self.clock.advance(0.29)
        self.assertEqual(transport.value(), b"")
        self.clock.advance(0.02)
        self.assertEqual(transport.value().count(b"data: "), 1)
        self.clock.advance(0.5)
        self.assertEqual(transport.value().count(b"data: "), 2)
        self.clock.pump([0.5] * 5)
        self.assertTrue(transport.value().endswith(b"0\r\n\r\n"))

    def test_places_are_limited(self) -> None:
        """One computes, one waits; the first's leaving lets the second in, and is counted."""
        engine = self.engine(speed=Speed(prefill=1.0, decode=1.0, batch=1))
        clients = [self.client(engine) for _ in range(2)]
        for connection, _ in clients:
            self.send(connection, "/v1/chat/completions", CHAT)
        self.assertEqual((engine.stats.running, engine.stats.waiting), (1, 1))
        clients[0][1].loseConnection()
        self.assertEqual((engine.stats.running, engine.stats.waiting, engine.stats.cancelled), (1, 0, 1))
        clients[1][1].loseConnection()
        self.assertEqual((engine.stats.running, engine.stats.cancelled), (0, 2))
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])

    def test_prefix_cache(self) -> None:
        """Whole blocks of what came before are free; what comes after a difference is not."""
        cache = PrefixCache()
        words = [str(number) for number in range(40)]
        self.assertEqual([cache.cached(words), cache.cached(words), cache.cached(["x", *words[1:]])], [0, 32, 0])

    def test_idle_connections_are_closed(self) -> None:
        """After five seconds, in the profiles whose servers do so; not while one is served."""
        engine = self.engine(profile="vllm")
        _, transport = self.client(engine)
        self.clock.advance(4.9)
        self.assertTrue(transport.connected)
        self.clock.advance(0.2)
        self.assertFalse(transport.connected)

    def test_llama_server_closes_after_a_stream(self) -> None:
        """Without a word of it in the head."""
        engine = self.engine(profile="llamacpp")
        connection, transport = self.client(engine)
        self.send(connection, "/v1/chat/completions", {**CHAT, "stream": True})
        self.assertFalse(transport.connected)
        self.assertNotIn(b"connection: close", transport.value().lower())


class HabitTests(EngineCase):
    """What only some engines do."""

    def test_a_key_and_a_bound(self) -> None:
        """Asked for on C{/v1} alone; a prompt that does not fit is refused in the profile's words."""
        engine = self.engine(profile="sglang", api_key="k", context=20)
        self.assertEqual(self.ask(engine, "/health", method="GET").status, 200)
        refused = self.ask(engine, "/v1/models", method="GET")
        self.assertEqual((refused.status, refused.body), (401, b'{"error":"Unauthorized"}'))
        key = {"authorization": "Bearer k"}
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT, **key).status, 200)
        long = self.ask(engine, "/v1/chat/completions", {**CHAT, "max_tokens": 18}, **key)
        self.assertEqual((long.status, long.json["object"]), (400, "error"))

    def test_the_last_request_of_a_connection(self) -> None:
        """llama-server says in its answer that it is the last."""
        engine = self.engine(profile="llamacpp")
        connection, transport = self.client(engine)
        for number in range(1, 101):
            transport.clear()
            self.send(connection, "/v1/chat/completions", CHAT)
            self.clock.advance(0)
            self.assertEqual(b"connection: close" in transport.value(), number == 100)
        self.assertFalse(transport.connected)

    def test_health_models_and_ids(self) -> None:
        """SGLang's health costs a token; transformers lists nothing and renames; an id comes back where it is wanted."""
        engine = self.engine(profile="sglang", echo_request_id=True)
        heard = self.ask(engine, "/health", method="GET", x_request_id="mine")
        assert heard.head is not None
        self.assertEqual(heard.head.fields[b"x-request-id"], b"mine")
        self.assertEqual(engine.stats.generated_tokens, 1)
        engine.well = False
        self.assertEqual(self.ask(engine, "/health", method="GET").status, 503)
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).status, 500)
        engine = self.engine(profile="transformers")
        self.assertEqual(self.ask(engine, "/v1/models", method="GET").json["data"], [])
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).json["model"], "demo-model@main")
        engine.models_status = 500
        self.assertEqual(self.ask(engine, "/v1/models", method="GET").status, 500)

    def test_one_at_a_time(self) -> None:
        """llama-cpp-python ends a stream for the next request, as if it were whole."""
        engine = self.engine(profile="llamacpp_python", speed=Speed(prefill=0.0, decode=1.0))
        connection, transport = self.client(engine)
        self.send(connection, "/v1/chat/completions", {**CHAT, "max_tokens": 50, "stream": True})
        self.send(self.client(engine)[0], "/v1/chat/completions", CHAT)
        self.clock.advance(1.0)
        self.assertTrue(transport.value().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"))
        self.assertEqual((transport.value().count(b"data: "), engine.stats.finished), (2, 1))

    def test_told_to_end(self) -> None:
        """Each profile in its way; it is over when the last connection is closed."""
        for profile, seconds, events, ended in (
            ("sglang", 60, 53, True),
            ("llamacpp_python", 0, 1, False),
            ("llamacpp", 31, 1, False),
            ("vllm", 5, 4, True),
        ):
            engine = self.engine(profile=profile, speed=Speed(prefill=0.0, decode=1.0))
            _, idle = self.client(engine)
            connection, transport = self.client(engine)
            self.send(connection, "/v1/chat/completions", {**CHAT, "max_tokens": 50, "stream": True})
            over = Deferred.fromCoroutine(engine.terminate())
            self.assertFalse(idle.connected)
            self.clock.pump([1.0] * seconds)
            self.assertFalse(transport.connected, profile)
            self.assertEqual(transport.value().count(b"data: "), events, profile)
            self.assertEqual(transport.value().endswith(b"0\r\n\r\n"), ended, profile)
            self.assertIsNone(self.successResultOf(over))
            self.assertEqual((engine.stats.running, engine.open), (0, set()))


class TextTests(SynchronousTestCase):
    """What it says."""

    def test_words_and_tokens(self) -> None:
        """By lot, but the same for the same."""
        self.assertEqual(words_of([{"content": "a b"}, {"content": [{"text": "c"}]}, "d"]), ["a", "b", "c", "d"])
        self.assertEqual(list(tokens(1, 0, [7], 5)), list(tokens(1, 0, [7], 5)))
        self.assertNotEqual(list(tokens(1, 0, [7], 5)), list(tokens(2, 0, [7], 5)))

    def test_a_text_that_was_cut(self) -> None:
        """It goes on as it would have: by its tokens, and by its words."""
        whole = list(tokens(1, 0, ids_of(["x"]), 30))
        for cut in range(1, 30):
            begun, rest = whole[:cut], whole[cut:]
            by_tokens = [*ids_of(["x"]), *(token for _, token in begun)]
            by_words = ids_of(words_of(["x", "".join(word for word, _ in begun)]))
            self.assertEqual(by_tokens, by_words)
            self.assertEqual(list(tokens(1, 0, by_tokens, 30 - cut, space=True)), rest)
        self.assertEqual(len(vector(0, ["x"])), 16)
