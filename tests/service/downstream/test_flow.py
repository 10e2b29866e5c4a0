"""How a client keeps up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.buffer_sizes import AHEAD
from aibrix_twisted.domain.memory import Memory
from aibrix_twisted.service.downstream.flow import SHORT_AHEAD, Flow


class Transport:
    """As much of Twisted's as is looked at."""

    def __init__(self) -> None:
        self.dataBuffer = b""
        self.offset = 0
        self._tempDataLen = 0
        self.bufferSize = AHEAD


class FlowTests(SynchronousTestCase):
    """Of one client."""

    def setUp(self) -> None:
        self.transport = Transport()
        self.memory = Memory(1000)
        self.flow = Flow(self.transport, self.memory)

    def unsent(self, size: int) -> None:
        self.transport._tempDataLen = size

    def test_unsent(self) -> None:
        """What Twisted holds, in either of its places, less what it has sent of it."""
        self.transport.dataBuffer, self.transport.offset, self.transport._tempDataLen = b"x" * 10, 4, 5
        self.assertEqual(self.flow.unsent, 11)

    def test_a_transport_that_tells_nothing(self) -> None:
        """Nothing is known to be unsent."""
        self.assertEqual(Flow(object(), self.memory).unsent, 0)

    def test_speed(self) -> None:
        """Of the time in which it did not keep up."""
        self.unsent(500)
        self.flow.paused(7.0, 7.1)
        self.unsent(700)
        self.flow.paused(7.5, 7.6)
        self.assertEqual(self.flow.resumed(9.1), (500, 2.0))
        self.assertIsNone(self.flow.stalled_since)

    def test_what_is_kept_is_accounted(self) -> None:
        """Until the answer is over, or the client is gone."""
        self.unsent(4)
        self.flow.account(1, 2, 3)
        self.assertEqual(self.memory.by_kind, {"requests": 1, "answers": 2, "kept": 3, "unsent": 4})
        self.flow.over()
        self.assertEqual(self.memory.total, 0)
        self.flow.account(1, 2, 3)
        self.flow.clear()
        self.assertEqual(self.memory.total, 0)

    def test_while_memory_is_short(self) -> None:
        """Nothing is read ahead for whoever does not keep up; for others as before."""
        self.flow.limit(20_000)
        self.assertEqual(self.transport.bufferSize, 20_000)
        self.memory.share().set(0, 0, 0, 700)
        self.flow.account(0, 0, 0)
        self.assertEqual(self.transport.bufferSize, 20_000)
        self.unsent(1)
        self.flow.account(0, 0, 0)
        self.assertEqual(self.transport.bufferSize, SHORT_AHEAD)
        self.flow.over()
        self.assertEqual(self.transport.bufferSize, AHEAD)
        self.flow.limit(20_000)
        self.assertEqual(self.transport.bufferSize, SHORT_AHEAD)

    def too_slow(self, *steps: tuple[float, int, int]) -> list[bool]:
        """At these times, with so much given and so much of it unsent."""
        said = []
        for now, given, unsent in steps:
            self.unsent(unsent)
            said.append(self.flow.is_too_slow(now, given, rate=10, seconds=5.0))
        return said

    def test_too_slow(self) -> None:
        """All that time it took less than it should of what there was."""
        self.assertEqual(self.too_slow((0.0, 100, 100), (4.0, 120, 80), (5.0, 140, 91)), [False, False, True])

    def test_fast_enough(self) -> None:
        """In each such time."""
        self.assertEqual(self.too_slow((0.0, 100, 100), (5.0, 150, 100), (10.0, 199, 99)), [False] * 3)

    def test_nothing_to_take(self) -> None:
        """A client that waits for the engine is not slow."""
        self.assertEqual(self.too_slow((0.0, 9, 9), (4.0, 9, 0), (6.0, 19, 10), (10.0, 19, 10)), [False] * 4)
