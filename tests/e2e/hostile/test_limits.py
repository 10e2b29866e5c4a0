"""Security's section 6: how slow, how large, how many; and that the gateway outlives it."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from tests.e2e.hostile.conftest import Rig
from tests.e2e.hostile.daemon import ONCE, REACTORS, Daemon, until
from tests.e2e.hostile.line import Answer, Line
from tests.e2e.hostile.origin import Origin, Talk, whole
from tests.e2e.hostile.rows_limits import PATIENCE, SIZED, SLOW, Sized, Slow

GET = b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\n"

#: How late a deadline may be met: half a second by the wheel, and what a busy machine adds.
LATE_S = 3.0


def post(case: str) -> bytes:
    """A request that the engine will see as of this case."""
    body = b'{"model":"m"}'
    return b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\nx-case: %b\r\ncontent-length: 13\r\n\r\n%b" % (
        case.encode(),
        body,
    )


@pytest.fixture(scope="module", params=REACTORS)
def patience(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A gateway that has little of it."""
    origin = Origin()
    with Daemon(request.param, origin.port, PATIENCE) as daemon:
        yield Rig(daemon, origin)
    origin.close()


def test_ids_are_different() -> None:
    """Each case can be named."""
    assert len({case.id for case in (*SLOW, *SIZED)}) == len(SLOW) + len(SIZED)


def _try_patience(port: int, case: Slow) -> tuple[list[int], float, str]:
    """The statuses that came, when it ended, and how."""
    statuses = []
    with Line(port) as line:
        began = time.monotonic()
        line.send(case.first)
        next_s = began + case.every_s
        while not line.ended and time.monotonic() < began + 30:
            if select.select([line], [], [], max(0.0, next_s - time.monotonic()))[0]:
                line.rest += line.read()
            elif case.more:
                line.send(case.more)
                next_s = time.monotonic() + case.every_s
            else:
                next_s += case.every_s
        took = time.monotonic() - began
        while line.rest:
            statuses.append(line.answer().status)
    return statuses, took, line.ended


def test_slow_clients(patience: Rig) -> None:
    """Each is told what its time was up for, when it is up; nothing of any of them reaches the engine.  All at once."""
    with ThreadPoolExecutor(len(SLOW)) as threads:
        found = dict(zip(SLOW, threads.map(lambda case: _try_patience(patience.daemon.port, case), SLOW), strict=True))
    wrong = []
    for case, (statuses, took, ended) in found.items():
        told = statuses[-1:] == ([case.status] if case.status else [])
        in_time = case.after_s - 0.3 <= took <= case.after_s + LATE_S
        if not (told and ended and in_time):
            wrong.append((case.id, statuses, round(took, 2), ended))
    assert not wrong, wrong
    assert patience.origin.of("slow") == []
    assert patience.origin.strays == []


@pytest.mark.parametrize("case", SIZED, ids=[case.id for case in SIZED])
def test_sizes(patience: Rig, case: Sized) -> None:
    """As large as it may be it is served; larger it is refused, before it is read."""
    before = len(patience.origin.of("slow"))
    with Line(patience.daemon.port) as line:
        line.send(case.raw)
        answer = line.answer("POST")
        assert (answer.status, answer.whole) == (case.status, True)
        if case.status != 200:
            assert orjson.loads(answer.body)["error"]["code"] == "body_too_large"
            assert answer.headers["connection"] == "close"
    assert len(patience.origin.of("slow")) - before == (case.status == 200)


def test_requests_of_one_connection(patience: Rig) -> None:
    """The last that may be says so."""
    with Line(patience.daemon.port) as line:
        line.send(GET * 9)
        answers = [line.answer() for _ in range(7)]
        assert [answer.headers.get("connection") for answer in answers] == [None] * 6 + ["close"]
        assert line.drain() == b""


def test_age_of_a_connection(patience: Rig) -> None:
    """One that is old is closed after its answer, however busy it is."""
    with Line(patience.daemon.port) as line:
        answer = Answer()
        for _ in range(6):
            line.send(GET)
            answer = line.answer()
            assert answer.status == 200
            if answer.headers.get("connection") == "close":
                break
            time.sleep(0.7)
        assert answer.headers["connection"] == "close"
        assert line.drain() == b""


def test_a_client_that_takes_nothing(patience: Rig) -> None:
    """It is cut off, and its engine's connection with it."""
    gone: list[bool] = []

    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        while talk.send(b": " + b"x" * 65000 + b"\n\n"):
            pass
        gone.append(True)

    patience.origin.scripts["takes-nothing"] = script
    with Line(patience.daemon.port, receive_buffer=65536) as line:
        line.send(
            post("takes-nothing").replace(b'{"model":"m"}', b'{"model":"m","stream":true}').replace(b": 13", b": 27")
        )
        until(lambda: gone)


def test_nobody_answers_a_connect(patience: Rig) -> None:
    """A replica that is gone: 502 at once; that is back: served at once."""
    port = patience.origin.port
    patience.origin.close()
    with Line(patience.daemon.port) as line:
        line.send(post("refused"))
        assert line.answer("POST").status == 502
        patience.origin = _again(port)
        line.send(post("again"))
        assert line.answer("POST").status == 200


def _again(port: int) -> Origin:
    """One that listens where another did."""
    import socket

    origin = Origin()
    listening = socket.create_server(("127.0.0.1", port), backlog=64)
    old, origin._listening = origin._listening, listening
    threading.Thread(target=origin._accept, daemon=True).start()
    old.close()
    origin.port = port
    return origin


# -- how many --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=REACTORS)
def reactor(request: pytest.FixtureRequest) -> str:
    """Which."""
    return str(request.param)


def test_connections(reactor: str) -> None:
    """Those that are too many are told so; a flood of them is not even told; and when there is room, there is room."""
    origin = Origin()
    with Daemon(reactor, origin.port, ONCE + "[limits]\nconnections = 20\n") as daemon:
        until(lambda: daemon.metrics()["aibrix_gateway_client_connections"] == 0)
        lines = [Line(daemon.port) for _ in range(20)]
        for line in lines:
            line.send(GET)
            assert line.answer().status == 200
        more = [Line(daemon.port) for _ in range(2)]
        for line in more:
            answer = line.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert line.drain() == b""
        flood = [Line(daemon.port) for _ in range(30)]
        assert {line.answer().status for line in flood} <= {0, 503}
        assert daemon.metrics()['aibrix_gateway_clients_dropped_total{reason="flood"}'] > 0
        for line in lines:
            line.send(GET)
            assert line.answer().status == 200, "nobody who was there is hurt"
        for line in (*lines, *more, *flood):
            line.__exit__(None, None, None)
        until(lambda: daemon.metrics()["aibrix_gateway_client_connections"] == 0)
        with Line(daemon.port) as line:
            line.send(GET)
            assert line.answer().status == 200
    origin.close()


def test_connections_of_one_address(reactor: str) -> None:
    """As the settings say."""
    origin = Origin()
    with Daemon(reactor, origin.port, ONCE + "[limits]\nconnections_per_address = 5\n") as daemon:
        until(lambda: daemon.metrics()["aibrix_gateway_client_connections"] == 0)
        lines = [Line(daemon.port) for _ in range(6)]
        lines[5].send(GET)
        answer = lines[5].answer()
        assert (answer.status, b"127.0.0.1" in answer.body) == (503, True)
        lines[4].send(GET)
        assert lines[4].answer().status == 200
        for line in lines:
            line.__exit__(None, None, None)
    origin.close()


def test_descriptors(reactor: str) -> None:
    """With few file descriptors and many clients it goes on, and serves those that it has room for."""
    origin = Origin()
    with Daemon(reactor, origin.port, descriptors=256) as daemon:
        lines = [Line(daemon.port)]
        for _ in range(600):
            lines[0].send(GET)
            assert lines[0].answer().status == 200, "one who asks is not hurt by those who do not"
            lines.append(Line(daemon.port))
        lines[0].send(post("few"))
        answer = lines[0].answer("POST")
        descriptors = daemon.descriptors
        for line in lines:
            line.__exit__(None, None, None)
        assert (answer.status, descriptors < 256 - 64) == (200, True)
        until(lambda: daemon.metrics()["aibrix_gateway_client_connections"] == 0)
        with Line(daemon.port) as line:
            line.send(post("few"))
            assert line.answer("POST").status == 200
    origin.close()


def test_requests_at_once(reactor: str) -> None:
    """Too many are told so; what is under way is finished."""
    origin = Origin()
    go_on = threading.Event()

    def script(talk: Talk) -> None:
        go_on.wait(20)
        talk.send(whole(b"{}"))

    origin.scripts["waits"] = script
    with Daemon(reactor, origin.port, ONCE + "[limits]\nin_flight = 3\n") as daemon:
        lines = [Line(daemon.port) for _ in range(4)]
        for line in lines[:3]:
            line.send(post("waits"))
        origin.of("waits", 3)
        lines[3].send(post("one-more") + GET)
        refused = lines[3].answer("POST")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert orjson.loads(refused.body)["error"]["code"] == "too_many_requests"
        go_on.set()
        assert [line.answer("POST").status for line in lines[:3]] == [200] * 3
        for line in lines:
            line.__exit__(None, None, None)
    origin.close()


def test_pipelined_beyond_all_bounds(rig: Rig) -> None:
    """While a request is under way, of what follows it 64 KiB are read; the rest waits at the client's."""
    go_on = threading.Event()

    def script(talk: Talk) -> None:
        go_on.wait(20)
        talk.send(whole(b"{}"))

    rig.origin.scripts["first"] = script
    before = rig.daemon.resident_bytes
    with Line(rig.daemon.port) as line:
        line.send(post("first"))
        rig.origin.of("first", 1)
        sending = threading.Thread(target=lambda: line.send(GET * 600_000), daemon=True)
        sending.start()
        time.sleep(1.0)
        grown = rig.daemon.resident_bytes - before
        assert grown < 2 << 20
        go_on.set()
        assert line.answer("POST").status == 200
        assert line.answer().status == 200
        line.shut()
        sending.join()


def test_overload_is_shed(reactor: str) -> None:
    """Bodies that take long to read, one after the other: new work is refused for a moment, with a word on when to come
    again; a stream under way goes on, health is answered, and then all is as before."""
    origin = Origin()
    go_on = threading.Event()

    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n")
        go_on.wait(20)
        talk.send(b'data: {"choices":[{"index":0,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        talk.finish()

    origin.scripts["stream"] = script
    strict = ONCE + "[limits]\nreactor_lag = 0.05\n"
    with Daemon(reactor, origin.port, strict) as daemon, Line(daemon.port) as under_way, Line(daemon.port) as line:
        body = b'{"model":"m","stream":true}'
        under_way.send(post("stream").replace(b": 13", b": 27").replace(b'{"model":"m"}', body))
        begun = b""
        while b"data: 1" not in begun:
            begun += under_way.read()
        line.send(GET)
        assert line.answer().status == 200
        heavy = [Line(daemon.port) for _ in range(3)]
        body = b'{"model" :"m","x":[' + b"{}," * 3_000_000 + b'{}],"n":99}'
        head = b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\ncontent-length: %d\r\n\r\n" % len(body)
        for each in heavy:
            each.send(head + body[:-1])
        for each in heavy:
            each.send(body[-1:])
            assert each.answer("POST").status == 400
            each.__exit__(None, None, None)
        line.send(GET)
        assert line.answer().status == 200, "health is answered"
        line.send(post("new"))
        refused = line.answer("POST")
        assert (refused.status, refused.headers.get("retry-after")) == (503, "1"), refused
        assert orjson.loads(refused.body)["error"]["code"] == "gateway_overloaded"
        until(lambda: "new requests are taken again" in daemon.log)
        with Line(daemon.port) as later:
            later.send(post("later"))
            assert later.answer("POST").status == 200
        go_on.set()
        assert b"[DONE]" in under_way.drain()
        assert "new requests are refused: it does not keep up" in daemon.log
    origin.close()
