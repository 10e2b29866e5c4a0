"""A client that takes what it is sent as slowly as a test wants, and an engine that is read as fast as the gateway does."""

from __future__ import annotations

from collections import deque
from typing import Any

from aibrix_twisted.domain.settings import Limits, Settings, Timeouts
from tests.fakes import STREAM_HEAD, Bench, Wire, chunk, post
from tests.wire.streams import DONE, _chat

#: So many bytes may wait in the transport.
AHEAD = 1000

STREAM = post(b'{"model":"m","stream":true}')
END = (chunk(_chat("{}", '"stop"').encode()), chunk(DONE.encode()) + b"0\r\n\r\n")
BREAK = (chunk(b'data: {"error":{"message":"EngineCore died","code":500}}\n\n') + b"0\r\n\r\n",)
#: The engine's connection is lost.
LOST = (b"",)


def event(number: int) -> bytes:
    """One of some 400 bytes, as an engine sends it."""
    return chunk(_chat(f'{{"content":"{number} {"x" * 200}"}}').encode())


class SlowWire(Wire):
    """As Twisted's: what is written waits until the client takes it, and its producer is told.

    @ivar written: what the client has taken.
    """

    def __init__(self, protocol: Any = None) -> None:
        super().__init__(protocol)
        self.bufferSize = AHEAD
        self.dataBuffer, self.offset = b"", 0
        self._pending = b""
        self._told = False

    @property
    def _tempDataLen(self) -> int:
        return len(self._pending)

    def write(self, data: bytes) -> None:
        assert data, "an empty write"
        self._pending += data
        if len(self._pending) > self.bufferSize and self.producer is not None:
            self._told = True
            self.producer.pauseProducing()

    def drink(self, size: int) -> None:
        """The client takes so much, or what there is."""
        while size and self._pending and not self.aborted:
            taken, self._pending = self._pending[:size], self._pending[size:]
            size -= len(taken)
            self.written += taken
            if not self._pending and self._told and self.producer is not None:
                self._told = False
                self.producer.resumeProducing()


def slow_settings(**limits: Any) -> Settings:
    """With which any client is too slow after a second, and spooled."""
    limits = {"slow_client": "spool", "client_read_rate": 10_000_000, "client_read_time": 1.0, **limits}
    return Settings(limits=Limits(**limits), timeouts=Timeouts(client_stall=30.0, total=60.0))


class SlowScene:
    """One client, slow where it does not drink, and one engine that has a stream for it."""

    def __init__(self, *, bench: Bench | None = None, **limits: Any) -> None:
        self.bench = Bench(slow_settings(**limits)) if bench is None else bench
        self.wire = SlowWire()
        self.client, _ = self.bench.client(self.wire)
        self.client.dataReceived(STREAM)
        self.up, self.upwire = self.bench.upstream()
        self._script: deque[bytes] = deque((STREAM_HEAD,))
        self._events = 0
        self.more(30)

    @property
    def in_flight(self) -> int:
        """At the engine."""
        return self.bench.replicas[0].load.in_flight

    @property
    def engine_done(self) -> bool:
        """All that it had to say was read."""
        return not self._script

    def more(self, events: int = 5) -> None:
        """The engine has more to say."""
        for _ in range(events):
            self._events += 1
            self._script.append(event(self._events))
        self.pump()

    def say(self, *pieces: bytes) -> None:
        """The engine has this to say."""
        self._script.extend(pieces)
        self.pump()

    def pump(self) -> None:
        """The engine is read, as long as the gateway reads."""
        while self._script and not (self.upwire.paused or self.upwire.aborted):
            piece = self._script.popleft()
            if piece:
                self.up.dataReceived(piece)
            else:
                self.upwire.lose(clean=False)

    def slow(self) -> None:
        """For longer than it may be, the client takes next to nothing."""
        for _ in range(8):
            self.wire.drink(1)
            self.bench.advance(0.3)
        self.pump()

    def drink(self, size: int = 1 << 30) -> None:
        """The client takes so much, and the gateway's turns go by."""
        while size and not self.wire.aborted:
            before = len(self.wire.written)
            self.wire.drink(min(size, 700))
            self.bench.reactor.advance(0)
            self.pump()
            took = len(self.wire.written) - before
            size -= took
            if not took:
                break
