"""An exchange that is over is freed at once: none of its parts holds another in a circle."""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import ResponseAssembly
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.run import Run
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post
from tests.service.exchange.healed import CHAT, Healed
from tests.wire.streams import DONE

PARTS = (Run, Attempt, ResponseAssembly)


def left() -> list[str]:
    """The parts that there are."""
    return sorted(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, PARTS))


def whole(up: UpstreamConnection, upwire: Wire, wire: Wire) -> None:
    """An answer."""
    up.dataReceived(answer())


def stream(up: UpstreamConnection, upwire: Wire, wire: Wire) -> None:
    """A stream, to its end."""
    up.dataReceived(STREAM_HEAD + chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'))
    up.dataReceived(chunk(DONE.encode()) + b"0\r\n\r\n")


def broken(up: UpstreamConnection, upwire: Wire, wire: Wire) -> None:
    """The engine dies."""
    up.dataReceived(STREAM_HEAD + chunk(b'data: {"choices":[]}\n\n'))
    upwire.lose(clean=False)


def client_gone(up: UpstreamConnection, upwire: Wire, wire: Wire) -> None:
    """Nobody waits for it any more."""
    wire.lose()


class GarbageTests(SynchronousTestCase):
    """Without the collector.  What it alone can free grows old first, and every exchange is new memory."""

    def setUp(self) -> None:
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def test_nothing_is_left(self) -> None:
        """However it ended."""
        endings: tuple[Callable[[UpstreamConnection, Wire, Wire], None], ...] = (whole, stream, broken, client_gone)
        for ending in endings:
            before = left()
            bench = Bench()
            client, wire = bench.client()
            client.dataReceived(post())
            up, upwire = bench.upstream()
            self.assertNotEqual(left(), before, "an exchange is under way")
            ending(up, upwire, wire)
            self.assertEqual(bench.exchanges.under_way, 0)
            self.assertEqual(left(), before, ending.__name__)

    def test_nothing_is_left_of_a_healed_one(self) -> None:
        """Nor of one that could not be."""
        for asked, said in ((CHAT, 3), ({**CHAT, "tools": [{}]}, 3), (CHAT, 10)):
            before = left()
            healed = Healed(asked)
            first = healed.next()
            first.say(*first.events[:said], head=True)
            first.wire.lose()
            if healed.waiting:
                second = healed.next()
                second.say(*second.events, head=True, end=True)
                del second
            self.assertEqual(healed.bench.exchanges.under_way, 0)
            del first, healed
            self.assertEqual(left(), before)
