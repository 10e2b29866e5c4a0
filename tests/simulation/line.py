"""One connection to a scripted engine, and how it answers: well, or as its fault wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from aibrix_twisted.demo.profiles import PROFILES
from tests.simulation.network import Event
from tests.simulation.served import Served
from tests.simulation.sockets import Socket
from tests.simulation.spelling import Piece, Question, stream_of, whole_of

if TYPE_CHECKING:
    from tests.simulation.engines import Engine


class Line:
    """One connection to an engine."""

    def __init__(self, engine: Engine, end: Socket) -> None:
        self._engine = engine
        self._end = end
        self._network = engine.network
        self._read = bytearray()
        self._unsent = bytearray()
        self._served: Served | None = None
        self._script: Iterator[float] | None = None
        self._event: Event | None = None
        self._blocked = False
        self._closing = False
        self._open = True
        self._idle: Event | None = None
        end.heard = self._heard
        end.roomy = self._send

    # -- bytes -----------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        try:
            while data := self._end.recv(65536):
                self._awake()
                self._read += data
        except BlockingIOError:
            self._requests()
            return
        except OSError:
            pass
        self._gone()

    def _requests(self) -> None:
        """Take the next request, if it is there whole."""
        end = self._read.find(b"\r\n\r\n")
        if end < 0 or self._script is not None or self._closing:
            return
        lines = self._read[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        if len(self._read) < end + 4 + size:
            return
        body = bytes(self._read[end + 4 : end + 4 + size])
        del self._read[: end + 4 + size]
        method, path, _ = lines[0].split(" ")
        self._start(self._document(path) if method == "GET" else self._generation(path, headers, body))

    def _put(self, data: bytes) -> None:
        self._unsent += data
        self._send()

    def _send(self) -> None:
        while self._unsent and self._open:
            try:
                sent = self._end.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self._gone()
                return
            del self._unsent[:sent]
        if self._blocked:
            self._blocked = False
            self._go_on()
        elif self._closing and self._open:
            self._lose()

    def _start(self, script: Iterator[float]) -> None:
        self._script = script
        self._go_on()

    def _go_on(self) -> None:
        self._event = None
        script = self._script
        if script is None:
            return
        if len(self._unsent) > 4096:
            self._blocked = True
            return
        seconds = next(script, None)
        if seconds is not None:
            self._event = self._network.after(seconds, self._go_on)
            return
        self._script = None
        served, self._served = self._served, None
        if served is not None:
            served.over_at = self._network.now
        if self._open and not self._closing:
            if not self._read:
                self._rest()
            self._requests()

    # -- life ------------------------------------------------------------------------------------------------

    def close(self, *, reset: bool) -> None:
        """From this side, at once or once everything is out."""
        if reset:
            self._lose(reset=True)
        elif self._open:
            self._closing = True
            if not self._unsent:
                self._lose()

    def _lose(self, *, reset: bool = False) -> None:
        if not self._open:
            return
        self._stop()
        if reset:
            self._end.reset()
        else:
            self._end.close()

    def _gone(self) -> None:
        if self._open:
            if self._served is not None:
                self._engine.note(f"loses its client beneath {self._served.id}")
            self._stop()
            self._end.close()

    def _stop(self) -> None:
        self._open = False
        self._awake()
        if self._event is not None:
            self._event.cancel()
        served, self._served, self._script = self._served, None, None
        if served is not None:
            served.gone_at = self._network.now
        self._engine.lines.pop(self, None)

    def _rest(self) -> None:
        self._idle = self._network.after(self._engine.habits.idle_s, lambda: self.close(reset=False))

    def _awake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    # -- what it says ----------------------------------------------------------------------------------------

    def _document(self, path: str) -> Iterator[float]:
        """A question about itself."""
        engine, habits = self._engine, self._engine.habits
        if engine.mode == "hung":
            yield 3600.0
            return
        yield engine.rng.uniform(0.0005, 0.004)
        if engine.mode == "stopping":
            self._put(_whole(503, b""))
        elif path == "/v1/models":
            owner = PROFILES[habits.profile].owner
            entries = [{"id": model, "object": "model", "created": 1, "owned_by": owner} for model in habits.models]
            self._put(_whole(200, orjson.dumps({"object": "list", "data": entries})))
        elif path == "/health":
            self._put(_whole(200, b"{}"))
        elif path == "/metrics" and habits.metrics:
            busy = sum(line._served is not None for line in engine.lines)
            page = f"# vllm\nvllm:num_requests_running {busy}.0\nvllm:num_requests_waiting 0.0\n"
            self._put(_whole(200, page.encode(), b"content-type: text/plain\r\n"))
        else:
            self._put(_whole(404, b"{}"))

    def _generation(self, path: str, headers: dict[str, str], body: bytes) -> Iterator[float]:
        engine, habits = self._engine, self._engine.habits
        fault = engine.fault()
        served = Served(engine.name, headers.get("x-request-id", ""), path, body, headers, self._network.now, fault)
        engine.served.append(served)
        self._served = served
        engine.note(f"is asked {served.id}{f', and will: {fault}' if fault else ''}")
        engine.on_request(served)
        yield engine.rng.uniform(*habits.prefill) * (20 if fault == "slow" else 1)
        try:
            asked = Question(path, orjson.loads(body))
        except orjson.JSONDecodeError:
            fault = "400"
        if fault in ("refuse_fin", "refuse_rst"):
            self.close(reset=fault == "refuse_rst")
        elif fault == "head_fin":
            self._put(b"HTTP/1.1 200 OK\r\ncontent-ty")
            self.close(reset=False)
        elif fault == "garbage":
            self._put(b"\x00\x15\x03\x01 no HTTP")
        elif fault == "hang":
            yield 3600.0
        elif fault[:3].isdigit():
            served.status = int(fault[:3])
            error = orjson.dumps({"error": {"message": f"asked to fail with {fault}", "code": served.status}})
            more = b"retry-after: 1\r\n" if "later" in fault else b""
            served.said = [Piece("text", error)]
            served.begun = served.finished = True
            self._put(_whole(served.status, error, more))
        else:
            served.status = 200
            yield from self._stream(asked, served) if asked.stream else self._at_once(asked, served)

    def _at_once(self, asked: Question, served: Served) -> Iterator[float]:
        fault, rng = served.fault, self._engine.rng
        body = whole_of(asked, f"cmpl-{served.id}")
        if fault == "bad_json":
            body = body[:-3]
        elif fault == "empty":
            body = b""
        wire = _whole(200, body, b"", close_delimited=fault in ("close_delimited", "close_cut"))
        served.begun = True
        if fault == "head_hang":
            self._put(wire[: wire.index(b"\r\n\r\n") + 4])
            yield 3600.0
        elif fault in ("cut_fin", "cut_rst", "close_cut", "hang_after"):
            self._put(wire[: rng.randrange(17, len(wire))])
            yield rng.uniform(0.0, 0.01)
            if fault == "hang_after":
                yield 3600.0
            self.close(reset=fault == "cut_rst")
        else:
            served.said = [Piece("text", body)]
            half = rng.randrange(len(wire))
            self._put(wire[:half])
            yield rng.uniform(0.0, 0.01)
            served.finished = True
            self._put(wire[half:] + {"extra": b"extra", "twice": wire}.get(fault, b""))
            if fault == "close_delimited":
                self.close(reset=False)

    def _stream(self, asked: Question, served: Served) -> Iterator[float]:
        fault, habits, rng = served.fault, self._engine.habits, self._engine.rng
        pieces = _faulty(
            stream_of(asked, PROFILES[habits.profile], f"cmpl-{served.id}-{self._engine.name}", habits.fuse), fault
        )
        chunked = fault not in ("close_delimited", "close_cut")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        if fault == "both_lengths":
            head += b"content-length: 10\r\n"
        if fault == "interim":
            head = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + head
        self._put(head + (b"transfer-encoding: chunked\r\n\r\n" if chunked else b"connection: close\r\n\r\n"))
        served.begun = True
        stops = fault in ("cut_fin", "cut_rst", "close_cut", "hang_after", "bad_chunk")
        last = rng.randrange(len(pieces)) if stops else len(pieces)
        if fault == "head_hang":
            yield 3600.0
        for index, piece in enumerate(pieces):
            wire = b"%x\r\n%b\r\n" % (len(piece.data), piece.data) if chunked else piece.data
            if index == last:
                # Who hangs before anything of its body came has not begun in time, which is no break.
                least = wire.find(piece.data) + 1 if fault == "hang_after" and not index else 0
                part = b"zz\r\n" if fault == "bad_chunk" else wire[: rng.randrange(least, len(wire))]
                if part.find(piece.data.rstrip() if piece.kind == "done" else piece.data) >= 0:
                    # what is missing is its framing, or the blank line after the last
                    served.said.append(piece)
                    served.finished = piece.kind == "done" and not chunked
                self._put(part)
                yield rng.uniform(0.0, 0.01)
                if fault in ("hang_after", "bad_chunk"):
                    yield 3600.0
                self.close(reset=fault == "cut_rst")
                return
            served.said.append(piece)
            self._put(wire)
            yield rng.uniform(*habits.gap)
        if fault == "no_last_chunk":
            self.close(reset=False)
            return
        served.finished = True
        if chunked:
            last_chunk = b"0\r\n\r\n"
            self._put(last_chunk + {"extra": b"extra", "twice": head + b"\r\n\r\n" + last_chunk}.get(fault, b""))
        if not chunked or PROFILES[habits.profile].closes_after_stream:
            self.close(reset=False)


def _faulty(pieces: list[Piece], fault: str) -> list[Piece]:
    """A stream that says something else."""
    half = max(1, len(pieces) // 2)
    done = Piece("done", b"data: [DONE]\n\n")
    if fault == "error_event":
        error = Piece("error", b'data: {"error":{"message":"EngineCore encountered an issue.","code":500}}\n\n')
        return [*pieces[:half], error, done]
    if fault == "early_done":
        return [*pieces[:half], done]
    if fault == "no_done":
        return [piece for piece in pieces if piece.kind != "done"]
    if fault == "unfinished":
        return [piece for piece in pieces if piece.kind != "finish"]
    if fault == "bad_json":
        return [Piece(piece.kind, piece.data[:-5] + b"\n\n") if piece.kind == "text" else piece for piece in pieces]
    return [] if fault == "empty" else pieces


def _whole(status: int, body: bytes, more: bytes = b"", *, close_delimited: bool = False) -> bytes:
    framing = b"connection: close\r\n" if close_delimited else b"content-length: %d\r\n" % len(body)
    head = b"HTTP/1.1 %d Status\r\ncontent-type: application/json\r\n%b%b\r\n" % (status, more, framing)
    return head + body
