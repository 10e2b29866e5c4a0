"""C{python -m benchmarks.tracing}: what tracing costs a request, in process, without sockets of clients or engines.

The same requests go through two gateways in turn, one that traces and one that does not; what is compared is the CPU
time of the reactor's thread, and that of all threads, for OpenTelemetry's own makes bytes of the spans.  The receiver
is another process.  Of many short rounds the median difference counts.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.process.build import version
from aibrix_twisted.service.telemetry.outlet import MAX_WAITING
from aibrix_twisted.service.telemetry.sender import Sender
from aibrix_twisted.service.telemetry.tracer import Tracer
from benchmarks.in_memory import MODELS, Gateway, replicas, request
from tests.fakes import MemoryReactor, answer

#: What tracing may cost a request where one of a hundred is sampled, in microseconds of CPU.
REQUEST_US = 1.0

ROUNDS, REQUESTS = 41, 2000

_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,'
    b'"total_tokens":12}}'
)
_NOT_SAMPLED = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class _Reactor(MemoryReactor):
    """Hears threads at once."""

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


class Scene:
    """One gateway, and what its client asks.

    @ivar sender: where its spans go; C{None}: it does not trace.
    """

    def __init__(self, url: str, sample: float | None) -> None:
        """@param sample: C{None}: it does not trace."""
        self.gateway = Gateway(Settings(), replicas())
        self.sender: Sender | None = None
        if sample is not None:
            rng = random.Random(1)
            self.sender = Sender(_Reactor(), time.time_ns, self.gateway.metrics, rng, url, "benchmark")
            self.gateway.exchanges.tracer = Tracer(sample, rng, self.sender.take)
        self._asked = [request(MODELS[number % len(MODELS)]) for number in range(31)]
        self._answer = answer(_BODY)

    def requests(self, count: int, *lines: bytes) -> None:
        """So many, each answered whole."""
        said = b"".join(b"%b\r\n" % line for line in lines)
        asked = [each.replace(b"content-length", said + b"content-length", 1) for each in self._asked]
        ask, answered = self.gateway.ask, self._answer
        for each in itertools.islice(itertools.cycle(asked), count):
            ask(each)(answered)

    def sent(self, count: int) -> None:
        """So many, and their spans are all with the receiver."""
        self.requests(count)
        if self.sender is None:
            raise RuntimeError("it does not trace")
        while self.sender._heard < self.sender._sent:
            time.sleep(0.001)


def differences_us(
    one: Callable[[], None], other: Callable[[], None], clock: Callable[[], int], count: int, rounds: int
) -> tuple[float, float]:
    """What the first takes more than the second, and what the second takes, each divided by C{count}."""

    def cpu_us(act: Callable[[], None]) -> float:
        began = clock()
        act()
        return (clock() - began) / 1000

    one(), other()
    pairs = []
    for number in range(rounds):
        if number % 2:
            mine = cpu_us(one)
            theirs = cpu_us(other)
        else:
            theirs = cpu_us(other)
            mine = cpu_us(one)
        pairs.append((mine, theirs))
    return median(mine - theirs for mine, theirs in pairs) / count, median(theirs for _, theirs in pairs) / count


def main() -> int:
    """Measure, print, and say whether the budget is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    program = "from tests.otlp import Receiver; print(Receiver().url, flush=True); input()"
    print(version())
    with subprocess.Popen((sys.executable, "-c", program), stdin=-1, stdout=-1, text=True) as receiver:
        assert receiver.stdout is not None
        url = receiver.stdout.readline().strip() + "/v1/traces"
        try:
            return _measure(url, rounds)
        finally:
            receiver.kill()


def _measure(url: str, rounds: int) -> int:
    off, off_too, never = Scene(url, None), Scene(url, None), Scene(url, 0.0)
    seldom, always = Scene(url, 0.01), Scene(url, 1.0)
    gc.collect()
    gc.freeze()
    gc.disable()
    thread, process = time.thread_time_ns, time.process_time_ns
    some = MAX_WAITING // 8
    measured: dict[str, float] = {}
    for name, mine, theirs, clock, count in (
        ("off, beside off: what this cannot tell", off_too.requests, off.requests, thread, REQUESTS),
        ("nothing sampled", never.requests, off.requests, thread, REQUESTS),
        ("1 % sampled", seldom.requests, off.requests, thread, REQUESTS),
        ("all sampled", always.requests, off.requests, thread, some),
        ("all sampled, with OpenTelemetry's thread", always.sent, off.requests, process, some),
    ):
        more, alone = differences_us(partial(mine, count), partial(theirs, count), clock, count, rounds)
        measured[name] = more
        print(f"{name}: {more:.2f} us more than {alone:.2f} us")
    lines = (_NOT_SAMPLED,)
    more, _ = differences_us(
        lambda: never.requests(REQUESTS, *lines), lambda: off.requests(REQUESTS, *lines), thread, REQUESTS, rounds
    )
    print(f"the client says not to: {more:.2f} us more")
    own, whole = measured["all sampled"], measured["all sampled, with OpenTelemetry's thread"]
    by_parts = measured["nothing sampled"] + own / 100
    print(f"1 % by its parts: {by_parts:.2f} us in the reactor's thread, {(whole - own) / 100:.2f} us in the other")
    print(f"budget {REQUEST_US} us")
    return by_parts > REQUEST_US


if __name__ == "__main__":
    raise SystemExit(main())
