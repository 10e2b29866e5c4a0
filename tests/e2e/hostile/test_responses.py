"""Security's sections 1, 2 and 5, from the engine's side: what is wrong with a response, and where it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import chain

import orjson
import pytest

from tests.e2e.hostile.conftest import Rig
from tests.e2e.hostile.line import Answer, Line
from tests.e2e.hostile.origin import Script, Talk, chunked, whole
from tests.e2e.hostile.rows_responses import JSON, ODDITIES, SSE, STREAM, TABLES, Case

CASES = tuple(chain.from_iterable(TABLES))


def request(case: str, *, stream: bool = False, line: bytes = b"") -> bytes:
    """Asks what the engine will answer as the case says."""
    body = (
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
        if stream
        else b'{"model":"m"}'
    )
    path = b"/v1/chat/completions" if stream else b"/v1/completions"
    form = b"POST %b HTTP/1.1\r\nhost: gw\r\nx-case: %b\r\n%bcontent-length: %d\r\n\r\n%b"
    return form % (path, case.encode(), line, len(body), body)  # fmt: skip


def says(raw: bytes, end: str, done: threading.Event | None = None) -> Script:
    """An engine that writes this, whatever it is asked.

    @param done: set once the end is on its way, too.
    """

    def script(talk: Talk) -> None:
        talk.send(raw)
        if end == "rst":
            time.sleep(0.02)  # what was sent is to be read before the reset takes it away
            talk.reset()
        elif end == "fin":
            talk.finish()
        if done is not None:
            done.set()

    return script


def is_error(answer: Answer) -> bool:
    """Whether it is one that the gateway made."""
    return "code" in orjson.loads(answer.body)["error"]


def test_ids_are_different() -> None:
    """Each case can be named."""
    assert len({case.id for case in CASES}) == len(CASES) > 120


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_response(rig: Rig, case: Case) -> None:
    """What is broken is a 502, or a stream that visibly breaks off; what follows belongs to whoever asks next."""
    done = threading.Event()
    rig.origin.scripts[case.id] = says(case.raw, case.end, done)
    with Line(rig.daemon.port) as line:
        line.send(request(case.id, stream=case.stream))
        answer = line.answer("POST")
        assert (answer.status, answer.whole) == (case.status, case.whole), answer
        assert answer.interim == []
        if case.status == 502:
            assert is_error(answer)
        elif case.whole:
            assert answer.body == case.body
        if not case.whole:
            assert b'"error"' in answer.body.rpartition(b"data: ")[2], "the last event says that it broke off"
            assert line.drain() == b""
            return
        assert done.wait(10)  # nothing is sent twice here: not even what crosses a close on its way
        for number in range(3):  # on the same connection of the client's, and whichever of the engine's is used next
            line.send(request(f"{case.id}-after-{number}"))
            after = line.answer("POST")
            assert after.status == 200
            assert orjson.loads(after.body)["case"] == f"{case.id}-after-{number}", "the answer to another request"


#: Answers that are cut at every byte of them, and how the engine's connection ends there.
_SHAPES: dict[str, tuple[bytes, bool]] = {
    "length": (whole(JSON), False),
    "chunked": (chunked(JSON, 40), False),
    "close": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + JSON, False),
    "stream-chunked": (chunked(STREAM, 60, SSE), True),
    "stream-length": (whole(STREAM, SSE), True),
    "stream-close": (b"HTTP/1.1 200 OK\r\n" + SSE + b"\r\n" + STREAM, True),
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_truncation_at_every_byte(rig: Rig, shape: str) -> None:
    """However early an answer ends, its client sees that it did; and gets a 502 while it has nothing."""
    raw, stream = _SHAPES[shape]
    body = STREAM if stream else JSON
    hidden = []
    with _in_turn(rig.daemon.port) as ask:
        for at in range(len(raw)):
            case = f"trunc-{shape}-{at}"
            rig.origin.scripts[case] = says(raw[:at], "fin")
            answer = ask(request(case, stream=stream))
            if answer.status == 502:
                seen = answer.whole and is_error(answer)
            else:  # of a stream that ends by its close, what ends it is known to be its last event
                seen = stream and (not answer.whole or (shape == "stream-close" and body[:-2] in answer.body))
            if not seen:
                hidden.append((at, answer))
    assert hidden == []


class _in_turn:
    """Asks one after the other, on one connection for as long as it lasts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: Line | None = None

    def __enter__(self) -> _in_turn:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._line is not None:
            self._line.__exit__(None, None, None)

    def __call__(self, raw: bytes) -> Answer:
        line = self._line
        if line is None or line.ended:
            line = self._line = Line(self._port)
        line.send(raw)
        answer = line.answer("POST")
        if not answer.whole or answer.headers.get("connection") == "close":
            line.drain()
            line.__exit__(None, None, None)
            self._line = None
        return answer


def splits(raw: bytes) -> Iterator[int]:
    """Where it is cut in two: at every byte."""
    return iter(range(1, len(raw)))


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_stream_split_at_every_byte(rig: Rig, ends: bytes) -> None:
    """Wherever a stream is cut into two reads, it passes unchanged."""
    stream = STREAM.replace(b"\n", ends)
    head = b"HTTP/1.1 200 OK\r\n" + SSE + b"content-length: %d\r\n\r\n" % len(stream)
    with _in_turn(rig.daemon.port) as ask:
        for at in splits(stream):
            case = f"split-{ends.hex()}-{at}"

            def script(talk: Talk, at: int = at) -> None:
                talk.send(head + stream[:at])
                time.sleep(0.0005)
                talk.send(stream[at:])

            rig.origin.scripts[case] = script
            answer = ask(request(case, stream=True))
            assert (answer.status, answer.whole, answer.body) == (200, True, stream), at


@pytest.mark.parametrize(("case", "body"), ODDITIES, ids=[id for id, _ in ODDITIES])
def test_streams_pass_as_they_are(rig: Rig, case: str, body: bytes) -> None:
    """Whatever of the format an engine uses, or invents."""
    rig.origin.scripts[case] = says(chunked(body, 4000, SSE), "keep")
    with Line(rig.daemon.port) as line:
        line.send(request(case, stream=True))
        answer = line.answer("POST")
        assert (answer.status, answer.whole, answer.body) == (200, True, body)


@pytest.mark.parametrize("flood", ["line", "fields", "interim", "reason"])
def test_endless_head(rig: Rig, flood: str) -> None:
    """A head that does not end: 502 after 64 KiB at the most, and the engine's connection is closed."""
    start, more = {
        "line": (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1024),
        "fields": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 170),
        "interim": (b"", b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 30),
        "reason": (b"HTTP/1.1 200 ", b"y" * 1024),
    }[flood]
    taken: list[int] = []
    over = threading.Event()

    def script(talk: Talk) -> None:
        talk.send(start)
        while talk.sent < 8 << 20 and talk.send(more):
            time.sleep(0.0005)  # so that what is in the system's buffers does not count as read
        taken.append(talk.sent)
        over.set()

    rig.origin.scripts[f"endless-{flood}"] = script
    with Line(rig.daemon.port) as line:
        line.send(request(f"endless-{flood}"))
        answer = line.answer("POST")
    assert (answer.status, is_error(answer)) == (502, True)
    assert over.wait(10)
    assert taken[0] <= 2 * 65536, "64 KiB read, and what was on its way by then"


def test_deadlines(rig: Rig) -> None:
    """An engine that never answers, and one that stops amid its answer: 504, or the end of the stream; both at once."""
    rig.origin.scripts["up-never-answers"] = lambda talk: None
    rig.origin.scripts["up-stall-stream"] = says(chunked(STREAM, 60, SSE)[:-200], "keep")
    rig.origin.scripts["up-stall-document"] = says(whole(JSON)[:-1], "keep")
    lines = {case: Line(rig.daemon.port) for case in ("up-never-answers", "up-stall-stream", "up-stall-document")}
    try:
        for case, line in lines.items():
            line.send(request(case, stream="stream" in case))
        answers = {case: line.answer("POST") for case, line in lines.items()}
    finally:
        for line in lines.values():
            line.__exit__(None, None, None)
    assert {case: (answer.status, answer.whole) for case, answer in answers.items()} == {
        "up-never-answers": (504, True),
        "up-stall-stream": (200, False),
        "up-stall-document": (504, True),
    }
    assert b"upstream_timeout" in answers["up-stall-stream"].body


def test_abort_storm(rig: Rig) -> None:
    """A hundred clients leave amid their streams: the engine sees each of its connections closed."""
    gone: list[float] = []

    def script(talk: Talk) -> None:
        talk.send(chunked(STREAM, 60, SSE)[:-200])
        gone.append(talk.gone(10.0))

    rig.origin.scripts["abort-storm"] = script
    lines = [Line(rig.daemon.port) for _ in range(100)]
    for line in lines:
        line.send(request("abort-storm", stream=True))
    for line in lines:
        assert b"hi" in line.read() or b"hi" in line.read()
    for line in lines:
        line.reset()
    deadline = time.monotonic() + 10
    while len(gone) < 100 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert gone == [True] * 100
