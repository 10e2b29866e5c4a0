"""L{aibrix_twisted.service.process.build}."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted import __version__
from aibrix_twisted.service.process import build


class BuildTests(SynchronousTestCase):
    """What is said of it."""

    def test_both(self) -> None:
        """By the kind of file that a compiled room comes from."""
        with mock.patch.object(build.head, "__file__", "/x/head.py"):
            self.assertEqual(build.version(), f"{__version__} (interpreted)")
        with mock.patch.object(build.head, "__file__", "/x/head.cpython-311-x86_64-linux-gnu.so"):
            self.assertEqual(build.version(), f"{__version__} (compiled)")
