"""A simulated engine: its paths, its places, and what it counts."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from aibrix_twisted.demo import answers
from aibrix_twisted.demo.asked import LIMITS, Generation, Refused, document_of, generation_of
from aibrix_twisted.demo.connection import DemoConnection
from aibrix_twisted.demo.faults import Fault, Faults, UnknownFault
from aibrix_twisted.demo.flood import Flood
from aibrix_twisted.demo.job import Job
from aibrix_twisted.demo.metrics import exposition
from aibrix_twisted.demo.outlet import Outlet
from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.demo.speed import PrefixCache, Speed
from aibrix_twisted.demo.text import vector, words_of
from aibrix_twisted.wire.head import RequestHead

#: How long an engine that stalls when it is told to end keeps its streams open.
STALL_S = 30.0

_JSON = (b"content-type", b"application/json")
_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass(slots=True)
class Stats:
    """What happened so far; C{running} and C{waiting} are now."""

    connections: int = 0
    requests: int = 0
    running: int = 0
    waiting: int = 0
    finished: int = 0
    cancelled: int = 0
    malformed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0


class DemoEngine:
    """One engine.  C{factory} makes its connections.

    @ivar seen: the newest request: its head and its body, for tests.
    @ivar well: what it says of its health; unwell, it computes nothing.
    @ivar models_status: what C{GET /v1/models} is answered with.
    @ivar ending: it was told to.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        name: str = "demo",
        models: Sequence[str] = ("demo-model",),
        speed: Speed | None = None,
        profile: str = "vllm",
        seed: int = 0,
        api_key: str = "",
        context: int = 0,
        echo_request_id: bool = False,
    ) -> None:
        """
        @param api_key: asked for on C{/v1}; empty: nobody is asked.
        @param context: tokens of prompt and answer together, at most; 0: no bound.
        @param echo_request_id: a request's C{x-request-id} is a header of its answer.
        """
        self.clock = reactor
        self.name = name
        self.models = tuple(models)
        self.speed = speed or Speed()
        self.profile = PROFILES[profile]
        self.faults = Faults()
        self.stats = Stats()
        self.lot = random.Random(seed)
        self.open: set[DemoConnection] = set()
        self.seen: tuple[RequestHead, bytes] | None = None
        self.well = True
        self.models_status = 200
        self.ending = False
        self.echo_request_id = echo_request_id
        self.factory = Factory.forProtocol(lambda: DemoConnection(self))
        self.factory.noisy = False
        self._seed = seed
        self._authorization = f"Bearer {api_key}".encode() if api_key else b""
        self._context = context
        self._prefixes = PrefixCache()
        self._running: set[Job] = set()
        self._waiting: deque[Job] = deque()
        self._busy_with: set[Job] = set()
        self._put_off: list[tuple[Outlet, bytes]] = []
        self._ports: list[IListeningPort] = []
        self._all_left: Deferred[None] | None = None

    def listen(self, port: int = 0, interface: str = "127.0.0.1") -> IListeningPort:
        """Serve on an address; port 0 is any free one."""
        listening: IListeningPort = self.clock.listenTCP(port, self.factory, backlog=1024, interface=interface)
        self._ports.append(listening)
        return listening

    async def stop(self) -> None:
        """Serve no more: streams under way are cut."""
        await self._deaf()
        for connection in tuple(self.open):
            connection.transport.abortConnection()

    async def terminate(self) -> None:
        """End as the profile's engine does when it is told to; done when every connection is closed."""
        self.ending = True
        await self._deaf()
        for job in tuple(self._running):
            if self.profile.on_term == "cut":
                job.cut()
            elif self.profile.on_term == "stall":
                job.stall(STALL_S)
            elif self.profile.on_term == "done" and job.streamed:
                job.end_early(2, answers.DONE)
        for connection in tuple(self.open):
            if connection.idle:
                connection.transport.loseConnection()
        if self.open:
            self._all_left = Deferred()
            await self._all_left

    def left(self, connection: DemoConnection) -> None:
        """A connection is closed."""
        self.open.discard(connection)
        waiting = self._all_left
        if waiting is not None and not self.open:
            self._all_left = None
            waiting.callback(None)

    async def _deaf(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)

    # -- requests --------------------------------------------------------------------------------------------

    def answer(self, connection: DemoConnection, outlet: Outlet, fault: Fault, head: RequestHead, body: bytes) -> None:
        """Answer a request."""
        self.seen = (head, body)
        self.stats.requests += 1
        if "refuse_bytes" in fault:
            outlet.close(reset=False)
        elif "hang" in fault:
            connection.gone = self._hung_up
        elif "status" in fault:
            self._send_status(outlet, fault["status"])
        else:
            try:
                self._route(connection, outlet, fault, head, body)
            except Refused as refused:
                self.refuse(outlet, refused)

    def refuse(self, outlet: Outlet, refused: Refused) -> None:
        """Answer with an error."""
        self._send(outlet, answers.error_of(refused, self.profile), status=refused.status)

    def _route(self, connection: DemoConnection, outlet: Outlet, fault: Fault, head: RequestHead, body: bytes) -> None:
        method_path = (head.method, head.path.decode("latin-1"))
        if self._authorization and head.path.startswith(b"/v1/"):
            if head.fields.get(b"authorization") != self._authorization:
                raise Refused(401, "Unauthorized", body=b'{"error":"Unauthorized"}')
        match method_path:
            case ("POST", "/v1/chat/completions" | "/v1/completions" as path):
                asked = self._asked(document_of(body), chat=path == "/v1/chat/completions")
                self._generate(connection, outlet, fault, asked)
            case ("POST", "/v1/embeddings"):
                self._send(outlet, self._embeddings(document_of(body)), fault=fault)
            case ("POST", "/tokenize"):
                words = words_of(document_of(body).get("prompt") or document_of(body).get("messages"))
                self._send(outlet, orjson.dumps({"count": len(words), "tokens": list(range(len(words)))}))
            case ("POST", "/detokenize"):
                self._send(outlet, orjson.dumps({"prompt": " ".join(map(str, document_of(body).get("tokens", [])))}))
            case ("GET", "/v1/models") if self.models_status == 200:
                self._send_when_free(outlet, self._models())
            case ("GET", "/v1/models"):
                raise Refused(self.models_status, "the list cannot be made", "InternalServerError")
            case ("GET", "/health") if self.well:
                self.stats.generated_tokens += self.profile.health_generates
                self._send_when_free(outlet, b"")
            case ("GET", "/health"):
                raise Refused(503, "Service Unavailable", "ServiceUnavailable")
            case ("GET", "/version"):
                self._send(outlet, b'{"version":"demo"}')
            case ("GET", "/metrics"):
                self._send(outlet, exposition(self), kind=(b"content-type", b"text/plain; version=0.0.4"))
            case (_, "/demo/faults"):
                self._send(outlet, self._faults(head.method, body))
            case _:
                raise Refused(404, "Not Found", "NotFoundError")

    def _asked(self, document: dict[str, Any], *, chat: bool) -> Generation:
        known = self.profile.knows_fields
        unknown = sorted(document.keys() - known) if known is not None else []
        if unknown:
            raise Refused(422, f"unexpected fields: {', '.join(unknown)}")
        limits = LIMITS if self.profile.knows_max_completion_tokens else ("max_tokens",)
        asked = generation_of(document, chat=chat, limits=limits)
        if not self.well:
            raise Refused(500, "EngineCore is dead.", "InternalServerError")
        count = len(asked.prompt) + asked.tokens
        if 0 < self._context < count:
            body = (self.profile.overflow % (count, self._context)).encode()
            raise Refused(400, "the prompt is too long", body=body)
        if self.profile.checks_model and asked.model not in self.models:
            raise Refused(404, f"The model `{asked.model}` does not exist.", "NotFoundError")
        return asked

    def _embeddings(self, document: dict[str, Any]) -> bytes:
        inputs = document.get("input")
        texts = inputs if isinstance(inputs, list) else [inputs]
        data = [
            {"object": "embedding", "index": index, "embedding": vector(self._seed, words_of(text))}
            for index, text in enumerate(texts)
        ]
        count = len(words_of(inputs))
        usage = {"prompt_tokens": count, "total_tokens": count}
        return orjson.dumps({"object": "list", "data": data, "model": document.get("model"), "usage": usage})

    def _models(self) -> bytes:
        data = [
            {"id": name, "object": "model", "created": answers.CREATED, "owned_by": self.profile.owner, "root": name}
            for name in (self.models if self.profile.lists_models else ())
        ]
        return orjson.dumps({"object": "list", "data": data})

    def _faults(self, method: str, body: bytes) -> bytes:
        if method == "DELETE":
            self.faults.clear()
        elif method == "POST":
            document = document_of(body)
            try:
                self.faults.arm(
                    str(document.get("fault", "")),
                    count=int(document.get("count", 1)),
                    every=int(document.get("every", 1)),
                )
            except UnknownFault as error:
                raise Refused(400, str(error)) from None
        return orjson.dumps({"armed": self.faults.waiting()})

    # -- generation ------------------------------------------------------------------------------------------

    def _generate(self, connection: DemoConnection, outlet: Outlet, fault: Fault, asked: Generation) -> None:
        self.stats.prompt_tokens += len(asked.prompt)
        cached = self._prefixes.cached(asked.prompt) if self.speed.prefix_cache else 0
        self.stats.cached_tokens += cached
        id = f"{'chatcmpl' if asked.chat else 'cmpl'}-{self.name}-{self.stats.requests:x}"
        whole_s = 0.0
        profile = self.profile
        if "no_text" in fault:
            asked, profile = replace(asked, tokens=0), replace(profile, first_delta="")
        if profile.serial:
            for running in tuple(self._running):
                if running.streamed:
                    running.end_early(0, answers.DONE)
        self.well = self.well and "dies" not in fault
        if asked.stream:
            fuse, hollow = max(1, fault.get("fuse", 1)), "hollow" in fault
            events = answers.stream_of(asked, profile, id, self._seed, cached, fuse=fuse, hollow=hollow)
            pieces, length = _faulty(events, fault), None
        else:
            body = answers.whole_of(asked, profile, id, self._seed, cached)
            body = body[:-7] if "malformed_json" in fault else b"" if "empty_body" in fault else body
            pieces, length = [body], len(body)
            whole_s = asked.tokens * self.speed.token_s
        headers = [_STREAM if asked.stream else _JSON]
        if self.profile.keep_alive_header:
            headers.append((b"keep-alive", self.profile.keep_alive_header.encode()))
        if asked.stream and self.profile.closes_after_stream:
            outlet.close_after()

        def begin() -> None:
            self.stats.generated_tokens += asked.tokens * asked.choices
            outlet.head(200, headers, length)
            if "flood" in fault:
                Flood(connection.transport, self.clock, outlet, pieces[1], b"".join(pieces[-2:]), fault["flood"])

        job = Job(
            self,
            outlet,
            prefill_s=self.speed.prefill_s(len(asked.prompt) - cached),
            whole_s=whole_s,
            events=pieces,
            begin=begin,
            hang_after=0 if "flood" in fault else fault.get("hang_after", -1),
            streamed=asked.stream,
        )
        connection.gone = job.cancel
        if "busy" in fault:
            self._busy_with.add(job)
        if len(self._running) < self.speed.batch:
            self._start(job)
        else:
            self._waiting.append(job)
            self.stats.waiting += 1

    def _start(self, job: Job) -> None:
        self._running.add(job)
        self.stats.running += 1
        job.start()

    def job_over(self, job: Job, *, cancelled: bool) -> None:
        """From a job: its place is free."""
        if job in self._running:
            self._running.discard(job)
            self.stats.running -= 1
        elif job in self._waiting:
            self._waiting.remove(job)
            self.stats.waiting -= 1
        else:
            return
        self._busy_with.discard(job)
        if not self._busy_with:
            put_off, self._put_off = self._put_off, []
            for outlet, body in put_off:
                if not outlet.over:
                    self._send(outlet, body)
        if cancelled:
            self.stats.cancelled += 1
        else:
            self.stats.finished += 1
        if self._waiting and len(self._running) < self.speed.batch:
            self.stats.waiting -= 1
            self._start(self._waiting.popleft())

    def _hung_up(self) -> None:
        self.stats.cancelled += 1

    # -- sending ---------------------------------------------------------------------------------------------

    def _send_when_free(self, outlet: Outlet, body: bytes) -> None:
        """At once, unless there is a request that keeps the engine from it."""
        if not self._busy_with:
            self._send(outlet, body)
        else:
            self._put_off.append((outlet, body))

    def _send(
        self,
        outlet: Outlet,
        body: bytes,
        *,
        status: int = 200,
        kind: tuple[bytes, bytes] = _JSON,
        fault: Fault | None = None,
    ) -> None:
        if fault:
            body = body[:-7] if "malformed_json" in fault else b"" if "empty_body" in fault else body
        outlet.head(status, [kind], len(body))
        outlet.piece(body)
        outlet.end()

    def _send_status(self, outlet: Outlet, status: int) -> None:
        body = answers.error_of(Refused(status, f"asked to fail with {status}", "DemoFault"), self.profile)
        headers = [_JSON, (b"retry-after", b"1")] if status in (429, 503) else [_JSON]
        outlet.head(status, headers, len(body))
        outlet.piece(body)
        outlet.end()


def _faulty(events: list[bytes], fault: Fault) -> list[bytes]:
    """A stream's events, as the fault wants them."""
    if "no_done" in fault:
        events = [event for event in events if event != answers.DONE]
    if "early_done" in fault:
        events = [*events[: max(1, len(events) // 2)], answers.DONE]
    if "error_event" in fault or "dies" in fault:
        error = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
        events = [*events[: max(1, len(events) // 2)], b"data: %b\n\n" % orjson.dumps(error), answers.DONE]
    if "malformed_json" in fault:
        events = [event[:-9] + b"\n\n" if event != answers.DONE else event for event in events]
    if "empty_body" in fault:
        events = []
    if "merge" in fault:
        events = _merged(events, max(1, fault["merge"]))
    for name, end in (("crlf", b"\r\n"), ("cr", b"\r")):
        if name in fault:
            events = [re.sub(rb"\n", end, event) for event in events]
    return events


def _merged(events: list[bytes], count: int) -> list[bytes]:
    """So many events a write, as engines do that are faster than their writes."""
    return [b"".join(events[at : at + count]) for at in range(0, len(events), count)]
