"""C{python -m benchmarks.events}: what readers of C{/api/events} cost a gateway that has thousands of streams open.

A gateway with its admin listener on a real socket; its book is filled as by that many streams, of which so many a
second end and as many begin.  The readers are another process.  What is compared is the process's CPU with readers and
without, turn by turn.  L{watched_streams} measures the same with streams that are real, and churn less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.reactor import install

install()

from twisted.internet import reactor as _reactor  # noqa: E402, TID253 - it is the one that was installed
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import LoopingCall, deferLater  # noqa: E402

from aibrix_twisted.domain.assembly import Cause, Outcome  # noqa: E402
from aibrix_twisted.domain.attempt import AttemptRecord, Kind  # noqa: E402
from aibrix_twisted.domain.exchange import Exchange  # noqa: E402
from aibrix_twisted.domain.settings import AccessLogSettings, Settings  # noqa: E402
from aibrix_twisted.domain.timing import Stamps  # noqa: E402
from aibrix_twisted.service.config.load import Source  # noqa: E402
from aibrix_twisted.service.gateway import Gateway  # noqa: E402
from benchmarks.readers import Readers  # noqa: E402
from benchmarks.subjects import free_port  # noqa: E402

reactor: Any = _reactor

STREAMS, READERS = 5000, 10

#: Streams that end in a second, and so many begin.
CHURN = (0, 100, 500, 2000)

#: Of a core, for all readers together.
BUDGET = 0.05

TURNS, TURN_S = 5, 2.0


class Streams:
    """Streams that nobody sends: what is known of them stands in the book."""

    def __init__(self, gateway: Gateway) -> None:
        self._book = gateway.exchanges.book
        self._gateway = gateway
        self._ids = iter(range(1 << 40))
        self._open = self._begun(STREAMS)

    def churn(self, count: int) -> None:
        """So many end, and so many begin."""
        now = reactor.seconds()
        for exchange in self._open[:count]:
            record = exchange.tries[-1]
            record.ended, record.outcome = now, Outcome.COMPLETE
            exchange.stamps.ended, exchange.cause, exchange.outcome = now, Cause.FINAL_CHUNK, Outcome.COMPLETE
            exchange.status, exchange.served = 200, record
            self._book.over(exchange)
        self._open = self._open[count:] + self._begun(count)

    def _begun(self, count: int) -> list[Exchange]:
        return list(self._making(count))

    def _making(self, count: int) -> Iterator[Exchange]:
        now = reactor.seconds()
        for number in (next(self._ids) for _ in range(count)):
            exchange = Exchange(
                f"5f1c2b3a4d5e-{number:x}", "192.0.2.7", "POST", "/v1/chat/completions", "chat_completions", Stamps(now)
            )
            exchange.stamps.head = exchange.stamps.read = exchange.stamps.admitted = now
            exchange.model, exchange.replica, exchange.policy, exchange.stream = "llama-3-8b", "gpu0", "random", True
            record = AttemptRecord("gpu0", "llama-3-8b", Kind.FIRST, now, now, Histogram([1.0]))
            record.sent = record.first = exchange.stamps.first_byte = now
            exchange.tries.append(record)
            self._book.begun(exchange)
            yield exchange


async def _measure(admin: int, readers: int) -> bool:
    settings = Settings(
        listen=("tcp:0:interface=127.0.0.1",),
        admin=f"tcp:{admin}:interface=127.0.0.1",
        access_log=AccessLogSettings(path=""),
    )
    gateway = Gateway(reactor, settings, Source(None, {}))
    gateway.privilegedStartService()
    gateway.startService()
    gateway._auditor.stop()  # it would find that nobody sends these streams
    streams, worst = Streams(gateway), 0.0
    for churn in CHURN:
        each = churn // 50
        call = LoopingCall(streams.churn, each)
        running = call.start(1 / 50)
        more = [await _turn(gateway, admin, readers) for _ in range(TURNS)]
        call.stop()
        await running
        share = median(with_them - without for with_them, without in more)
        worst = max(worst, share)
        print(f"{STREAMS} streams, {churn} a second end: {share:.2%} of a core for {readers} readers", flush=True)
    await gateway.stopService()
    print(f"budget {BUDGET:.0%}")
    return worst > BUDGET


async def _turn(gateway: Gateway, admin: int, readers: int) -> tuple[float, float]:
    """The process's CPU by the time that passed, with readers and without."""
    without = await _share()
    with Readers(admin, readers):
        while gateway.feed.readers < readers:
            await deferLater(reactor, 0.01)
        with_them = await _share()
    while gateway.feed.readers:
        await deferLater(reactor, 0.01)
    return with_them, without


async def _share() -> float:
    cpu, wall = time.process_time(), time.monotonic()
    await deferLater(reactor, TURN_S)
    return (time.process_time() - cpu) / (time.monotonic() - wall)


def main() -> int:
    """Measure, print, and say whether the budget is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--readers", type=int, default=READERS)
    readers = parser.parse_args().readers
    failed: list[bool] = []

    def measure() -> None:
        measuring = Deferred.fromCoroutine(_measure(free_port(), readers))
        measuring.addCallback(failed.append)
        measuring.addErrback(lambda failure: failure.printTraceback())
        measuring.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(measure)
    reactor.run()
    return int(failed != [False])


if __name__ == "__main__":
    raise SystemExit(main())
