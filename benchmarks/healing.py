"""C{python -m benchmarks.healing}: what keeping streams costs, so that they can be healed; in process, without sockets.

The same stream goes through the same gateway in turn: with healing off, by text, and by tokens, which vLLM then says
with its events.  What is compared is the CPU time of many short rounds, the shortest with the shortest: what else a
machine does only ever makes them longer.
"""

from __future__ import annotations

import gc
import sys
import time

from aibrix_twisted.domain.settings import HealSettings, Settings
from aibrix_twisted.service.process.build import version
from benchmarks.in_memory import Gateway
from tests.fakes import STREAM_HEAD, chunk, post, replica

#: What a streamed event may cost more than with healing off, in microseconds of CPU.
TEXT_US = 1.5
EXACT_US = 3.0

ROUNDS, EVENTS = 400, 512

_EVENT = (
    b'data: {"id":"chatcmpl-8cd78b66a984cd4f","object":"chat.completion.chunk","created":1795456688,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"%b"},"logprobs":null,"finish_reason":%b,"token_ids":%b}]}\n\n'
)
_REQUEST = post(b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}')


class Way:
    """One way of healing, and the least time that a round of it took.

    @ivar best_us: of an event.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.best_us = float("inf")
        settings = Settings(heal=HealSettings(mode=mode))  # type: ignore[arg-type]
        engine = replica("gpu0", ("m",), engine="sglang" if mode == "text" else "vllm")
        self.gateway = Gateway(settings, (engine,))
        ids = [b"[%d]" % (1000 + number) if mode == "exact" else b"null" for number in range(EVENTS)]
        self.reads = [chunk(_EVENT % (b" word%d" % (number % 10), b"null", each)) for number, each in enumerate(ids)]
        self.end = chunk(_EVENT % (b"", b'"stop"', b"null") + b"data: [DONE]\n\n") + b"0\r\n\r\n"

    def round(self) -> None:
        """One stream."""
        book = self.gateway.exchanges.book
        ended = book.ended
        receive = self.gateway.ask(_REQUEST)
        receive(STREAM_HEAD + self.reads[0])
        kept = sum(work.held[1] for work in (each.work for each in self.gateway.exchanges.live) if work is not None)
        if bool(kept) != (self.mode != "off"):
            raise RuntimeError(f"{self.mode}: {kept} bytes are kept")
        reads = self.reads[1:]
        begun = time.thread_time_ns()
        for data in reads:
            receive(data)
        took = time.thread_time_ns() - begun
        receive(self.end)
        if book.ended != ended + 1 or book.past[-1].outcome != "complete" or book.past[-1].events != EVENTS + 2:
            raise RuntimeError(f"{self.mode}: the stream was not whole")
        self.best_us = min(self.best_us, took / 1000 / len(reads))


def main() -> int:
    """Print what each costs.

    @return: 1 where it is too much.
    """
    print(version())
    ways = [Way(mode) for mode in ("off", "text", "exact")]
    gc.disable()
    for _ in range(ROUNDS):
        for way in ways:
            way.round()
    off, text, exact = (way.best_us for way in ways)
    print(f"an event: {off:.2f} us with healing off")
    print(f"  by text   {text - off:+.2f} us (at most {TEXT_US})")
    print(f"  by tokens {exact - off:+.2f} us (at most {EXACT_US})")
    return int(text - off > TEXT_US or exact - off > EXACT_US)


if __name__ == "__main__":
    sys.exit(main())
