"""Counts in memory that several processes see; here several views of it are in one."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import ReplicaLoad
from aibrix_twisted.service.workers.board import PLACES, Board, board_bytes
from aibrix_twisted.service.workers.snapshots import unnamed_file


class BoardTests(SynchronousTestCase):
    """A supervisor, and workers."""

    def setUp(self) -> None:
        self.file = unnamed_file(board_bytes())
        self.addCleanup(os.close, self.file)
        self.supervisor = Board(self.file)

    def worker(self) -> tuple[Board, int]:
        """One more."""
        region = self.supervisor.take()
        assert region is not None
        return Board(self.file, region), region

    def test_a_lease_is_seen_by_others(self) -> None:
        """At once, and its end; nobody sees his own."""
        (one, _), (two, _) = self.worker(), self.worker()
        load = ReplicaLoad()
        load.cell = one.cell("gpu0")
        lease = load.lease("m")
        self.assertEqual(two.elsewhere("gpu0", two.peers()), 1)
        self.assertEqual(one.elsewhere("gpu0", one.peers()), 0)
        self.assertEqual(two.elsewhere("gpu1", two.peers()), 0)
        lease.release()
        self.assertEqual(two.elsewhere("gpu0", two.peers()), 0)
        load.recount({"m": 7})
        self.assertEqual(two.elsewhere("gpu0", two.peers()), 7)

    def test_several_add_up(self) -> None:
        """Each replica by itself, wherever it stands in each region."""
        boards = [self.worker()[0] for _ in range(4)]
        names = [f"gpu{number}" for number in range(50)]
        for place, board in enumerate(boards):
            for number, name in enumerate(names[place:] + names[:place]):
                cell = board.cell(name)
                assert cell is not None
                cell[0] = number + 1
        for place, name in enumerate(names):
            expected = sum((place - first) % 50 + 1 for first in (1, 2, 3))
            for _ in range(2):
                self.assertEqual(boards[0].elsewhere(name, boards[0].peers()), expected)

    def test_a_process_that_is_gone(self) -> None:
        """Takes what it had in flight with it; its region is another's only once its counts have been taken over."""
        (one, _), (two, region) = self.worker(), self.worker()
        cell = two.cell("gpu0")
        assert cell is not None
        cell[0] = 5
        self.assertEqual(one.elsewhere("gpu0", one.peers()), 5)
        self.supervisor.clear(region)
        self.assertEqual((one.peers(), one.others()), ([], [region]))
        self.assertEqual(one.elsewhere("gpu0", [region]), 0)
        self.assertNotEqual(self.supervisor.take(), region)
        self.supervisor.give_back(region)
        self.assertEqual(self.supervisor.take(), region)

    def test_a_successor_fills_its_region_otherwise(self) -> None:
        """Whoever remembers where something stood looks again."""
        (one, _), (two, region) = self.worker(), self.worker()
        for name in ("a", "b"):
            cell = two.cell(name)
            assert cell is not None
            cell[0] = 3
            one.elsewhere(name, one.peers())
        self.supervisor.clear(region)
        self.supervisor.give_back(region)
        self.assertEqual(self.supervisor.take(), region)
        cell = Board(self.file, region).cell("b")
        assert cell is not None
        cell[0] = 4
        self.assertEqual([one.elsewhere(name, one.peers()) for name in "ab"], [0, 4])
        one.forget({"b"})
        self.assertEqual(one.elsewhere("b", one.peers()), 4)

    def test_no_place_left(self) -> None:
        """Those beyond are counted by each process for itself."""
        board, _ = self.worker()
        for number in range(PLACES):
            self.assertIsNotNone(board.cell(str(number)))
        self.assertIsNone(board.cell("one more"))
