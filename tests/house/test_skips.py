"""Where CI is true, nothing is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import ROOT

_SKIPS = """
import pytest
from twisted.trial.unittest import SkipTest, SynchronousTestCase

class Tests(SynchronousTestCase):
    def test_skips(self):
        raise SkipTest("no such thing here")

def test_skips():
    pytest.skip("nor here")

@pytest.mark.xfail(strict=True)
def test_fails_as_expected():
    assert False
"""

_MODULE_SKIPS = """
import pytest
pytest.skip("the whole file", allow_module_level=True)
"""


class SkipTests(SynchronousTestCase):
    """tests/conftest.py."""

    def _last_line(self, program: str, ci: str) -> str:
        with tempfile.TemporaryDirectory() as place:
            Path(place, "test_it.py").write_text(program)
            done = subprocess.run(
                (sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", place),
                cwd=place,
                env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        return done.stdout.strip().rpartition("\n")[2]

    def test_a_skip_is_a_failure_in_ci(self) -> None:
        """A test that skips fails there, of either kind; one that is expected to fail does not."""
        self.assertRegex(self._last_line(_SKIPS, "true"), r"2 failed, 1 xfailed")

    def test_a_skip_is_a_skip_elsewhere(self) -> None:
        """On a machine that lacks something, the rest is still tested."""
        self.assertRegex(self._last_line(_SKIPS, ""), r"2 skipped, 1 xfailed")

    def test_a_skipped_file_is_a_failure_in_ci(self) -> None:
        """A file that skips itself when it is read does not go unseen either."""
        self.assertRegex(self._last_line(_MODULE_SKIPS, "true"), r"1 error")
