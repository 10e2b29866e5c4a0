"""Documents that others read while they are written."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.workers.snapshots import (
    STRETCH_BYTES,
    clear_snapshot,
    read_snapshot,
    unnamed_file,
    write_snapshot,
)


class SnapshotTests(SynchronousTestCase):
    """In one file."""

    def setUp(self) -> None:
        self.file = unnamed_file(3 * STRETCH_BYTES)
        self.addCleanup(os.close, self.file)

    def test_each_has_its_own(self) -> None:
        """A newer one takes the place of the one before, whichever is longer; one that is cleared is none."""
        self.assertIsNone(read_snapshot(self.file, 0))
        for number, document in enumerate(({"a": 1}, {"a": [2] * 1000}, {"b": 3}), 1):
            self.assertTrue(write_snapshot(self.file, 1, number, document))
            self.assertEqual(read_snapshot(self.file, 1), document)
        write_snapshot(self.file, 2, 1, [])
        clear_snapshot(self.file, 1)
        self.assertEqual([read_snapshot(self.file, region) for region in range(3)], [None, None, []])

    def test_one_that_was_not_written_to_its_end(self) -> None:
        """The one before it stands; what was never meant to be one is none."""
        write_snapshot(self.file, 0, 1, {"a": 1})
        write_snapshot(self.file, 0, 2, {"a": "x" * 100})
        os.pwrite(self.file, b"y", 50)
        self.assertEqual(read_snapshot(self.file, 0), {"a": 1})
        for start in (0, STRETCH_BYTES // 2):
            os.pwrite(self.file, b"\xff" * 24, start)
        self.assertIsNone(read_snapshot(self.file, 0))

    def test_one_that_is_too_long(self) -> None:
        """Is not written over its neighbour's."""
        write_snapshot(self.file, 0, 1, 1)
        self.assertFalse(write_snapshot(self.file, 0, 2, "x" * (STRETCH_BYTES // 2)))
        self.assertEqual(read_snapshot(self.file, 0), 1)
