"""Clients as they are: most ask and are answered; some leave, some ask for what there is not, some for what breaks.

One loop, which waits a millisecond at most, drives them and the engines.  So many requests begin in a second, however
long their answers take, and besides so many streams are open all the time.
"""

from __future__ import annotations

import random
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.scripted_engine import MODEL, STREAM_HEAD, Engine, chunk, frame, whole

_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_FAULT = re.compile(rb'"user":"(refuse|report|cut)"')

#: What a client asks for, how often of a hundred, and the statuses that are right.
KINDS: dict[str, tuple[float, tuple[int, ...]]] = {
    "whole": (74.0, (200,)),
    "alias": (4.0, (200,)),
    "models": (4.0, (200,)),
    "closing": (4.0, (200,)),  # and a new connection for the next
    "leaves": (4.0, (0,)),  # before there is an answer
    "unsent": (2.0, (0,)),  # before its request is there whole
    "unknown": (3.0, (404,)),  # a model, under ever new names
    "nowhere": (2.0, (404,)),  # a path, under ever new names
    "garbage": (2.0, (400,)),
    "refuse": (0.5, (500,)),  # the engine's own error
    "report": (0.25, (200, 500)),  # the engine's error within a stream
    "cut": (0.25, (200,)),  # the engine closes within a stream
}

#: Of streams that are kept open: how many of a hundred are left by their client.
LEFT = 30


class FaultyEngine(Engine):
    """A scripted engine that fails where the request asks it to."""

    def answer(self, fd: int, data: bytes, end: int) -> None:
        """As L{Engine.answer}, or not at all so."""
        fault = _FAULT.search(data, end)
        if fault is None:
            super().answer(fd, data, end)
        elif fault[1] == b"refuse":
            self.send(fd, whole(b'{"error":{"message":"out of luck","type":"server_error"}}', b"500 Internal"))
        else:
            self.send(fd, STREAM_HEAD + chunk(frame(b'{"content":"A"}')) + chunk(frame(b'{"content":" word"}')))
            if fault[1] == b"cut":
                self.drop(fd)
            else:
                error = b'data: {"error":{"message":"out of luck","type":"server_error","code":500}}\n\n'
                self.send(fd, chunk(error) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


@dataclass
class Seen:
    """What came of it.

    @ivar ended: by kind and status; 0: the client left before.
    @ivar bad: those of them that should not have been so, and answers that were cut.
    @ivar said: the beginning of one of these.
    """

    begun: int = 0
    events: int = 0
    ended: Counter[tuple[str, int]] = field(default_factory=Counter)
    bad: Counter[tuple[str, int]] = field(default_factory=Counter)
    said: dict[tuple[str, int], bytes] = field(default_factory=dict)


class _Peer:
    """A connection, and what is asked on it."""

    __slots__ = ("closes", "kind", "leaves_at", "left", "said", "seen", "socket", "status", "tail")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.closes = False
        self.ask("", None)

    def ask(self, kind: str, leaves_at: int | None) -> None:
        """@param leaves_at: it closes once it has had so many events; C{None}: it stays."""
        self.kind, self.leaves_at = kind, leaves_at
        self.status = self.seen = 0
        self.said = b""
        self.left: int | None = None  # bytes of a body whose length is known
        self.tail = b""

    def take(self, data: bytes) -> bool:
        """@return: the answer is whole."""
        if not self.said:
            self.said = data[:1000]
        if not self.status:
            self.tail += data
            end = self.tail.find(b"\r\n\r\n")
            if end < 0:
                return False
            head, data, self.tail = self.tail[:end], self.tail[end + 4 :], b""
            status, length = _STATUS.match(head), _LENGTH.search(head)
            self.status = int(status[1]) if status else -1
            self.left = int(length[1]) if length else None
            self.closes = b"\r\nconnection: close" in head.lower()
        if self.left is not None:
            self.left -= len(data)
            return self.left <= 0
        self.seen += data.count(b"data: ")
        self.tail = (self.tail + data)[-7:]
        return self.tail.endswith(b"\r\n0\r\n\r\n")


class MixedLoad:
    """Clients of one port, with the engines behind it.

    @ivar seen: what came of it so far.
    @ivar open: streams that are, of those that are kept open.
    """

    def __init__(
        self,
        port: int,
        engines: Sequence[Engine],
        *,
        per_second: float,
        streams: int,
        kinds: Sequence[str] = tuple(KINDS),
        events: tuple[int, int] = (20, 240),
    ) -> None:
        """
        @param streams: no more than C{per_second} of them begin in a second.
        @param kinds: which of L{KINDS} there are.
        @param events: how many a stream has, at least and at most.
        """
        self._port = port
        self._engines = engines
        self._gap_s = 1 / per_second
        self._streams = streams
        self._events = events
        self.open = 0
        self._random = random.Random(1)
        self._numbers: Iterator[int] = iter(range(1 << 60))
        self._poll = select.epoll()
        self._peers: dict[int, _Peer] = {}
        self._idle: list[_Peer] = []
        self._kinds, self._weights = kinds, [KINDS[kind][0] for kind in kinds]
        self.seen = Seen()

    def run(self, seconds: float) -> None:
        """For so long; what is under way then stays so."""
        now = due = time.monotonic()
        until = now + seconds
        while now < until:
            for engine in self._engines:
                engine.step()
            for fd, _ in self._poll.poll(0.001):
                peer = self._peers.get(fd)
                if peer is not None:
                    self._read(peer)
            now = time.monotonic()
            while due <= now:
                due += self._gap_s
                kind = self._random.choices(self._kinds, self._weights)[0]
                self._begin(kind)
                if self.open < self._streams:
                    self._begin("stream")

    def close(self) -> None:
        """Leave."""
        for peer in self._peers.values():
            peer.socket.close()
        self._poll.close()

    def _begin(self, kind: str) -> None:
        self.seen.begun += 1
        rng = self._random
        events = rng.randint(*self._events)
        leaves = kind == "stream" and rng.randrange(100) < LEFT
        peer = self._idle.pop() if self._idle else self._connected()
        peer.ask(kind, rng.randrange(events) if leaves else None)
        self.open += kind == "stream"
        raw = self._request(kind, events)
        try:
            peer.socket.sendall(raw[: len(raw) // 2] if kind == "unsent" else raw)
        except OSError:  # it was closed while it idled, as it may be
            self._lost(peer, bad=False)
            return
        if kind == "unsent" or (kind == "leaves" and rng.random() < 0.5):
            self._left(peer)  # the other half leave when they hear something

    def _request(self, kind: str, events: int) -> bytes:
        number = next(self._numbers)
        if kind == "models":
            return b"GET /v1/models HTTP/1.1\r\nhost: bench\r\n\r\n"
        path = b"/v1/nowhere/%d" % number if kind == "nowhere" else b"/v1/chat/completions"
        model = {"unknown": b"model-%d" % number, "alias": b"bench-alias"}.get(kind, MODEL)
        streams = b"true" if kind in ("stream", "leaves", "report", "cut") else b"false"
        prompt = b"Rule %d of many that are the same for everybody who asks. " % self._random.randrange(40) * 8
        body = (
            b'{"model":"%b","messages":[{"role":"system","content":"%b"},{"role":"user","content":"question %d, %b"}],'
            b'"max_tokens":%d,"stream":%b,"user":"%b"}'
        ) % (model, prompt, number, b"at length " * self._random.randrange(20), events, streams, kind.encode())
        if kind == "garbage":
            body = body[:-9]
        closing = b"connection: close\r\n" if kind == "closing" else b""
        head = b"POST %b HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
        return head % (path, closing, len(body)) + body

    def _connected(self) -> _Peer:
        made = socket.create_connection(("127.0.0.1", self._port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        peer = self._peers[made.fileno()] = _Peer(made)
        self._poll.register(made, select.EPOLLIN)
        return peer

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(peer, bad=peer.kind not in ("report", "cut"))
            return
        before = peer.seen
        over = peer.take(data)
        self.seen.events += peer.seen - before
        if peer.kind == "leaves" or (peer.leaves_at is not None and peer.seen > peer.leaves_at and not over):
            peer.status = 0
            self._left(peer)
        elif over:
            self._ended(peer)
            if peer.closes:
                self._forget(peer)
            else:
                peer.ask("", None)
                self._idle.append(peer)

    def _lost(self, peer: _Peer, *, bad: bool) -> None:
        """It was closed."""
        if peer in self._idle:
            self._idle.remove(peer)
        elif peer.kind:
            self._ended(peer, bad=bad)
        self._forget(peer)

    def _left(self, peer: _Peer) -> None:
        self._ended(peer)
        self._forget(peer)

    def _ended(self, peer: _Peer, *, bad: bool = False) -> None:
        kind, status = peer.kind, peer.status
        self.open -= kind == "stream"
        self.seen.ended[kind, status] += 1
        right = (0, 200) if kind == "stream" else KINDS[kind][1]
        if bad or status not in right:
            self.seen.bad[kind, status] += 1
            self.seen.said.setdefault((kind, status), peer.said)

    def _forget(self, peer: _Peer) -> None:
        del self._peers[peer.socket.fileno()]
        with suppress(OSError):
            self._poll.unregister(peer.socket)
        peer.socket.close()
