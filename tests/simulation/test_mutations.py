"""The simulation finds bugs: each of those in the list, in the run that is named with it."""

from __future__ import annotations

import subprocess
import sys

from tests.simulation.mutants import mutated
from tests.simulation.mutations import MUTATIONS


def test_the_list_fits_the_code() -> None:
    """Each line is there once, is one line, and becomes another one; each has a name of its own, and a reason."""
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS) >= 20
    for one in MUTATIONS:
        assert one.new != one.old and "\n" not in one.old + one.new and one.why, one.name
        compile(mutated(one), one.file, "exec")


def test_each_is_found() -> None:
    """By the oracle, in its one run; C{make mutants} says how."""
    command = [sys.executable, "-m", "tests.simulation.mutants"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith(f"{len(MUTATIONS)} of {len(MUTATIONS)} mutations found\n"), done.stdout
