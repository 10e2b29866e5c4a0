"""C{python -m benchmarks.telemetry}: what the telemetry costs, in process, without sockets.

The same requests go through the same gateway twice, in turn: with everything that is measured and noted of them, and
with nothing in the places of the meters, the book, the log and the clock.  What is compared is the CPU time of many
short rounds, the shortest with the shortest: what else a machine does only ever makes them longer.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, execute

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import AccessLogSettings
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.exchange import answers
from aibrix_twisted.service.telemetry.access_log import AccessLog
from tests.fakes import STREAM_HEAD, Bench, Wire, answer, chunk, post

#: What all of it may cost more than none of it, in microseconds of CPU.
REQUEST_US = 6.0
EVENT_US = 0.3

ROUNDS, REQUESTS, STREAMS, EVENTS = 2000, 32, 1, 512

_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,'
    b'"total_tokens":12}}'
)
_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":""},"logprobs":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


class _Nothing:
    """In the place of the meters, the book, and the log."""

    def __init__(self) -> None:
        self.current: tuple[()] = ()
        self.late_events = {"head": 0, "body": 0, "end": 0}
        self.hedges = {"won": 0, "lost": 0}

    def gaps_of(self, model: str, replica: str) -> Callable[[list[float]], None]:
        return _no_gaps

    def count_attempt(self, record: Any, *, streamed: bool) -> None:
        pass

    def count(self, exchange: Exchange) -> None:
        pass

    def begun(self, exchange: Exchange) -> None:
        pass

    over = append = count


def _no_gaps(gaps: list[float]) -> None:
    pass


class _QuietBeats(answers.StreamAnswer):
    """A stream whose reads nobody times."""

    __slots__ = ()

    def take(self, data: bytes) -> None:
        """As L{answers.StreamAnswer.take}, without its clock."""
        out = self._watch.feed(data)
        if not out:
            return
        if self._head is not None:
            self._begin(out)
        elif self._reply is not None:
            self._reply.write(out)


class _Sink(Wire):
    """A transport that keeps only what was last written."""

    def write(self, data: bytes) -> None:
        self.written = data


class Gateway:
    """One client and one engine at a gateway in memory."""

    def __init__(self, *, log: str = "", genai: bool = False) -> None:
        """@param log: where it is written; empty: nothing is told of anything."""
        self._told = told = bool(log)
        self.bench = bench = Bench()
        exchanges = bench.exchanges
        bench.reactor.rightNow = bench.wheel.now = time.monotonic()
        self.log: Any = None
        if told:
            exchanges.seconds = time.monotonic
            bench.metrics.configure(genai=genai)
            settings = AccessLogSettings(path=log)
            self.log = AccessLog(settings, bench.reactor, time.time, _at_once, bench.metrics, exchanges.rng)
            exchanges._access_log = self.log
        else:
            nothing: Any = _Nothing()
            exchanges.seconds = float
            exchanges.metrics = exchanges.book = exchanges._access_log = nothing
        self.client = DownstreamConnection(exchanges)
        self.wire = _Sink(self.client)
        self.client.makeConnection(self.wire)  # type: ignore[arg-type]
        self.client.dataReceived(post())
        self.engine = bench.reactor.connects[-1].factory.buildProtocol(None)
        self.engine.makeConnection(_Sink(self.engine))
        self.engine.dataReceived(answer(_BODY))

    def requests(self, count: int) -> None:
        """So many, each answered whole."""
        asked, answered = post(), answer(_BODY)
        for _ in range(count):
            self.client.dataReceived(asked)
            self.engine.dataReceived(answered)
        self._ended()

    def streams(self, count: int, events: int) -> None:
        """So many, of so many events, each a read of its own."""
        asked, event, last = post(b'{"model":"m","stream":true}'), chunk(_EVENT), chunk(_LAST) + b"0\r\n\r\n"
        kind, answers.StreamAnswer = answers.StreamAnswer, answers.StreamAnswer if self._told else _QuietBeats
        try:
            for _ in range(count):
                self.client.dataReceived(asked)
                self.engine.dataReceived(STREAM_HEAD)
                for _ in range(events):
                    self.engine.dataReceived(event)
                self.engine.dataReceived(last)
        finally:
            answers.StreamAnswer = kind  # type: ignore[misc]
        self._ended()

    def _ended(self) -> None:
        """Everything is counted, and the log is written, as it is ten times a second."""
        assert self.wire.written.endswith((b"}}", b"0\r\n\r\n")), self.wire.written[-200:]
        if self.log is not None:
            self.log._flush()
            self.bench.metrics.settle()


def _at_once(write: Callable[[], int]) -> Deferred[int]:
    return execute(write)


def cpu_us(act: Callable[[], None]) -> float:
    """What it takes."""
    began = time.thread_time_ns()
    act()
    return (time.thread_time_ns() - began) / 1000


def difference_us(one: Callable[[], None], other: Callable[[], None], count: int, rounds: int) -> tuple[float, float]:
    """What the first takes more than the second, and what the second takes, each divided by C{count}."""
    one(), other()
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(cpu_us(one))
        theirs.append(cpu_us(other))
    return (min(mine) - min(theirs)) / count, min(theirs) / count


def main() -> int:
    """Measure, print, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.NamedTemporaryFile() as log:
        told, genai = Gateway(log=log.name), Gateway(log=log.name, genai=True)
        return _measured(rounds, told, genai, Gateway())


def _measured(rounds: int, told: Gateway, genai: Gateway, silent: Gateway) -> int:
    gc.collect()
    gc.freeze()
    gc.disable()
    failed = False
    for what, gateway in (("all of it", told), ("with gen_ai_*, too", genai)):
        for name, budget, act, count in (
            ("a request", REQUEST_US, _requests, REQUESTS),
            ("an event", EVENT_US, _streams, STREAMS * EVENTS),
        ):
            more, alone = difference_us(partial(act, gateway), partial(act, silent), count, rounds)
            print(f"{name}, {what}: {more:.2f} us more than {alone:.2f} us; {budget} us at most")
            failed = failed or more > budget
    return failed


def _requests(gateway: Gateway) -> None:
    gateway.requests(REQUESTS)


def _streams(gateway: Gateway) -> None:
    gateway.streams(STREAMS, EVENTS)


if __name__ == "__main__":
    raise SystemExit(main())
