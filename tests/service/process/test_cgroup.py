"""Memory that is granted, as the system says it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.cgroup import memory_groups, memory_share


class CgroupTests(SynchronousTestCase):
    """Of files as cgroup v2 has them."""

    def setUp(self) -> None:
        """A tree: the process is in C{a/b}; C{a} is bounded, C{b} is not, and the root has no such file."""
        self.root = Path(tempfile.mkdtemp())
        self.own = self.root / "self"
        self.own.write_text("0::/a/b\n")
        self.cgroups = self.root / "cgroup"
        (self.cgroups / "a" / "b").mkdir(parents=True)
        self.tell("a", "1000", "600", "anon 400\ninactive_file 100\n")
        self.tell("a/b", "max", "500", "anon 400\n")

    def tell(self, group: str, most: str, current: str, stat: str) -> None:
        """What a group says."""
        place = self.cgroups / group
        (place / "memory.max").write_text(f"{most}\n")
        (place / "memory.current").write_text(f"{current}\n")
        (place / "memory.stat").write_text(stat)

    def share(self) -> float:
        """As it is now."""
        return memory_share(memory_groups(self.cgroups, self.own))

    def test_the_group_that_has_least_left(self) -> None:
        """Its own or one around it; files' pages that are not used do not count."""
        self.assertEqual(self.share(), 0.5)
        self.tell("a/b", "625", "500", "inactive_file 0\n")
        self.assertEqual(self.share(), 0.8)

    def test_nothing_is_bounded(self) -> None:
        """Where no group says a number."""
        self.tell("a", "max", "600", "")
        self.assertEqual(self.share(), 0.0)

    def test_there_is_nothing_to_read(self) -> None:
        """Other systems, cgroup v1, and groups that go away."""
        self.assertEqual(memory_groups(self.cgroups, self.root / "none"), ())
        self.own.write_text("4:memory:/a\n")
        self.assertEqual(memory_groups(self.cgroups, self.own), ())
        self.assertEqual(memory_share((self.root / "gone",)), 0.0)
        self.tell("a", "nonsense", "x", "")
        self.assertEqual(memory_share((self.cgroups / "a",)), 0.0)
