"""A seed is all there is to a run: it can be made again, in this process and in another one."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.simulation.run import run_seed, timeline
from tests.simulation.scenario import THEMES, scenario_of

#: One of each kind.
SEEDS = tuple({scenario_of(seed).theme: seed for seed in range(60)}.values())


def replayed(seed: int, hashes: str) -> str:
    """What the command prints that a failing test names."""
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    command = [sys.executable, "-m", "tests.simulation", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    return done.stdout


def test_the_same_again() -> None:
    """Whatever ran before it, and wherever its objects are."""
    assert len(SEEDS) > len(THEMES)  # and those that become slow
    for seed in SEEDS:
        first = timeline(run_seed(seed)[0])
        kept = [object() for _ in range(seed % 7 + 1)]
        assert timeline(run_seed(seed)[0]) == first, (seed, len(kept))


def test_in_another_process() -> None:
    """Whatever hashes of strings are there; and with the timeline that is the same here."""
    seed = SEEDS[-1]
    one, other = replayed(seed, "1"), replayed(seed, "2")
    assert one == other
    assert timeline(run_seed(seed)[0]) in one
    assert one.endswith("nothing is wrong\n")
