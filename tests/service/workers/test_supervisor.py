"""What a supervisor does about its workers, which are only said to be there."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.link import Words
from aibrix_twisted.service.workers import supervisor as room
from aibrix_twisted.service.workers.child import Child
from aibrix_twisted.service.workers.supervisor import ABORTS_S, FIRST_DELAY_S, HANGS_S, SETTLED_S, STARTS_S, Supervisor


class Said:
    """In a herald's place."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ready(self) -> None:
        self.lines.append("ready")

    def reloading(self) -> None:
        self.lines.append("reloading")

    def reloaded(self, note: str = "") -> None:
        self.lines.append(f"reloaded {note}".strip())

    def note(self, note: str) -> None:
        self.lines.append(f"note {note}".strip())

    def stopping(self) -> None:
        self.lines.append("stopping")


class Sockets:
    """Of nobody."""

    def __init__(self) -> None:
        self.kept = self.closed = 0

    def of(self, index: int) -> list[tuple[str, int]]:
        return []

    def keep(self) -> None:
        self.kept += 1

    def close(self) -> None:
        self.closed += 1


class Reactor(Clock):
    """May be stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.running = True

    def callWhenRunning(self, call: Any) -> None:
        call()

    def stop(self) -> None:
        self.running = False


class SupervisorTests(SynchronousTestCase):
    """Of two workers."""

    def setUp(self) -> None:
        self.started: list[Child] = []
        self.sent: list[tuple[Child, Words]] = []
        self.ended: list[Child] = []
        self.patch(Child, "start", lambda child, *_: self.started.append(child))
        self.patch(Child, "send", lambda child, words: self.sent.append((child, words)))
        self.patch(Child, "end", lambda child: self.ended.append(child))
        self.patch(room, "handle_signals", lambda *_, **__: None)
        self.reactor, self.sockets, self.said = Reactor(), Sockets(), Said()
        self.supervisor = Supervisor(self.reactor, 2, self.sockets, {})  # type: ignore[arg-type]
        self.addCleanup(os.close, self.supervisor._board_file)
        self.addCleanup(os.close, self.supervisor._snapshots)
        self.supervisor.begin(self.said)  # type: ignore[arg-type]
        self.one, self.two = self.started
        for child in (self.one, self.two):
            self.supervisor.heard(child, {"ready": True})
        self.sent.clear()

    def settle(self) -> None:
        """Let them grow old, alive."""
        for _ in range(round(SETTLED_S) + 1):
            self.reactor.advance(1.0)
            for child in (self.one, self.two):
                self.supervisor.heard(child, {"alive": [1, 2, 3]})

    def told(self) -> list[tuple[int, Words]]:
        """What was said to whom, by region."""
        sent, self.sent = self.sent, []
        return [(child.region, words) for child, words in sent]

    def test_ready_when_all_are(self) -> None:
        """And what is listened on is kept then."""
        self.assertEqual((self.said.lines, self.sockets.kept), (["ready"], 1))
        self.assertEqual([child.index for child in self.started], [0, 1])
        self.settle()
        self.assertEqual(self.supervisor.status(), "serving with 2 of 2 workers: 2 in flight, 2 of 3 replicas up")

    def test_what_one_tells_the_others_hear(self) -> None:
        """As it is, and not himself."""
        self.supervisor.heard(self.one, {"tell": {"anything": 1}})
        self.assertEqual(self.told(), [(self.two.region, {"told": {"anything": 1}})])

    def test_one_that_dies(self) -> None:
        """Is replaced at once; what it had counted goes to its successor, whose region is another until then."""
        self.settle()
        self.supervisor.ended(self.one, "signal 9")
        successor = self.started[2]
        self.assertEqual((successor.index, successor.region), (0, 2))
        self.assertEqual(self.told(), [(self.two.region, {"left": self.one.region})])
        self.supervisor.heard(successor, {"ready": True})
        self.assertEqual(
            self.told(), [(2, {"absorb": self.one.region}), (self.two.region, {"joined": successor.region})]
        )
        self.supervisor.heard(successor, {"absorbed": self.one.region})
        self.assertEqual(self.supervisor._board.take(), self.one.region)

    def test_one_that_dies_young(self) -> None:
        """Is replaced after a while, which grows."""
        for wait in (FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S):
            count = len(self.started)
            youngest = next(child for child in reversed(self.started) if child.index == 0)
            self.supervisor.ended(youngest, "exit code 1")
            self.reactor.advance(wait * 0.9)
            self.assertEqual(len(self.started), count)
            self.reactor.advance(wait * 0.2)
            self.assertEqual(len(self.started), count + 1)

    def test_one_that_hangs(self) -> None:
        """Is ended, and again, for good, if that does not do it; one that speaks is not."""
        for _ in range(round(HANGS_S) + 1):
            self.reactor.advance(1.0)
            self.supervisor.heard(self.two, {"alive": [0, 0, 0]})
        self.assertEqual(self.ended, [self.one])
        for _ in range(round(ABORTS_S) + 1):
            self.reactor.advance(1.0)
            self.supervisor.heard(self.two, {"alive": [0, 0, 0]})
        self.assertEqual(self.ended, [self.one] * 2)

    def test_a_machine_that_stands_still(self) -> None:
        """We look late then, and no worker is to blame."""
        self.reactor.advance(3 * HANGS_S)
        self.assertEqual(self.ended, [])
        for _ in range(round(HANGS_S) + 1):
            self.reactor.advance(1.0)
            self.supervisor.heard(self.two, {"alive": [0, 0, 0]})
        self.assertEqual(self.ended, [self.one])

    def test_one_that_never_begins(self) -> None:
        """Has longer."""
        self.settle()
        self.supervisor.ended(self.one, "signal 9")
        for _ in range(round(STARTS_S)):
            self.reactor.advance(1.0)
            self.supervisor.heard(self.two, {"alive": [0, 0, 0]})
        self.assertEqual(self.ended, [])
        self.reactor.advance(1.0)
        self.assertEqual(self.ended, [self.started[2]])

    def test_reload(self) -> None:
        """One after the other; the first reason is said; one that dies meanwhile is not waited for."""
        self.supervisor.reload()
        self.assertEqual(self.told(), [(self.one.region, {"reload": True})])
        self.supervisor.heard(self.one, {"reloaded": "not reloaded: x"})
        self.assertEqual(self.told(), [(self.two.region, {"reload": True})])
        self.supervisor.ended(self.two, "signal 9")
        self.assertEqual(self.said.lines, ["ready", "reloading", "reloaded not reloaded: x"])

    def test_replacing_them(self) -> None:
        """The next is only begun when the one before is ready; the old ones finish what they have."""
        self.supervisor.roll()
        self.supervisor.roll()
        self.assertEqual([child.index for child in self.started[2:]], [0])
        self.supervisor.heard(self.started[2], {"ready": True})
        self.assertIn((self.one.region, {"retire": True}), self.told())
        self.assertEqual([child.index for child in self.started[2:]], [0, 1])
        self.supervisor.heard(self.started[3], {"ready": True})
        self.assertTrue(self.one.retiring and self.two.retiring)
        self.told()
        self.supervisor.ended(self.one, "exit code 0")
        self.assertIn((self.started[2].region, {"absorb": self.one.region}), self.told())
        self.assertEqual(len(self.started), 4)
        self.assertEqual(self.said.lines, ["ready", "note"])

    def test_a_new_one_that_does_not_begin(self) -> None:
        """No further one is replaced."""
        self.supervisor.roll()
        self.supervisor.ended(self.started[2], "exit code 2")
        self.reactor.advance(60.0)
        self.assertEqual(len(self.started), 3)
        self.assertFalse(self.one.retiring)
        self.assertIn("worker 0: the new process ended with exit code 2", self.said.lines[-1])

    def test_one_that_is_asked_to_end(self) -> None:
        """Another one takes its place first; asked again meanwhile, there is not a third."""
        for _ in range(2):
            self.supervisor.heard(self.one, {"replace": True})
        self.assertEqual([child.index for child in self.started[2:]], [0])
        self.supervisor.heard(self.started[2], {"ready": True})
        self.assertIn((self.one.region, {"retire": True}), self.told())
        self.supervisor.heard(self.one, {"replace": True})
        self.assertEqual((len(self.started), self.said.lines), (3, ["ready"]))

    def test_one_that_dies_while_it_is_replaced(self) -> None:
        """Its heir is on its way already; should that die, too, there is another; and the next are replaced."""
        self.settle()
        self.supervisor.roll()
        self.supervisor.ended(self.one, "signal 9")
        self.assertEqual(len(self.started), 3)
        self.supervisor.heard(self.started[2], {"ready": True})
        self.assertEqual([child.index for child in self.started[3:]], [1])
        self.supervisor.ended(self.two, "signal 9")
        self.supervisor.ended(self.started[3], "exit code 1")
        self.assertIn("worker 1: the new process ended with exit code 1", self.said.lines[-1])
        self.reactor.advance(2 * FIRST_DELAY_S)
        self.assertEqual([child.index for child in self.started[4:]], [1])

    def test_stopping(self) -> None:
        """All are told; nobody is replaced; it ends with the last."""
        self.settle()
        self.supervisor.ended(self.two, "signal 9")
        self.told()
        self.supervisor.stop()
        self.assertEqual(self.told(), [(child.region, {"stop": True}) for child in (self.one, self.started[2])])
        self.assertEqual(self.sockets.closed, 1)
        self.supervisor.ended(self.one, "exit code 0")
        self.supervisor.roll()
        self.assertTrue(self.reactor.running)
        self.supervisor.ended(self.started[2], "exit code 0")
        self.reactor.advance(60.0)
        self.assertEqual((self.reactor.running, len(self.started)), (False, 3))
