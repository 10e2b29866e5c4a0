"""Security's section 5: what the gateway holds itself to beside a bare relay of bytes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.e2e.hostile.conftest import SHORT, Rig
from tests.e2e.hostile.daemon import REACTORS, Daemon, until
from tests.e2e.hostile.line import Line
from tests.e2e.hostile.origin import Origin, Talk
from tests.e2e.hostile.test_responses import request

_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 60000 + b'"}}]}\n\n'

#: Far more than any buffer on the way takes.
_FLOOD = 48 << 20


def _taken_while_stalled(port: int, origin: Origin, case: str) -> int:
    """How much of a flood an engine is rid of while the client reads nothing of it."""
    talks: list[Talk] = []

    def script(talk: Talk) -> None:
        talks.append(talk)
        talk.send(_STREAM)
        while talk.sent < _FLOOD and talk.send(_EVENT):
            pass

    origin.scripts[case] = script
    with Line(port) as line:
        line.send(request(case, stream=True))
        until(lambda: talks)
        sent, since = -1, time.monotonic()
        while time.monotonic() - since < 0.7:
            if talks[0].sent != sent:
                sent, since = talks[0].sent, time.monotonic()
            time.sleep(0.02)
        line.reset()
        return sent


def _relay(engine: int) -> tuple[socket.socket, int]:
    """Passes bytes on, 64 KiB at a time, and does nothing else."""
    listening = socket.create_server(("127.0.0.1", 0))

    def passes(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def serve() -> None:
        try:
            while True:
                client, _ = listening.accept()
                upstream = socket.create_connection(("127.0.0.1", engine))
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=passes, args=(source, sink), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    return listening, int(listening.getsockname()[1])


def test_a_stalled_client(rig: Rig) -> None:
    """No more is buffered for it than a bare relay buffers, and a megabyte: its engine is slowed down."""
    listening, port = _relay(rig.origin.port)
    try:
        bare = _taken_while_stalled(port, rig.origin, "stalled-bare")
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
    ours = _taken_while_stalled(rig.daemon.port, rig.origin, "stalled-ours")
    assert ours <= bare + (1 << 20), (ours, bare)


def test_events_are_not_held_back(rig: Rig) -> None:
    """Each event is at the client's before the next one is written."""
    arrived = threading.Semaphore(0)
    stuck: list[int] = []

    def script(talk: Talk) -> None:
        talk.send(_STREAM)
        for number in range(50):
            talk.send(b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number)
            if not arrived.acquire(timeout=5):
                stuck.append(number)
                return
        talk.send(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        talk.finish()

    rig.origin.scripts["flush"] = script
    with Line(rig.daemon.port) as line:
        line.send(request("flush", stream=True))
        seen, counted = b"", 0
        while b"[DONE]" not in seen and not line.ended and not stuck:
            seen += line.read(6.0)
            for _ in range(seen.count(b"data: {") - counted):
                counted += 1
                arrived.release()
    assert (stuck, counted) == ([], 51)


def test_no_request_is_sent_twice(rig: Rig) -> None:
    """An engine that takes it and closes got it once; the client is told."""
    rig.origin.scripts["taken"] = lambda talk: talk.finish()
    with Line(rig.daemon.port) as line:
        line.send(request("taken"))
        assert line.answer("POST").status == 502
    time.sleep(0.2)
    assert len(rig.origin.of("taken", 1)) == 1


@pytest.fixture(params=REACTORS)
def reactor(request: pytest.FixtureRequest) -> str:
    """Which."""
    return str(request.param)


def test_a_black_hole(reactor: str) -> None:
    """An engine whose connects nobody answers: an error at the connect's deadline."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        fillers = [_connecting(port) for _ in range(4)]
        with Daemon(reactor, port, SHORT + "connect = 1.0\n", ready=False) as daemon, Line(daemon.port) as line:
            began = time.monotonic()
            line.send(request("hole"))
            assert line.answer("POST").status == 502
            assert 0.5 < time.monotonic() - began < 6
        for filler in fillers:
            filler.close()


def _connecting(port: int) -> socket.socket:
    """Takes a place in a queue that is to be full."""
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", port))
    return filler
