"""Security's section 6, JSON and routing: what of a body reaches the engine, and which headers."""

from __future__ import annotations

import socket
from base64 import b64encode

import orjson
import pytest

from tests.e2e.hostile.conftest import Rig
from tests.e2e.hostile.line import Line
from tests.e2e.hostile.origin import Talk, whole
from tests.e2e.hostile.rows_bodies import ANSWER_HEADERS, HEADERS, JSON, Case, Header

_FORM = b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\nx-case: %b\r\n%bcontent-length: %d\r\n\r\n%b"


def test_ids_are_different() -> None:
    """Each case can be named."""
    assert len({case.id for case in (*JSON, *HEADERS, *ANSWER_HEADERS)}) == len(JSON) + len(HEADERS) + len(
        ANSWER_HEADERS
    )


@pytest.mark.parametrize("case", JSON, ids=[case.id for case in JSON])
def test_body(rig: Rig, case: Case) -> None:
    """Router and engine read the same, or the engine reads nothing; the connection goes on."""
    name = f"{case.id}-{len(rig.origin.seen)}"
    with Line(rig.daemon.port) as line:
        line.send(_FORM % (name.encode(), case.lines, len(case.body), case.body))
        answer = line.answer("POST")
        assert (answer.status, answer.whole) == (case.status, True), answer
        if case.status == 200:
            assert [seen.body for seen in rig.origin.of(name, 1)] == [case.body], "as it came, to the last byte"
        else:
            error = orjson.loads(answer.body)["error"]
            assert case.words in error["message"]
            assert len(error["message"]) < 400
            assert rig.origin.of(name) == []
        if answer.headers.get("connection") != "close":
            line.send(b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\n")
            assert line.answer().status == 200


@pytest.mark.parametrize("case", HEADERS, ids=[case.id for case in HEADERS])
def test_header_to_the_engine(rig: Rig, case: Header) -> None:
    """Ours are ours, one connection's are that connection's, and the rest passes as it is."""
    name = f"{case.id}-{len(rig.origin.seen)}"
    with Line(rig.daemon.port) as line:
        line.send(_FORM % (name.encode(), case.lines, 13, b'{"model":"m"}'))
        assert line.answer("POST").status == 200
    (seen,) = rig.origin.of(name, 1)
    for header, value in case.kept.items():
        if value == b"OURS":
            assert 0 < len(seen.headers[header]) <= 128 and header + b": " + seen.headers[header] not in case.lines
        else:
            engine = b"127.0.0.1:%d" % rig.origin.port
            assert seen.headers.get(header) == (engine if value == b"ENGINE" else value)
        assert seen.names.count(header) == (value is not None)


@pytest.mark.parametrize("case", ANSWER_HEADERS, ids=[case.id for case in ANSWER_HEADERS])
def test_header_to_the_client(rig: Rig, case: Header) -> None:
    """The same the other way."""
    rig.origin.scripts[case.id] = lambda talk: _say(talk, whole(b"{}", case.lines))
    with Line(rig.daemon.port) as line:
        line.send(_FORM % (case.id.encode(), b"", 13, b'{"model":"m"}'))
        answer = line.answer("POST")
    assert answer.status == 200
    for header, value in case.kept.items():
        said = answer.headers.get(header.decode())
        if value == b"OURS":
            assert said is not None and header + b": " + said.encode() not in case.lines
        else:
            assert said == (None if value is None else value.decode())


def _say(talk: Talk, raw: bytes) -> None:
    talk.send(raw)


@pytest.mark.parametrize(
    "lines",
    [
        "host: {trap}\r\n",
        "host: gw\r\ntarget-pod: {trap}\r\n",
        "host: gw\r\nx-aibrix-replica: {trap}\r\n",
        "host: gw\r\nx-aibrix-target: http://{trap}/\r\n",
        "host: gw\r\nx-forwarded-host: {trap}\r\nx-original-url: http://{trap}/\r\nx-rewrite-url: /\r\n",
        "host: gw\r\nrouting-strategy: session-affinity\r\nx-session-id: {trap64}\r\n",
        "host: gw\r\nforwarded: host={trap};proto=http\r\n",
        "host: gw\r\nreferer: http://{trap}/\r\norigin: http://{trap}\r\n",
        "host: gw\r\nexternal-filter: host={name}\r\n",
    ],
    ids=["host", "target-pod", "replica", "target", "original-url", "session", "forwarded", "referer", "filter"],
)
def test_no_header_leads_elsewhere(rig: Rig, lines: str) -> None:
    """Wherever a client would have the gateway connect to, nobody comes there (SSRF)."""
    with socket.create_server(("127.0.0.1", 0)) as trap, Line(rig.daemon.port) as line:
        trap.settimeout(0.05)
        port = trap.getsockname()[1]
        address = f"127.0.0.1:{port}"
        session = b64encode(address.encode()).decode()
        head = lines.format(trap=address, trap64=session, name="trap").encode()
        line.send(
            b"POST /v1/completions HTTP/1.1\r\n"
            + head
            + b"x-case: ssrf\r\ncontent-length: 13\r\n\r\n"
            + b'{"model":"m"}'
        )
        assert line.answer("POST").status in (200, 503)
        with pytest.raises(TimeoutError):
            trap.accept()
