"""Two thousand runs of the whole gateway; C{make soak SEEDS=20000} makes more."""

from __future__ import annotations

import pytest

from tests.simulation.run import report, run_seed, settle

#: Runs in a test.
BLOCK = 100

settle()


@pytest.mark.parametrize("first", range(0, 2000, BLOCK))
def test_seeds(first: int) -> None:
    """Whatever happens, what the oracle asks for holds."""
    failed = [report(world, wrong) for world, wrong in map(run_seed, range(first, first + BLOCK)) if wrong]
    assert not failed, "\n".join(failed)
