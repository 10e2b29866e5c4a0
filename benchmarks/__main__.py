"""C{python -m benchmarks [--rounds N] [--only NAME,…]}: the whole comparison.

Each subject relays to the same scripted engine, in turn, round after round; what is compared is the CPU time of its
process tree in the same round.  The subject has a CPU for itself, where there are two; engine and client share the
other in one process that never sleeps, so that nobody is charged for waking it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.load import Load
from benchmarks.process_cost import cpu_ns, pss_bytes
from benchmarks.report import OURS, Budget, failures, ratios, spread
from benchmarks.scripted_engine import Engine, driven
from benchmarks.subjects import SUBJECTS, NotAvailable, Running, free_port

REQUESTS, CONNECTIONS = 6000, 16
#: Streams begin on new connections, at both ends; with so many events each it is these that are measured.
STREAMS, EVENTS = 384, 300
OPEN_STREAMS = 2000


def main() -> int:
    """Measure, print, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(SUBJECTS), help="of " + ", ".join(SUBJECTS))
    parser.add_argument("--no-memory", action="store_true")
    given = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    subject_cpu, other_cpu = (cpus[1], cpus[0]) if len(cpus) > 1 else (None, None)
    if other_cpu is not None:
        os.sched_setaffinity(0, {other_cpu})
    else:
        print("one CPU only: the subject shares it with its load; the ratios still hold, the times do not")
    with tempfile.TemporaryDirectory() as name:
        return _measure(given, Path(name), subject_cpu)


def _measure(given: argparse.Namespace, folder: Path, cpu: int | None) -> int:
    engine = Engine()
    subjects: dict[str, Running] = {}
    request_us: dict[str, list[float]] = {}
    event_us: dict[str, list[float]] = {}
    stream_kib: dict[str, float] = {}
    first_ms: dict[str, float] = {}
    try:
        with driven(engine):
            for subject in given.only.split(","):
                port = free_port()
                try:
                    command = SUBJECTS[subject](port, engine.port, folder)
                    subjects[subject] = Running(command, port, cpu, folder / f"{subject}.log")
                except NotAvailable as reason:
                    print(f"{subject} is left out: {reason}")
        ports = {name: running.port for name, running in subjects.items()}
        for round_number in range(given.rounds + 1):
            for subject, running in subjects.items():
                request, event = _round(running, engine)
                if round_number:  # the first is for warming up
                    request_us.setdefault(subject, []).append(request)
                    event_us.setdefault(subject, []).append(event)
        for subject, port in {"direct": engine.port, **ports}.items():
            first_ms[subject] = _first_byte_ms(port, engine)
        if not given.no_memory:
            for subject, running in subjects.items():
                stream_kib[subject] = _stream_kib(running, engine)
    finally:
        for running in subjects.values():
            running.stop()
        engine.close()
    return _print(request_us, event_us, stream_kib, first_ms)


def _round(running: Running, engine: Engine) -> tuple[float, float]:
    """CPU microseconds for a request, and for an event of a stream."""
    load = Load(running.port, CONNECTIONS, stream=False, meanwhile=engine.step)
    before = cpu_ns(running.pid)
    result = load.run(REQUESTS)
    request_us = (cpu_ns(running.pid) - before) / 1000 / result.answers
    load.close()
    if result.bad:
        print(f"{result.bad} answers were bad")
    load = Load(running.port, STREAMS, stream=True, tokens=EVENTS, meanwhile=engine.step)
    before = cpu_ns(running.pid)
    result = load.run(STREAMS)
    cpu_us = (cpu_ns(running.pid) - before) / 1000
    load.close()
    if result.bad or result.answers != STREAMS:
        print(f"{result.bad} streams were bad, {result.answers} of {STREAMS} whole")
    return request_us, (cpu_us - STREAMS * request_us) / result.events


def _first_byte_ms(port: int, engine: Engine) -> float:
    load = Load(port, 1, stream=True, tokens=0, meanwhile=engine.step)
    result = load.run(60)
    load.close()
    return median(result.first_s) * 1000


def _stream_kib(running: Running, engine: Engine) -> float:
    before = pss_bytes(running.pid)
    load = Load(running.port, OPEN_STREAMS, stream=True, tokens=100_000, meanwhile=engine.step)
    count = load.open_streams(3)
    grown = pss_bytes(running.pid) - before
    load.close()
    if count < OPEN_STREAMS:
        print(f"only {count} of {OPEN_STREAMS} streams were open")
    return grown / 1024 / max(1, count)


def _print(
    request_us: dict[str, list[float]],
    event_us: dict[str, list[float]],
    stream_kib: dict[str, float],
    first_ms: dict[str, float],
) -> int:
    print(f"\n{'':14}{'CPU us/request':>26}{'CPU us/event':>26}{'TTFT added ms':>16}{'KiB/open stream':>18}")
    for subject in request_us:
        added = first_ms[subject] - first_ms["direct"]
        kib = f"{stream_kib[subject]:.1f}" if subject in stream_kib else "-"
        print(f"{subject:14}{spread(request_us[subject]):>26}{spread(event_us[subject]):>26}{added:>16.2f}{kib:>18}")
    for ours in [name for name in OURS if name in request_us]:
        for other in request_us:
            if other != ours:
                request = spread(ratios(request_us[ours], request_us[other]))
                event = spread(ratios(event_us[ours], event_us[other]))
                print(f"{ours} / {other}: request {request}, event {event}")
    if "gateway" not in request_us or not stream_kib:
        return 0
    said = failures(request_us, event_us, stream_kib, Budget())
    for line in said:
        print(f"over budget: {line}")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
