"""What the process has, and what it may take."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.memory import memory_limit, resident_bytes


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


class MemoryLimitTests(SynchronousTestCase):
    """Configured, or the machine's."""

    def test_configured(self) -> None:
        """Taken as it is."""
        self.assertEqual(memory_limit(12345), 12345)

    def test_of_the_machine(self) -> None:
        """A quarter of what the kernel says."""
        with open("/proc/meminfo", encoding="ascii") as said:
            kilobytes = int(said.readline().split()[1])
        self.assertAlmostEqual(memory_limit(0) / (kilobytes * 1024 / 4), 1.0, delta=0.05)
