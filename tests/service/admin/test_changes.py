"""What has changed since one last looked."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.admin.changes import LISTED, Changes
from aibrix_twisted.service.telemetry.book import Book
from tests.service.admin.exchanges_of import complete, receiving
from tests.service.admin.listener import AdminState


class ChangesTests(SynchronousTestCase):
    """Changes."""

    def setUp(self) -> None:
        self.state = AdminState()
        self.book = self.state.book
        self.changes = Changes(self.state)

    def over(self, exchange: Exchange) -> None:
        """One that has begun is over."""
        exchange.stamps.ended = self.state.now
        self.book.over(exchange)

    def look(self) -> list[tuple[str, Any]]:
        return self.changes.look()

    def test_nothing(self) -> None:
        """What was there at the first look is no news."""
        self.book.begun(receiving())
        self.changes.begin()
        self.assertEqual(self.look(), [])

    def test_exchanges(self) -> None:
        """Begun, over, and both between two looks."""
        early = receiving("early")
        self.book.begun(early)
        self.changes.begin()
        both, late = receiving("both"), receiving("late")
        self.book.begun(both)
        self.book.begun(late)
        self.over(both)
        self.over(early)
        ((name, said),) = self.look()
        self.assertEqual(name, "requests")
        self.assertEqual(sorted(one["id"] for one in said["begun"]), ["both", "late"])
        self.assertEqual([one["id"] for one in said["over"]], ["both", "early"])
        self.assertEqual((said["under_way"], said["ended"], said["more"]), (1, 2, {"begun": 0, "over": 0}))
        self.assertEqual(self.look(), [])
        self.over(late)
        ((_, said),) = self.look()
        self.assertEqual(([one["id"] for one in said["over"]], said["begun"]), (["late"], []))

    def test_too_many(self) -> None:
        """Some are listed, and all are counted: those too that the book has forgotten."""
        self.state.book = book = Book(kept=LISTED // 2)
        self.changes.begin()
        for number in range(LISTED + 30):
            exchange = complete(str(number))
            book.begun(exchange)
            book.over(exchange)
        for number in range(LISTED):
            book.begun(receiving(f"r{number}"))
        ((_, said),) = self.look()
        self.assertEqual((len(said["begun"]), len(said["over"])), (LISTED, LISTED // 2))
        self.assertEqual(said["more"], {"begun": LISTED + 30, "over": LISTED // 2 + 30})
        self.assertEqual(self.look(), [])

    @settings(deadline=None)
    @given(st.lists(st.lists(st.sampled_from(["begin", "end"]), max_size=8), max_size=8), st.integers(1, 4))
    def test_none_is_lost_and_none_is_counted_twice(self, looks: list[list[str]], kept: int) -> None:
        """Whatever happens between looks: begun and over add up."""
        state = AdminState()
        state.book = book = Book(kept=kept)
        changes, begun, over = Changes(state), 0, 0
        changes.begin()
        total = 0
        for steps in looks:
            for step in steps:
                if step == "begin":
                    total += 1
                    book.begun(receiving(str(total)))
                elif book.current:
                    book.over(min(book.current, key=lambda exchange: exchange.id))
            for _, said in changes.look():
                begun += len(said["begun"]) + said["more"]["begun"]
                over += len(said["over"]) + said["more"]["over"]
            self.assertEqual((begun, over), (total, book.ended))

    def test_replicas(self) -> None:
        """What it is, what it was, and why; one that comes, and one that goes."""
        self.changes.begin()
        self.state.reactor.advance(1)
        self.state.desk.drain("gpu0", on=True)
        ((name, said),) = self.look()
        self.assertEqual(name, "replica")
        self.assertEqual(
            {key: said[key] for key in ("name", "state", "reason", "was")},
            {"name": "gpu0", "state": "draining", "reason": "by hand", "was": "up"},
        )
        self.state.desk.add({"url": "http://192.0.2.9:1", "name": "new"})
        ((_, said),) = self.look()
        self.assertEqual((said["name"], said["state"], said["was"]), ("new", "unknown", None))
        self.state.desk.remove("new")
        ((_, said),) = self.look()
        self.assertEqual((said["name"], said["state"], said["was"]), ("new", None, "unknown"))
        self.assertEqual(self.look(), [])

    def test_a_replica_that_is_back_already(self) -> None:
        """It was away between two looks: that is news."""
        self.changes.begin()
        self.state.reactor.advance(1)
        self.state.desk.eject("gpu0", on=True)
        self.state.desk.eject("gpu0", on=False)
        ((_, said),) = self.look()
        self.assertEqual((said["state"], said["was"]), ("up", "up"))

    def test_reloads_and_the_drain(self) -> None:
        """Each reload by what became of it; the drain once."""
        self.state.metrics.reloads["taken",] += 1
        self.changes.begin()
        self.state.metrics.reloads["taken",] += 2
        self.state.metrics.reloads["refused",] += 1
        self.state.draining = True
        names = [(name, said.get("outcome")) for name, said in self.look()]
        self.assertEqual(names, [("reload", "taken"), ("reload", "taken"), ("reload", "refused"), ("drain", None)])
        self.assertEqual(self.look(), [])

    def test_hello(self) -> None:
        """How things are."""
        self.book.begun(receiving())
        name, said = self.changes.hello()
        self.assertEqual((name, said["under_way"], said["ended"], said["draining"]), ("hello", 1, 0, False))
        self.assertEqual([one["name"] for one in said["replicas"]], ["gpu0", "gpu1"])
