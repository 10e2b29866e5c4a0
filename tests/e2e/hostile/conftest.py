"""One daemon for each reactor, before one engine, for all cases that need no settings of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.hostile.daemon import ONCE, REACTORS, Daemon
from tests.e2e.hostile.origin import Origin

#: Deadlines that a test need not wait long for.
SHORT = ONCE + "[timeouts]\nfirst_byte = 2.0\nstall = 1.0\nclient_header = 30.0\n"


@dataclass
class Rig:
    """A gateway, and the engine behind it."""

    daemon: Daemon
    origin: Origin


@pytest.fixture(scope="session", params=REACTORS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The gateway on this reactor."""
    origin = Origin()
    with Daemon(request.param, origin.port, SHORT) as daemon:
        yield Rig(daemon, origin)
    origin.close()
