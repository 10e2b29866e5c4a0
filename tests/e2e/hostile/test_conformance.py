"""No request that nginx and HAProxy both refuse is accepted; each case of ours is put to all three."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from tests.e2e.hostile.conftest import Rig
from tests.e2e.hostile.line import Line
from tests.e2e.hostile.origin import Origin
from tests.e2e.hostile.proxies import Proxy, found
from tests.e2e.hostile.rows_requests import TABLES, Case

CASES = tuple(case for case in chain.from_iterable(TABLES) if len(case.statuses) == 1)


@pytest.fixture(scope="module")
def verdicts() -> Iterator[dict[str, dict[str, bool]]]:
    """By proxy and case: whether a request of it reached the engine."""
    missing = [kind for kind in ("nginx", "haproxy") if found(kind) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)}: not installed (Debian: apt-get install nginx-light haproxy)")
    origin = Origin()
    accepted: dict[str, dict[str, bool]] = {}
    for kind in ("nginx", "haproxy"):
        with Proxy(kind, origin.port) as proxy, ThreadPoolExecutor(16) as threads:
            done = threads.map(lambda case, kind=kind, port=proxy.port: _reaches(port, origin, kind, case), CASES)
            accepted[kind] = dict(zip((case.id for case in CASES), done, strict=True))
    yield accepted
    origin.close()


def _reaches(port: int, origin: Origin, kind: str, case: Case) -> bool:
    """Whether the proxy took it for a request: an answer of the engine's, or a request at the engine."""
    name = f"{kind}-{case.id}"
    with Line(port) as line:
        line.send(case.raw.replace(b"@@", b"x-case: %b\r\n" % name.encode()))
        answer = line.answer(seconds=4.0)
        return answer.status == 200 or bool(origin.of(name))


def test_what_both_refuse(rig: Rig, verdicts: dict[str, dict[str, bool]]) -> None:
    """We refuse, too: with an error, and nothing of it reaches the engine."""
    refused = [case for case in CASES if not (verdicts["nginx"][case.id] or verdicts["haproxy"][case.id])]
    assert len(refused) > 80, "the proxies are not asked what we think they are"
    taken = {case.id for case in refused if _reaches(rig.daemon.port, rig.origin, "ours", case)}
    assert taken <= set(_LARGER), taken


def test_what_one_refuses(verdicts: dict[str, dict[str, bool]]) -> None:
    """What of it we take is known, each with its reason."""
    ours = {case.id for case in CASES if case.statuses == (200,)}
    for kind, taken in verdicts.items():
        alone = {id for id in ours if not taken[id]}
        assert alone <= {*_TAKEN_ALONE, *_LARGER}, (kind, alone)


#: Taken by us and refused by one of the two.
_TAKEN_ALONE = {
    "smug-cl-ows": "nginx takes no tab before a value; RFC 9110 §5.6.3 has it as space",
    "smug-te-ows": "the same",
    "chunk-trailer-framing": "HAProxy refuses such trailers; we drop all of them unread",
}

#: What is too large for their buffers as they come, and not for ours.
_LARGER = {"hdr-line-16k": "8 KiB and 15 KiB there, 16 KiB here"}
