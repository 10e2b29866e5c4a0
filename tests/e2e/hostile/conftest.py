"""One daemon for each reactor, before one engine, for all cases that need no settings of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.hostile.daemon import ONCE, REACTORS, Daemon, until
from tests.e2e.hostile.line import Line
from tests.e2e.hostile.origin import Origin

#: Deadlines that a test need not wait long for.
SHORT = ONCE + "[timeouts]\nfirst_byte = 2.0\nstall = 1.0\nclient_header = 30.0\n"


@dataclass
class Rig:
    """A gateway, and the engine behind it."""

    daemon: Daemon
    origin: Origin


#: Each reactor, without TLS and with it.
KINDS = {f"{reactor}{'-tls' * secure}": (reactor, secure) for secure in (False, True) for reactor in REACTORS}


@pytest.fixture(scope="session", params=KINDS.values(), ids=KINDS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The gateway on this reactor."""
    origin = Origin()
    reactor, secure = request.param
    with Daemon(reactor, origin.port, SHORT, secure=secure) as daemon:
        _warm_up(daemon)
        descriptors, resident = daemon.descriptors, daemon.resident_bytes
        yield Rig(daemon, origin)
        until(lambda: daemon.descriptors <= descriptors + 2)
        assert daemon.resident_bytes - resident < 16 << 20, "memory that all cases together have cost"
    origin.close()


def _warm_up(daemon: Daemon) -> None:
    """What is made with the first requests stays."""
    for _ in range(50):
        with Line(daemon.port) as line:
            line.send(b"GET /v1/models HTTP/1.1\r\nhost: gw\r\n\r\n")
            assert line.answer().status == 200
