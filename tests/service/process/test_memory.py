"""What the process has."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.memory import resident_bytes


class MemoryTests(SynchronousTestCase):
    """resident_bytes."""

    def test_of_this_process(self) -> None:
        """A Python process has more than a megabyte, and less than a machine."""
        found = resident_bytes()
        assert found is not None
        self.assertTrue(1 << 20 < found < 1 << 40, found)

    def test_where_it_is_not_said(self) -> None:
        """No such file, or nothing in it: nothing is made up."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "statm")
            self.assertIsNone(resident_bytes(path))
            for text in ("", "12", "12 x"):
                path.write_text(text)
                self.assertIsNone(resident_bytes(path))
