"""Readers of events: each is told everything, or how much it has missed; nothing grows for any."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.admin import events
from aibrix_twisted.service.admin.changes import Changes
from aibrix_twisted.service.admin.events import HEARTBEAT_S, LOOK_S, PATIENCE_S, READERS, Feed
from tests.service.admin.exchanges_of import receiving
from tests.service.admin.listener import HERE, AdminState, Listener


class Connection(StringTransport):
    """A reader's socket.

    @ivar cut: it was aborted.
    """

    cut = False

    def __init__(self, listener: Listener, query: bytes = b"", version: bytes = b"1.0") -> None:
        """@param version: of HTTP; 1.0 has no chunks, and ends with its connection."""
        super().__init__(hostAddress=HERE)
        self.channel = listener.site.buildProtocol(HERE)
        self.channel.makeConnection(self)
        self.channel.dataReceived(b"GET /api/events%b HTTP/%b\r\nhost: gw:9090\r\n\r\n" % (query, version))

    def abortConnection(self) -> None:
        self.cut = True
        self.leave()

    def leave(self) -> None:
        """The reader is gone."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    def full(self) -> None:
        """It takes nothing for now."""
        assert self.producer is not None
        self.producer.pauseProducing()

    def room(self) -> None:
        """It does again."""
        assert self.producer is not None
        self.producer.resumeProducing()

    def events(self) -> list[tuple[str, Any]]:
        """What has come since this was last asked."""
        body = self.value().rpartition(b"\r\n\r\n")[2]
        self.clear()
        blocks = [block.split(b"\n") for block in body.split(b"\n\n") if block]
        return [(name.decode().removeprefix("event: "), orjson.loads(data[6:])) for name, data in blocks]


class FeedTests(SynchronousTestCase):
    """C{/api/events}."""

    def setUp(self) -> None:
        self.state, self.clock = AdminState(), Clock()
        self.state.feed = self.feed = Feed(self.clock, Changes(self.state))
        self.listener = Listener(self.state)

    def happen(self, id: str = "x") -> None:
        """One event."""
        self.state.book.begun(receiving(id))

    def tick(self, seconds: float = LOOK_S) -> None:
        """So much time."""
        self.clock.pump([LOOK_S] * round(seconds / LOOK_S))

    def test_head(self) -> None:
        """A stream that nobody in between keeps, and that begins with how things are."""
        connection = Connection(self.listener, version=b"1.1")
        head = connection.value().partition(b"\r\n\r\n")[0].lower()
        for line in (b"http/1.1 200 ok", b"content-type: text/event-stream; charset=utf-8", b"cache-control: no-store",
                     b"x-accel-buffering: no", b"transfer-encoding: chunked"):  # fmt: skip
            self.assertIn(line, head)
        self.assertEqual([name for name, _ in Connection(self.listener).events()], ["hello"])

    def test_head_only(self) -> None:
        """HEAD has no stream."""
        said = self.listener.ask(b"HEAD", b"/api/events")
        self.assertEqual((said.status, said.body, self.feed.readers), (200, b"", 0))

    def test_what_happens(self) -> None:
        """All readers are told, within a quarter of a second; each batch is encoded once."""
        first, second = Connection(self.listener), Connection(self.listener)
        for connection in (first, second):
            connection.events()
        encoded = []
        self.patch(events, "encoded", lambda event, original=events.encoded: encoded.append(event) or original(event))
        self.happen()
        self.tick()
        for connection in (first, second):
            ((name, said),) = connection.events()
            self.assertEqual((name, [one["id"] for one in said["begun"]]), ("requests", ["x"]))
        self.assertEqual(len(encoded), 1)
        self.tick()
        self.assertEqual((first.value(), second.value()), (b"", b""))

    def test_nobody_looks_where_nobody_reads(self) -> None:
        """The clock runs for the first reader, and until the last."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        first, second = Connection(self.listener), Connection(self.listener)
        first.leave()
        self.assertEqual((self.feed.readers, len(self.clock.getDelayedCalls())), (1, 1))
        second.leave()
        self.assertEqual((self.feed.readers, self.clock.getDelayedCalls()), (0, []))
        self.happen()
        third = Connection(self.listener)
        self.tick()
        self.assertEqual([name for name, _ in third.events()], ["hello"], "what was before is in hello")

    def test_heartbeat(self) -> None:
        """A connection on which nothing happens is shown to be alive."""
        connection = Connection(self.listener)
        connection.clear()
        self.tick(HEARTBEAT_S)
        self.assertIn(b": still here\n\n", connection.value())
        connection.clear()
        self.tick(HEARTBEAT_S - LOOK_S)
        self.assertEqual(connection.value(), b"")

    def test_a_slow_reader(self) -> None:
        """It is sent nothing while it is full, and then how much it has missed; the others notice nothing."""
        slow, quick = Connection(self.listener), Connection(self.listener)
        slow.clear(), quick.clear()
        slow.full()
        for number in range(3):
            self.happen(str(number))
            self.tick()
        self.assertEqual((slow.value(), len(quick.events())), (b"", 3))
        slow.room()
        self.happen("last")
        self.tick()
        (name, missed), (_, said) = slow.events()
        self.assertEqual((name, missed), ("skipped", {"events": 3}))
        self.assertEqual([one["id"] for one in said["begun"]], ["last"])

    def test_a_reader_that_takes_nothing(self) -> None:
        """It is cut after half a minute."""
        connection = Connection(self.listener)
        connection.full()
        self.tick(PATIENCE_S)
        self.assertFalse(connection.cut)
        self.tick()
        self.assertTrue(connection.cut)
        self.assertEqual(self.feed.readers, 0)

    def test_for_so_long(self) -> None:
        """With C{seconds} it ends as it should, and the connection is good for more."""
        connection = Connection(self.listener, b"?seconds=1", b"1.1")
        self.tick(0.75)
        self.assertNotIn(b"\r\n0\r\n\r\n", connection.value())
        self.tick()
        self.assertTrue(connection.value().endswith(b"\r\n0\r\n\r\n"))
        self.assertEqual((self.feed.readers, connection.disconnecting), (0, False))

    def test_too_many_readers(self) -> None:
        """503, and those that there are go on."""
        for _ in range(READERS):
            Connection(self.listener)
        said = self.listener.ask(b"GET", b"/api/events")
        self.assertEqual((said.status, said.code), (503, "too_many_readers"))
        self.assertEqual(self.feed.readers, READERS)

    def test_what_is_wrong(self) -> None:
        """400 as elsewhere."""
        for query in (b"?seconds=0", b"?seconds=x", b"?second=1"):
            self.assertEqual(self.listener.ask(b"GET", b"/api/events" + query).status, 400)
        self.assertEqual(self.feed.readers, 0)

    def test_stop(self) -> None:
        """The gateway stops: every stream ends whole."""
        connections = [Connection(self.listener, version=b"1.1") for _ in range(3)]
        self.feed.stop()
        self.assertEqual((self.feed.readers, self.clock.getDelayedCalls()), (0, []))
        for connection in connections:
            self.assertTrue(connection.value().endswith(b"\r\n0\r\n\r\n"))
