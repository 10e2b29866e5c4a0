"""C{aibrixctl simulate}: what each policy would have made of a trace.  No gateway is asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Misused
from aibrix_twisted.ctl.log_lines import of_files
from aibrix_twisted.ctl.screen import table

if TYPE_CHECKING:
    from aibrix_twisted.policy.strategy import Strategy
    from aibrix_twisted.replay.figures import Figures
    from aibrix_twisted.replay.trace import Arrival

_HEAD: Final = ("POLICY", "HIT RATE", "TTFT MEAN", "P50", "P99", "TPOT", "IMBALANCE")

#: Every policy that there is.
ALL: Final = "all"

#: The progress bar is told of so many requests at once.
_STEP: Final = 100


def simulate(desk: Desk) -> None:
    """Replay a trace with each policy, and show how they did.

    @raise Misused: a policy, the trace, or the plot's place is none that can be used.
    """
    from aibrix_twisted.replay.contest import Field, contest  # slow to load, and only this needs it
    from aibrix_twisted.replay.engine import Speed
    from aibrix_twisted.replay.figures import figures_of

    options = desk.options
    strategies = _strategies_of(options.policy or [ALL])
    arrivals = _arrivals_of(options.trace)
    speed = Speed(prefill=options.prefill)
    field = Field(arrivals, options.replicas, options.cache_blocks, options.speed, speed)
    contests = {}
    with _progress(desk) as progress:
        for strategy in strategies:
            task = progress.add_task(strategy.said, total=len(arrivals))
            left = [0]

            def count(more: int, task: Any = task, left: list[int] = left) -> None:
                left[0] += more
                if left[0] == _STEP:
                    progress.advance(task, left[0])
                    left[0] = 0

            contests[strategy.said] = contest(strategy, field, random.Random(options.seed), count)
            progress.advance(task, left[0])
    figures = {name: figures_of(jobs, options.replicas) for name, jobs in contests.items()}
    if options.plot:
        _plot(options.plot, contests)
    document = {"requests": len(arrivals), "policies": {name: one._asdict() for name, one in figures.items()}}
    rows = ([name, *_cells(one)] for name, one in figures.items())
    desk.screen.answer(orjson.dumps(document).decode(), table(_HEAD, rows, folded=frozenset()))


def _strategies_of(said: Sequence[str]) -> list[Strategy]:
    """Names with commas between them; those that decide together with plus signs."""
    from aibrix_twisted.policy import POLICIES
    from aibrix_twisted.policy.strategy import BadStrategy, strategy_of

    names = [name.strip() for several in said for name in several.split(",")]
    names = [one for name in names for one in (sorted(POLICIES) if name == ALL else [name])]
    try:
        found = [strategy_of(name.replace("+", ",")) for name in names]
    except BadStrategy as error:
        raise Misused(f"--policy: {error}") from None
    return list(dict.fromkeys(found))


def _arrivals_of(path: str) -> list[Arrival]:
    from aibrix_twisted.replay.trace import BadTrace, read_trace

    try:
        return read_trace(of_files([path]))
    except (OSError, BadTrace) as error:
        raise Misused(f"--trace: {path}: {error}") from None


def _progress(desk: Desk) -> Progress:
    """On the standard error, where somebody looks at that."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = desk.screen.beside()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _cells(figures: Figures) -> list[str]:
    return [
        f"{100 * figures.hit_rate:.1f} %",
        f"{figures.ttft_mean_s:.3f} s",
        f"{figures.ttft_p50_s:.3f} s",
        f"{figures.ttft_p99_s:.2f} s",
        f"{1000 * figures.tpot_mean_s:.1f} ms",
        f"{figures.imbalance:.2f}",
    ]


def _plot(path: str, contests: dict[str, Any]) -> None:
    from aibrix_twisted.replay.plot import NoPlots, plot

    try:
        plot(path, contests)
    except (NoPlots, OSError, ValueError) as error:
        raise Misused(f"--plot: {path}: {error}") from None
