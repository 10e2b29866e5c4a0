"""A gateway in memory before engines that say the same: one breaks, and another goes on."""

from __future__ import annotations

from typing import Any

import orjson

from aibrix_twisted.demo.answers import stream_of
from aibrix_twisted.demo.asked import document_of, generation_of
from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from aibrix_twisted.wire.sse import SSEParser
from tests.fakes import STREAM_HEAD, Bench, Wire, chunk, post, replica

CHAT = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "max_tokens": 9,
    "temperature": 0,
}
COMPLETION = {"model": "m", "prompt": "once upon", "stream": True, "max_tokens": 9, "temperature": 0}
USAGE = {"stream_options": {"include_usage": True}}
DONE = b"data: [DONE]\n\n"


class Engine:
    """The other end of one connection.

    @ivar asked: the request's body.
    @ivar events: what it says to it.
    """

    def __init__(self, connection: UpstreamConnection, wire: Wire, kind: str, number: int, **more: Any) -> None:
        self.connection, self.wire = connection, wire
        head, _, body = wire.take().partition(b"\r\n\r\n")
        self.path = head.split()[1]
        self.asked = document_of(body)
        asked = generation_of(self.asked, chat=self.path.endswith(b"chat/completions"))
        self.events = stream_of(asked, PROFILES[kind], f"id-{number}", 0, 0, **more)

    def say(self, *events: bytes, head: bool = False, end: bool = False) -> None:
        """Each event in a read of its own."""
        for data in ([STREAM_HEAD] if head else []) + [chunk(event) for event in events]:
            if self.wire.protocol is not None:
                self.connection.dataReceived(data)
        if end and self.wire.protocol is not None:
            self.connection.dataReceived(b"0\r\n\r\n")


class Healed:
    """One client, and what it gets."""

    def __init__(
        self,
        asked: dict[str, Any],
        kinds: tuple[str, ...] = ("vllm", "vllm"),
        settings: Settings | None = None,
        **more: Any,
    ) -> None:
        """
        @param kinds: of the engines.
        @param more: of what they say.
        """
        self.asked, self.more = asked, more
        self.replicas = tuple(replica(f"gpu{at}", engine=kind) for at, kind in enumerate(kinds))
        for at, each in enumerate(self.replicas):
            each.port = at + 1
        self.bench = Bench(settings, self.replicas)
        self.kinds = kinds
        self.path = b"/v1/chat/completions" if "messages" in asked else b"/v1/completions"
        self.client, self.wire = self.bench.client()
        self.client.dataReceived(post(orjson.dumps(asked), self.path))
        self.engines: list[Engine] = []

    @property
    def waiting(self) -> bool:
        """A connect that is not decided."""
        return len(self.bench.reactor.connects) > len(self.engines)

    def next(self) -> Engine:
        """The newest connect succeeds."""
        assert self.waiting
        self.bench.reactor.connects += []
        connection, wire = self.bench.upstream()
        busy = [each for each in self.replicas if each.load.in_flight]
        engine = Engine(connection, wire, self.kinds[self.replicas.index(busy[-1])], len(self.engines), **self.more)
        self.engines.append(engine)
        return engine

    @property
    def whole(self) -> str:
        """What an undisturbed stream says."""
        asked = generation_of(self.asked, chat="messages" in self.asked)
        return text_of([event for event in map(read, stream_of(asked, PROFILES["vllm"], "", 0, 0)) if event])

    @property
    def exchange(self) -> Exchange:
        """The log's."""
        (exchange,) = self.bench.log.seen
        return exchange

    @property
    def body(self) -> bytes:
        """What the client has of the body, chunks taken apart."""
        _, _, rest = self.wire.written.partition(b"\r\n\r\n")
        out = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            out, rest = out + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return out

    @property
    def events(self) -> list[Any]:
        """The events that it has."""
        return [read(raw) for raw in SSEParser(max_bytes=1 << 20).feed(self.body) if raw.startswith(b"data")]

    def check(self, test: Any, context: object = "") -> str:
        """One ending, everything given back; a stream that is one and whole, or visibly none.

        @return: the outcome.
        """
        exchange = self.exchange
        test.assertEqual(self.bench.exchanges.under_way, 0, context)
        for each in self.replicas:
            test.assertEqual(each.load.in_flight, 0, context)
        events = self.events
        said = [event for event in events if event and "choices" in event]
        errors = [event for event in events if event and "error" in event]
        text = text_of(said)
        test.assertEqual(len({(event["id"], event["created"], event["model"]) for event in said}), 1, context)
        test.assertLessEqual(sum("role" in c.get("delta", {}) for e in said for c in e["choices"]), 1, context)
        if exchange.outcome == "complete":
            test.assertEqual((text, errors), (self.whole, []), context)
            finishes = [c["finish_reason"] for e in said for c in e["choices"] if c.get("finish_reason")]
            test.assertEqual((finishes, events.count(None), events[-1]), (["length"], 1, None), context)
            test.assertTrue(self.wire.written.endswith(b"\r\n0\r\n\r\n"), context)
            usages = [event["usage"] for event in said if event.get("usage")]
            wanted = "stream_options" in self.asked
            test.assertEqual([usage["completion_tokens"] for usage in usages], [9] * wanted, context)
            test.assertEqual([u["prompt_tokens"] for u in usages], [1 if "messages" in self.asked else 2] * wanted)
        elif exchange.outcome != "abandoned":
            test.assertTrue(self.whole.startswith(text), context)
            test.assertFalse(self.wire.written.endswith(b"\r\n0\r\n\r\n"), context)
            test.assertTrue(errors and events[-1] in errors, (context, events[-1:]))
        test.assertNotIn(b'"token_ids":[', self.body if "return_token_ids" not in self.asked else b"")
        return str(exchange.outcome)


def read(raw: bytes) -> Any:
    """An event; C{None}: the last one."""
    data = raw.removeprefix(b"data:").strip()
    return None if data == b"[DONE]" else orjson.loads(data)


def text_of(events: list[Any]) -> str:
    """All that was said."""
    out = ""
    for event in events:
        for choice in event.get("choices", ()):
            out += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
    return out
