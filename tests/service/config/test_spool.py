"""Where answers for slow clients would go."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.service.config.load import ConfigError, Source
from aibrix_twisted.service.config.spool import spool_faults


class SpoolFaultTests(SynchronousTestCase):
    """What is senseless, and what cannot be."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, self.folder)

    def faults(self, **limits: Any) -> dict[str, str]:
        """By key."""
        limits = {"slow_client": "spool", "client_read_rate": 1000, "spool_dir": self.folder, **limits}
        return {str(place[-1]): what for place, what in spool_faults(Limits(**limits))}

    def test_what_can_be(self) -> None:
        """Nothing is left in the folder."""
        self.assertEqual(self.faults(), {})
        self.assertEqual(self.faults(spool_bytes=1 << 20, spool_total_bytes=1 << 20), {})
        self.assertEqual(os.listdir(self.folder), [])

    def test_where_it_is_not_wanted(self) -> None:
        """No folder is looked at."""
        self.assertEqual(self.faults(slow_client="cut", client_read_rate=0, spool_dir="/nowhere"), {})

    def test_nobody_is_slow(self) -> None:
        """Without a rate it would never be used."""
        self.assertIn("found 0, expected a number above 0", self.faults(client_read_rate=0)["client_read_rate"])

    def test_bounds(self) -> None:
        """Of one above that of all."""
        found = self.faults(spool_bytes=1 << 20, spool_total_bytes=(1 << 20) - 1)
        self.assertEqual(
            found, {"spool_total_bytes": "found 1048575, expected a number not below spool_bytes, which is 1048576"}
        )

    def test_folders(self) -> None:
        """None, a file, one that nothing can be written to, and one that is full."""
        for folder, why in (
            ("/nowhere", "No such file or directory"),
            (__file__, "Not a directory"),
            ("/proc", ""),
        ):
            found = self.faults(spool_dir=folder)
            self.assertEqual(list(found), ["spool_dir"], folder)
            self.assertIn(
                f"found {folder!r}, expected a directory in which files can be written ({why}", found["spool_dir"]
            )

    def test_in_a_file(self) -> None:
        """Each is named by its line and key, and what is in bounds by type, too."""
        path = Path(tempfile.mkdtemp()) / "gateway.toml"
        path.write_text('[limits]\nslow_client = "spool"\nspool_dir = "/nowhere"\nspool_bytes = 0\n')
        error = self.assertRaises(ConfigError, Source(str(path), {}).load)
        self.assertEqual([problem.partition("gateway.toml")[2] for problem in error.problems],
                         [":4: limits.spool_bytes: found 0, expected a number not below 65536"])  # fmt: skip
        path.write_text('[limits]\nslow_client = "spool"\nspool_dir = "/nowhere"\nclient_read_rate = 9\n')
        (problem,) = self.assertRaises(ConfigError, Source(str(path), {}).load).problems
        self.assertIn(":3: limits.spool_dir: found '/nowhere', expected a directory", problem)
        path.write_text('[limits]\nslow_client = "drop"\n')
        (problem,) = self.assertRaises(ConfigError, Source(str(path), {}).load).problems
        self.assertIn("limits.slow_client: found \"drop\", expected one of 'cut' or 'spool'", problem)
