"""An admin listener in memory, above a real fleet that nobody probes."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import orjson
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import ReplicaSettings, Settings
from aibrix_twisted.service.admin.changes import Changes
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.admin.events import Feed
from aibrix_twisted.service.admin.fleet import FleetDesk
from aibrix_twisted.service.admin.site import admin_site
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.discovery import Discovery
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.telemetry.book import Book
from aibrix_twisted.service.telemetry.recent import Recent
from tests.service.telemetry.test_metrics import State

HERE = IPv4Address("TCP", "127.0.0.1", 9090)

#: Of the configuration: one whose models are known, and one whose are not.
STATIC = (
    ReplicaSettings(name="gpu0", url="http://192.0.2.1:8000", models=("m",)),
    ReplicaSettings(name="gpu1", url="http://192.0.2.2:8000"),
)


class Said(NamedTuple):
    """An answer; names of header fields are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def document(self) -> Any:
        """The body's JSON."""
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """Of the error."""
        code: str = self.document["error"]["code"]
        return code


class AdminState(State):
    """What the pages read and change.

    @ivar refusal: why a reload is refused; C{None}: it is taken.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.ready = True
        self.admin_token = ""
        self.reloads = 0
        self.refusal: Denied | None = None
        self.reactor = MemoryReactorClock()
        self.discovery = Discovery(self.reactor, self.fleet_is, random.Random(1))
        self.discovery.configure(settings or Settings(replica=STATIC))
        self.keeper = self.discovery.keeper
        self.chooser = Chooser(settings or Settings(), random.Random(1), lambda: self.now)
        self.desk = FleetDesk(self.discovery, self.reactor.seconds)
        self.book = Book()
        self.draining = False
        self.elsewhere: list[Any] | None = None
        self.asked: list[tuple[str, Any]] = []
        self.uptime_s = 12.0
        self.rss_bytes = 1 << 26
        self.recent = Recent(self.reactor, self.metrics)
        self.feed = Feed(self.reactor, Changes(self))

    def ask_elsewhere(self, what: str, about: Any) -> Deferred[list[Any]] | None:
        """They know this of it; there are none, where they know nothing of anything."""
        if self.elsewhere is None:
            return None
        self.asked.append((what, about))
        return succeed(self.elsewhere)

    def facts_elsewhere(self) -> list[Any]:
        """There are no other processes."""
        return []

    def wall(self) -> float:
        """A minute after 2026 began, when C{now} is 10."""
        return 1767225600.0 + 50.0 + self.now

    def fleet_is(self, fleet: Fleet, catalogue: Catalogue) -> None:
        """From the keeper."""
        self.fleet = fleet

    def readiness(self) -> tuple[bool, bytes]:
        return self.ready, b'{"status":"x"}'

    def reload_for_api(self) -> dict[str, Any]:
        self.reloads += 1
        if self.refusal is not None:
            raise self.refusal
        return {"status": "reloaded", "replicas": 2}


class Listener:
    """Asked as a socket asks it."""

    def __init__(self, state: AdminState | None = None) -> None:
        self.state = state or AdminState()
        self.site = admin_site(self.state)

    def ask(
        self, method: bytes, path: bytes, body: Any = None, *lines: bytes, at: Any = HERE, host: bytes = b"gw:9090"
    ) -> Said:
        """Ask once.

        @param body: bytes are sent as they are, all else as JSON; C{None}: there is none.
        @param lines: of the head.
        @param at: the address that was connected to.
        """
        sent = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        if body is not None:
            lines = (*lines, b"content-length: %d" % len(sent))
        head = b"".join(line + b"\r\n" for line in (b"host: " + host, b"connection: close", *lines))
        return self.send(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, path, head, sent), at)

    def send(self, request: bytes, at: Any = HERE) -> Said:
        """The answer to these bytes, which must be a whole one."""
        transport = StringTransport(hostAddress=at)
        channel = self.site.buildProtocol(at)
        channel.makeConnection(transport)
        channel.dataReceived(request)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        assert transport.disconnecting, head
        fields = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
        return Said(int(head[9:12]), {name.lower(): value for name, _, value in fields}, body)
