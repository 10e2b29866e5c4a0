"""Security's sections 1 and 2, from the client's side: smuggling, and whatever else is wrong with a request's bytes."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.e2e.hostile.conftest import Rig
from tests.e2e.hostile.line import Line
from tests.e2e.hostile.rows_requests import BODY, SMUGGLED, TABLES, Case

CASES = tuple(chain.from_iterable(TABLES))


def test_ids_are_different() -> None:
    """Each case can be named."""
    assert len({case.id for case in CASES}) == len(CASES) > 300


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_request(rig: Rig, case: Case) -> None:
    """One answer to each request there is, and no request that there is not; an error of framing is the end."""
    name = f"{case.id}-{len(rig.origin.seen)}"
    mark = b"x-case: %b\r\n" % name.encode()
    closes = case.statuses[-1] >= 400 and case.id != "reflect-uri"
    closes = closes or b"HTTP/1.0" in case.raw or b"close" in case.raw.lower()
    with Line(rig.daemon.port) as line:
        line.send(case.raw.replace(b"@@", mark) + (SMUGGLED.replace(b"@@", mark) if closes else b""))
        answers = [line.answer() for _ in case.statuses]
        assert tuple(answer.status for answer in answers) == case.statuses, answers
        assert all(answer.whole for answer in answers)
        if closes:
            assert answers[-1].headers["connection"] == "close"
            assert line.drain() == b"", "nothing follows the last answer"
            assert line.ended == "fin", "the client has the answer before the connection ends"
        else:
            line.send(b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\n")
            assert line.answer().body == b'{"status":"ok"}'
            assert line.rest == b""
    for answer in answers:
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/json"
    reached = [answer for answer in answers if name.encode() in answer.body]
    seen = rig.origin.of(name, len(reached))
    assert [request.body for request in seen] == [BODY] * len(reached), "each that came is one that was answered"
    assert not any(b"x-smuggled" in request.headers for request in seen)
    assert rig.origin.strays == [], "the engine got what is no request"


@pytest.mark.parametrize("case", [case for case in CASES if case.statuses == (200,)], ids=lambda case: case.id)
def test_accepted_however_it_is_cut(rig: Rig, case: Case) -> None:
    """What is taken whole is taken in two as well, wherever it is cut; some cuts of each, and different ones."""
    raw = case.raw
    for number, at in enumerate(range(1, len(raw), max(1, len(raw) // 7))):
        name = f"{case.id}-cut{number}-{len(rig.origin.seen)}"
        mark = b"x-case: %b\r\n" % name.encode()
        with Line(rig.daemon.port) as line:
            whole = raw.replace(b"@@", mark)
            line.send(whole[:at])
            line.send(whole[at:])
            answer = line.answer()
            assert answer.status == 200, (at, answer)
        assert rig.origin.strays == []
