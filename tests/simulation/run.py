"""Runs of seeds, and what is said of those that fail."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from twisted.logger import formatEvent

from tests.simulation.oracle import judge
from tests.simulation.scenario import scenario_of
from tests.simulation.world import World

#: Failures after which a soak ends: more of the same say no more.
ENOUGH = 20


def run_seed(seed: int) -> tuple[World, list[str]]:
    """One run.

    @return: and what is wrong.
    """
    world = World(scenario_of(seed))
    world.run()
    wrong = judge(world)
    world.wrong = []
    gc.collect()  # what nobody waits for has failed by now, and says so
    return world, wrong + world.wrong


def report(world: World, wrong: list[str]) -> str:
    """What failed, and how to see it again."""
    said = "\n".join(f"  - {one}" for one in wrong)
    return f"{world.scenario.named}\n{said}\n  replay: python -m tests.simulation {world.scenario.seed}\n"


def timeline(world: World) -> str:
    """What happened, a line each."""
    return "\n".join(
        f"{at:10.4f}  {what if isinstance(what, str) else 'log: ' + formatEvent(what)}" for at, what in world.timeline
    )


def replay(seed: int) -> int:
    """One run, with all that happened.

    @return: an exit code.
    """
    world, wrong = run_seed(seed)
    print(world.scenario.named)
    print(timeline(world))
    print(report(world, wrong) if wrong else "nothing is wrong")
    return bool(wrong)


def soak(seeds: Iterable[int]) -> int:
    """Many runs.

    @return: an exit code.
    """
    failed = done = 0
    settle()
    for seed in seeds:
        world, wrong = run_seed(seed)
        done += 1
        if wrong:
            failed += 1
            print(report(world, wrong), flush=True)
            if failed == ENOUGH:
                break
    print(f"{done} seeds, {failed} failed")
    return bool(failed)


def settle() -> None:
    """What is there now is not looked at by the collector again and again."""
    gc.collect()
    gc.freeze()
