"""C{python -m benchmarks.telemetry}: what the telemetry costs, in process, without sockets.

The same requests go through two gateways in turn: one as it is shipped, and one that is told to log nothing, whose
clock stands still, and whose meters are emptied before they count.  What is compared is the CPU time of many short
rounds, the shortest with the shortest: what else a machine does only ever makes them longer.

What the second gateway does all the same, for there is no setting that keeps it from it, is called directly and added:
the records of an exchange and of its attempt with their stamps, the book, the attempts' counters, and of a stream the
times of its reads.  Called from here it costs more than within the compiled rooms, so that the sum is too large rather
than too small.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial

from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.settings import AccessLogSettings, Settings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.process.build import version
from aibrix_twisted.service.telemetry.book import Book
from aibrix_twisted.service.telemetry.metrics import AT_ONCE, Metrics
from benchmarks.in_memory import MODELS, SILENT, Gateway, replicas, request
from tests.fakes import STREAM_HEAD, answer, chunk

#: What all of it may cost more than none of it, in microseconds of CPU.
REQUEST_US = 6.0
EVENT_US = 0.3

ROUNDS, REQUESTS, EVENTS = 2000, 32, 512

_USAGE = b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],%b}'
)
_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"%b"},"logprobs":null,"finish_reason":%b}]}\n\n'
)
_TOLD = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],%b}\n\n'
_LAST = b"data: [DONE]\n\n"

#: A clock that stands still.
_STILL: Callable[[], float] = float

#: How often a request asks it.
_CLOCK_READS = 13


def _usage(number: int) -> bytes:
    return _USAGE % (number * 7, number + 2, number * 8 + 2)


class Scene:
    """One gateway, and what its clients ask.

    @ivar gateway: where it goes.
    """

    def __init__(self, log: str = "", *, genai: bool = False) -> None:
        """@param log: where it is written; empty: nothing is told of anything."""
        self.told = bool(log)
        settings = AccessLogSettings(path=log) if log else SILENT
        self.gateway = Gateway(Settings(), replicas(), settings)
        self.gateway.metrics.configure(genai=genai)
        if not self.told:
            self.gateway.exchanges.seconds = _STILL
        streams = b',"stream":true,"stream_options":{"include_usage":true}'
        asked = [(MODELS[number * 5 % len(MODELS)], _usage(number)) for number in range(REQUESTS)]
        self._wholes = [(request(model), answer(_BODY % usage)) for model, usage in asked]
        self._short = [(request(model, streams), _end(usage)) for model, usage in asked]
        self._event = chunk(_EVENT % (b"Hello", b"null"))

    def requests(self) -> None:
        """So many, each answered whole."""
        ask = self.gateway.ask
        for asked, answered in self._wholes:
            ask(asked)(answered)
        self._ended(REQUESTS)

    def short_streams(self) -> None:
        """So many, each of two events: its first, and what tells of usage."""
        ask, event = self.gateway.ask, self._event
        for asked, end in self._short:
            receive = ask(asked)
            receive(STREAM_HEAD + event)
            receive(end)
        self._ended(REQUESTS)

    def stream(self) -> None:
        """One, of so many events, each a read of its own."""
        event = self._event
        asked, end = self._short[0]
        receive = self.gateway.ask(asked)
        receive(STREAM_HEAD + event)
        for _ in range(EVENTS):
            receive(event)
        receive(end)
        self._ended(1)

    def _ended(self, count: int) -> None:
        """Everything is counted and written, or thrown away."""
        metrics = self.gateway.metrics
        if len(metrics._ended) != count:
            raise RuntimeError(f"{len(metrics._ended)} exchanges are over, not {count}")
        if self.told:
            self.gateway.settle()
        else:
            metrics._ended = []


def _end(usage: bytes) -> bytes:
    return chunk(_EVENT % (b"", b'"stop"') + _TOLD % usage + _LAST) + b"0\r\n\r\n"


assert REQUESTS < AT_ONCE, "those who are silent would count"


def cpu_us(act: Callable[[], object]) -> float:
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


def harvest(scene: Scene) -> list[Exchange]:
    """Exchanges that went through it, whole and streamed, all different."""
    found: list[Exchange] = []
    for _ in range(8):
        for act in (scene.requests, scene.short_streams):
            act()
            found += list(scene.gateway.exchanges.book.past)[-REQUESTS:]
    return found


def kept_us(exchanges: Sequence[Exchange], rounds: int) -> dict[str, float]:
    """What a gateway does of each of these, whatever it is told, in microseconds."""
    metrics = Metrics()
    gaps = metrics.gaps_of(MODELS[0], "gpu0a")
    seconds = _STILL

    def records() -> None:
        for _ in exchanges:
            stamps = Stamps(1.5)
            stamps.head = stamps.read = stamps.admitted = stamps.first_byte = stamps.ended = 1.5
            record = AttemptRecord("gpu0a", "model-0", Kind.FIRST, 1.5, 1.5, gaps)
            record.sent = record.head = record.first = record.ended = 1.5

    def clock() -> None:
        for _ in exchanges:
            for _ in range(_CLOCK_READS):
                seconds()

    def booked() -> None:
        book = Book()
        for exchange in exchanges:
            book.begun(exchange)
        for exchange in exchanges:
            book.over(exchange)

    def attempts() -> None:
        for exchange in exchanges:
            metrics.gaps_of(exchange.model, exchange.replica)
            metrics.count_attempt(exchange.tries[-1], streamed=exchange.stream)

    def listed() -> None:
        ended: list[Exchange] = []
        for exchange in exchanges:
            ended.append(exchange)

    acts = {"records": records, "clock": clock, "book": booked, "attempts": attempts, "lists": listed}
    return {name: min(cpu_us(act) for _ in range(rounds)) / len(exchanges) for name, act in acts.items()}


def kept_event_us(rounds: int) -> float:
    """What it does of each read of a stream, in microseconds."""
    histogram = Histogram([0.01 * 2**at for at in range(12)])
    record = AttemptRecord("gpu0a", "model-0", Kind.FIRST, 1.5, 1.5, histogram)
    beats, seconds = record.beats, _STILL

    def reads() -> None:
        for _ in range(EVENTS):
            beats.beat(seconds())

    return min(cpu_us(reads) for _ in range(rounds)) / EVENTS


def main() -> int:
    """Measure, print, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    print(version())
    with tempfile.NamedTemporaryFile() as log:
        return _measured(rounds, Scene(log.name), Scene(log.name, genai=True), Scene())


def _measured(rounds: int, told: Scene, genai: Scene, silent: Scene) -> int:
    exchanges = harvest(told)
    gc.collect()
    gc.freeze()
    gc.disable()
    kept, event_us = kept_us(exchanges, rounds), kept_event_us(rounds)
    kept_request_us = sum(kept.values())
    parts = ", ".join(f"{name} {us:.2f}" for name, us in kept.items())
    print(f"whatever is set: {kept_request_us:.2f} us a request ({parts}), {event_us:.3f} us an event")
    failed = False
    for what, scene in (("all of it", told), ("with gen_ai_*, too", genai)):
        for name, budget, always, act, count in (
            ("a request", REQUEST_US, kept_request_us, Scene.requests, REQUESTS),
            ("a short stream", REQUEST_US, kept_request_us, Scene.short_streams, REQUESTS),
            ("an event", EVENT_US, event_us, Scene.stream, EVENTS),
        ):
            more, alone = difference_us(partial(act, scene), partial(act, silent), count, rounds)
            print(f"{name}, {what}: {more + always:.2f} us, {more:.2f} of them more than the silent one's {alone:.2f}; "
                  f"{budget} us at most")  # fmt: skip
            failed = failed or more + always > budget
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
