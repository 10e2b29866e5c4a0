"""C{python -m benchmarks.soak_memory}: whether the gateway's memory stays what it is under load, for half an hour.

A hundred requests begin in a second, as L{mixed_load} has them, and a hundred streams are open besides.  Once a minute
the gateway reloads its settings; metrics, the list of requests and the fleet are asked for each ten seconds, and then
its memory is looked at.  What counts is the slope of a straight line through all that was seen after the first third:
until then buffers, the ring of past requests and the index of prompts fill up.  That of the last third is said, too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import linear_regression
from urllib.request import urlopen

from benchmarks.mixed_load import FaultyEngine, MixedLoad
from benchmarks.scripted_engine import driven
from benchmarks.subjects import Running, free_port

#: What is called flat, in bytes a request: no object is as small as what that leaves to be lost of every fifth.
BUDGET_BYTES = 10.0

EVERY_S = 10.0

_ASKED = ("metrics", "api/requests", "api/fleet", "api/stats")


def gateway(port: int, admin: int, engines: list[int], folder: Path, policy: str) -> list[str]:
    """Ours, with its admin API.  Its index of prompts is small enough to be full soon: then for each block one goes."""
    config = folder / "gateway.toml"
    config.write_text(
        f'policy = "{policy}"\n[access_log]\npath = "{folder / "access.log"}"\n[prefix_cache]\nblocks = 20000\n'
        '[[model]]\nname = "bench"\naliases = ["bench-alias"]\n'
        + "".join(f'[[replica]]\nurl = "http://127.0.0.1:{engine}"\n' for engine in engines)
    )
    return [
        str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", f"--logfile={folder / 'twistd.log'}",
        "aibrix-gateway", "--config", str(config), "--listen", f"tcp:{port}:interface=127.0.0.1",
        "--admin", f"tcp:{admin}:interface=127.0.0.1",
    ]  # fmt: skip


def memory_kib(pid: int) -> tuple[int, int]:
    """What is resident, and what of it is no file's."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    said = {words[0]: int(words[1]) for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
    return said["VmRSS:"], said["RssAnon:"]


class Soak:
    """One run.

    @ivar samples: minutes since its beginning, KiB resident, and KiB of that which are anonymous.
    """

    def __init__(self, pid: int, admin: int, load: MixedLoad) -> None:
        self._pid = pid
        self._admin = admin
        self._load = load
        self.samples: list[tuple[float, int, int]] = []

    def run(self, minutes: float) -> None:
        """Load, and look."""
        begun = time.monotonic()
        reloaded = told = 0
        while (passed := (time.monotonic() - begun) / 60) < minutes:
            self._load.run(EVERY_S)
            for path in _ASKED:
                with urlopen(f"http://127.0.0.1:{self._admin}/{path}", timeout=30) as answer:
                    answer.read()
            passed = (time.monotonic() - begun) / 60
            self.samples.append((passed, *memory_kib(self._pid)))
            if int(passed) > reloaded:
                reloaded = int(passed)
                os.kill(self._pid, signal.SIGHUP)
            if passed >= told:
                told += 1
                seen = self._load.seen
                print(f"{passed:5.1f} min: {self.samples[-1][1] / 1024:.2f} MiB, {self.samples[-1][2] / 1024:.2f} of "
                      f"them anonymous; {seen.begun} requests, {seen.events} events", flush=True)  # fmt: skip

    def slope_kib(self, thirds: int) -> float:
        """Of what was seen in the last so many thirds, in KiB a minute."""
        kept = self.samples[len(self.samples) * (3 - thirds) // 3 :]
        return linear_regression([sample[0] for sample in kept], [sample[1] for sample in kept]).slope


def main() -> int:
    """Measure, print, and say whether it is flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--policy", default="least-request")
    parser.add_argument("--per-second", type=float, default=100.0)
    parser.add_argument("--streams", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port, admin = Path(name), free_port(), free_port()
        engines = [FaultyEngine(50), FaultyEngine(50)]
        command = gateway(port, admin, [engine.port for engine in engines], folder, given.policy)
        with driven(*engines):
            running = Running(command, port, None, folder / "gateway.out")
        load = MixedLoad(port, engines, per_second=given.per_second, streams=given.streams)
        soak = Soak(running.pid, admin, load)
        try:
            soak.run(given.minutes)
        finally:
            load.close()
            running.stop()
            for engine in engines:
                engine.close()
    return _tell(soak, load, given)


def _tell(soak: Soak, load: MixedLoad, given: argparse.Namespace) -> int:
    seen, slope = load.seen, soak.slope_kib(2)
    each = slope * 1024 * soak.samples[-1][0] / seen.begun
    for (kind, status), count in sorted(seen.ended.items()):
        bad = seen.bad[kind, status]
        print(f"  {count:8} {kind}: {status or 'left'}" + (f", {bad} of them should not have been:" if bad else ""))
        if bad:
            print(f"           {seen.said[kind, status]!r}")
    print(f"{given.policy}: {slope:+.1f} KiB a minute, which is {each:+.1f} bytes a request, {BUDGET_BYTES:g} at most; "
          f"in the last third {soak.slope_kib(1):+.1f} KiB a minute")  # fmt: skip
    return int(each > BUDGET_BYTES)


if __name__ == "__main__":
    raise SystemExit(main())
