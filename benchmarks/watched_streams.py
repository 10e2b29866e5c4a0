"""C{python -m benchmarks.watched_streams}: what readers of C{/api/events} cost while thousands of streams are open.

The streams are real, from clients through the gateway to scripted engines; each has an event a second, and some
hundred of them end in a second, and as many begin.  The readers are another process.  What is compared is the CPU of
the gateway's process with readers and without, turn by turn.  It takes two descriptors a stream on either side.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.mixed_load import FaultyEngine, MixedLoad
from benchmarks.process_cost import cpu_ns
from benchmarks.readers import Readers
from benchmarks.scripted_engine import driven
from benchmarks.soak_memory import gateway
from benchmarks.subjects import Running, free_port

STREAMS, READERS = 5000, 10

#: Of a core, for all readers together.
BUDGET = 0.05

#: Requests that begin in a second, and streams that do at most.
PER_SECOND = 150.0

#: Of a stream, at least and at most.
EVENTS = (20, 70)

TURNS, TURN_S, WARM_S = 10, 10.0, 90.0


def main() -> int:
    """Measure, print, and say whether the budget is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched_streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port, admin = Path(name), free_port(), free_port()
        engines = [FaultyEngine(1000), FaultyEngine(1000)]
        command = gateway(port, admin, [engine.port for engine in engines], folder, "least-request")
        with driven(*engines):
            running = Running(command, port, None, folder / "gateway.out")
        load = MixedLoad(port, engines, per_second=PER_SECOND, streams=given.streams, kinds=("whole",), events=EVENTS)
        try:
            return _measure(running.pid, admin, load, given)
        finally:
            load.close()
            running.stop()
            for engine in engines:
                engine.close()


def _measure(pid: int, admin: int, load: MixedLoad, given: argparse.Namespace) -> int:
    begun = time.monotonic()
    while load.open < given.streams:
        load.run(1.0)
        if time.monotonic() - begun > WARM_S:
            print(f"only {load.open} streams are open after {WARM_S:g} s", file=sys.stderr)
            return 1
    differences, alone = [], []
    for turn in range(given.turns):
        shares, begun, events = {}, time.monotonic(), load.seen.events
        for watched in (bool(turn % 2), not turn % 2):
            shares[watched] = _watched(pid, admin, load, given.readers) if watched else _share(pid, load)
        differences.append(shares[True] - shares[False])
        alone.append(shares[False])
        rate = (load.seen.events - events) / (time.monotonic() - begun)
        print(f"{load.open} streams, {rate:.0f} events a second: {shares[False]:.2%} of a core without readers, "
              f"{shares[True]:.2%} with them", flush=True)  # fmt: skip
    bad = sum(load.seen.bad.values())
    share = median(differences)
    print(f"{given.readers} readers take {share:.2%} of a core, {min(differences):.2%} to {max(differences):.2%}, "
          f"beside {median(alone):.2%}; {BUDGET:.0%} at most; {bad} bad answers")  # fmt: skip
    return int(share >= BUDGET or bad > 0)


def _watched(pid: int, admin: int, load: MixedLoad, readers: int) -> float:
    with Readers(admin, readers) as reading:
        load.run(1.0)  # until they are all there
        share = _share(pid, load)
    if not reading.got:
        raise RuntimeError("the readers were told nothing")
    load.run(0.5)
    return share


def _share(pid: int, load: MixedLoad) -> float:
    """The process's CPU by the time that passed."""
    cpu, wall = cpu_ns(pid), time.monotonic()
    load.run(TURN_S)
    return (cpu_ns(pid) - cpu) / 1e9 / (time.monotonic() - wall)


if __name__ == "__main__":
    raise SystemExit(main())
