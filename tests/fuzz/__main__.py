"""C{python -m tests.fuzz MINUTES [TARGET...]}: fuzz each parser for its share of the time.

With atheris where it is installed (C{pip install atheris}), which is led by what code is reached, each target in a
process of its own; else by lot.  What fails is written to C{tests/fuzz/found/TARGET-...}: once it is mended it belongs
into C{tests/corpus/fuzz/TARGET/}, which a test reads.  The exit code is 1 where anything failed, 2 for a target that
there is not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"


def _guided(name: str, seconds: int) -> bool:
    """By atheris.  @return: whether nothing failed."""
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(name)):
            Path(folder, str(number)).write_bytes(seed)
        options = (f"-max_total_time={seconds}", "-max_len=8192", f"-artifact_prefix={FOUND}/{name}-", "-verbosity=0")
        command = (sys.executable, "-m", "tests.fuzz", "--guided", name, folder, *options, "-print_final_stats=1")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    units = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(
        f"{name}: {units[0].rpartition(' ')[2] if units else 'no'} runs within {seconds} s, exit {done.returncode}",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:])
    return not done.returncode


def _be_guided(name: str, arguments: list[str]) -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()


def _by_lot(name: str, seconds: int) -> bool:
    lot, known = Random(os.urandom(8)), seeds(name)
    until, runs = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutated(lot, known)
        runs += 1
        try:
            TARGETS[name](data)
        except Exception:  # noqa: BLE001 - whatever it is, it was found
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"{name}-{hashlib.sha1(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{name}: {path}\n{traceback.format_exc()}", flush=True)
            return False
    print(f"{name}: {runs} runs in {seconds} s", flush=True)
    return True


def main(arguments: list[str]) -> int:
    """Fuzz.  @return: the exit code."""
    if arguments[0] == "--guided":
        _be_guided(arguments[1], arguments[2:])
        return 0
    minutes, *names = arguments
    unknown = set(names) - set(TARGETS)
    if unknown:
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    names = names or list(TARGETS)
    seconds = max(1, int(float(minutes) * 60 / len(names)))
    try:
        import atheris  # noqa: F401

        fuzz = _guided
    except ImportError:
        fuzz = _by_lot
    return 0 if all([fuzz(name, seconds) for name in names]) else 1


sys.exit(main(sys.argv[1:]))
