"""A picture of how long first tokens took: for each policy, which share of the requests had theirs by when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aibrix_twisted.replay.engine import Job


class NoPlots(Exception):
    """What plots are made with is not installed."""


def plot(path: str, contests: Mapping[str, Sequence[Job]]) -> None:
    """Write a picture, of the kind that the file's name says: C{.svg}, C{.png}, C{.pdf}.

    @raise NoPlots: matplotlib is not there.
    @raise OSError: the file cannot be written.
    @raise ValueError: there is no such kind.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NoPlots("matplotlib is not installed: pip install 'aibrix-twisted[plot]'") from None
    figure = Figure(figsize=(9.0, 5.5), layout="constrained")
    axes = figure.subplots()
    for name, jobs in contests.items():
        ttfts = sorted(job.first - job.given for job in jobs)
        step = max(1, len(ttfts) // 2000)
        shown = range(0, len(ttfts), step)
        axes.plot([max(1e-3, ttfts[at]) for at in shown], [(at + 1) / len(ttfts) for at in shown], label=name)
    axes.set_xscale("log")
    axes.set_xlabel("time to first token, seconds")
    axes.set_ylabel("share of requests")
    axes.set_ylim(0.0, 1.0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path)
