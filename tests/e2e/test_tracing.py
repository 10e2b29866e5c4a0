"""Spans over the wire, to a receiver that decodes them, of real requests to engines that listen for what they are told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_twisted import ensureDeferred

from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.demo.speed import Speed
from aibrix_twisted.domain.settings import Retry, TracingSettings
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.wire.head import RequestHead
from tests.e2e.client import ask, chat, connect
from tests.e2e.harness import World
from tests.e2e.secure import SCHEME, TLS_LINE
from tests.otlp import Receiver, plain, tree

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "vendor=1"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that listens."""
    made = Receiver()
    yield made
    made.close()


def heads(world: World) -> list[RequestHead]:
    """What the engines are asked to generate from now on, in order."""
    seen: list[RequestHead] = []

    def listen(engine: DemoEngine) -> None:
        answer = engine.answer

        def listening(connection: Any, outlet: Any, fault: Any, head: RequestHead, body: bytes) -> None:
            if head.method == "POST":
                seen.append(head)
            answer(connection, outlet, fault, head, body)

        engine.answer = listening  # type: ignore[method-assign]

    for engine in world.engines:
        listen(engine)
    return seen


def attempts(spans: list[Span]) -> list[tuple[str, str, str, int]]:
    """Each attempt's replica, kind, outcome, and whether its span failed, in their order."""
    found = []
    for span in spans:
        if span.name.startswith("attempt "):
            said = plain(span.attributes)
            names = ("aibrix.replica", "aibrix.attempt.kind", "aibrix.attempt.outcome")
            found.append((*(said[name] for name in names), span.status.code))
    return found


@ensureDeferred
async def test_a_stream_with_a_retry(receiver: Receiver) -> None:
    """The client's trace goes through: its span above ours, the engines' each below the attempt that reached it."""
    tracing = TracingSettings(endpoint=receiver.url, sample=0.0)
    async with World(engines=2, policy="round-robin", retry=Retry(backoff=0.0), tracing=tracing) as world:
        seen = heads(world)
        request = chat(stream=True, stream_options={"include_usage": True})
        world.engines[0].faults.arm("cut=0")
        answer = await ask(world.port, "/v1/chat/completions", request, headers=SAMPLED)
        assert (answer.status, answer.headers["x-aibrix-attempts"]) == (200, "2")
        await ask(world.port, "/v1/chat/completions", chat())
        await world.until(world.settled)
        assert [exchange.trace_id for exchange in world.over] == [TRACE_ID, ""]
    spans = receiver.spans
    root, said = spans[0], plain(spans[0].attributes)
    assert tree(spans) == {
        "": ["chat demo-model"],
        "chat demo-model": ["route", "attempt e0", "route", "attempt e1"],
    }
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.trace_state) == (TRACE_ID, SPAN_ID, "vendor=1")
    assert (said["gen_ai.usage.output_tokens"], said["aibrix.outcome"], root.status.code) == (4, "complete", 0)
    assert [event.name for event in root.events] == ["read", "retry", "first_byte"]
    assert attempts(spans) == [("e0", "first", "truncated", 2), ("e1", "retry", "complete", 0)]
    told = [(head.fields.get(b"traceparent"), head.fields.get(b"tracestate")) for head in seen]
    of_attempts = [span.span_id.hex() for span in spans if span.name.startswith("attempt ")]
    assert told == [(f"00-{TRACE_ID}-{span_id}-01".encode(), b"vendor=1") for span_id in of_attempts] + [(None, None)]
    for span in spans:
        assert span.end_time_unix_nano >= span.start_time_unix_nano >= root.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert receiver.resource["service.name"] == "aibrix-gateway"


@ensureDeferred
async def test_a_client_that_leaves(receiver: Receiver) -> None:
    """Is an outcome, and no error."""
    tracing = TracingSettings(endpoint=receiver.url, sample=1.0)
    async with World(speed=Speed(prefill=0.0, decode=50.0), tracing=tracing) as world:
        client = await connect(world.port)
        client.request("/v1/chat/completions", chat(stream=True, tokens=1000)).addErrback(lambda _: None)
        await client.head()
        client.transport.abortConnection()
        await world.until(world.settled)
    root = receiver.spans[0]
    assert (plain(root.attributes)["aibrix.outcome"], root.status.code) == ("abandoned", 0)
    assert "error.type" not in plain(root.attributes)
    assert attempts(receiver.spans) == [("e0", "first", "abandoned", 0)]


@ensureDeferred
async def test_a_reload(receiver: Receiver) -> None:
    """Turns it on, changes its share, and turns it off, while the gateway serves."""
    async with World() as world:
        path = Path(tempfile.mkdtemp()) / "gateway.toml"
        world.gateway._source = Source(str(path), {})
        replica = f'[[replica]]\nname = "e0"\nurl = "{SCHEME}://127.0.0.1:{world.ports[0].getHost().port}"\n{TLS_LINE}'

        async def asked(tracing: str) -> None:
            path.write_text(f'admin = "none"\naccess_log.path = ""\n{replica}{tracing}')
            world.gateway.reload()
            await ask(world.port, "/v1/chat/completions", chat())
            await world.until(world.settled)

        await asked("")
        await asked(f'[tracing]\nendpoint = "{receiver.url}"\nsample = 1\n')
        await asked(f'[tracing]\nendpoint = "{receiver.url}"\nsample = 0\n')
        await asked(f'[tracing]\nendpoint = "{receiver.url}/custom"\nsample = 1\n')
        await asked("")
        await world.until(lambda: len(receiver.spans) == 6)
        metrics = world.gateway.metrics
        await world.until(lambda: metrics.spans_exported == 6)
        assert [bool(exchange.trace_id) for exchange in world.over] == [False, True, False, True, False]
        assert {path for path, *_ in receiver.requests} == {"/v1/traces", "/custom"}
        assert set(metrics.spans_dropped.values()) == {0}


@ensureDeferred
async def test_a_receiver_that_refuses(receiver: Receiver) -> None:
    """Requests are served as ever, and what is lost is counted."""
    receiver.status = 403
    async with World(tracing=TracingSettings(endpoint=receiver.url, sample=1.0)) as world:
        for _ in range(3):
            assert (await ask(world.port, "/v1/chat/completions", chat())).status == 200
        metrics = world.gateway.metrics
        await world.until(lambda: metrics.spans_dropped["failed"] == 9, 10.0)
        assert metrics.spans_exported == 0
