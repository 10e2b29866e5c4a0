"""An engine that costs next to nothing: one epoll, canned answers, streams paced by one clock.

It has no loop of its own: whoever drives it calls C{step}, over and over and without ever waiting.  An engine that
slept would have to be woken by whoever sends to it, and in a virtual machine a wake-up costs the sender more than the
sending; a slow relay would find it asleep more often than a fast one, and pay for that.

A stream has C{max_tokens} events.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

#: What it serves.
MODEL = b"bench"

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOKENS = re.compile(rb'"max_tokens": *(\d+)')

_FRAME = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
)


def chunk(data: bytes) -> bytes:
    """One chunk of a body (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def frame(delta: bytes, finish_reason: bytes = b"null") -> bytes:
    """One event of a stream, as vLLM has it."""
    return _FRAME % (delta, finish_reason)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_FIRST = STREAM_HEAD + chunk(frame(b'{"role":"assistant","content":""}'))
_EVENTS = [chunk(frame(b'{"content":" word%d"}' % number)) for number in range(10, 50)]
_LAST = chunk(frame(b"{}", b'"length"')) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer that is no stream."""
    return (
        b"HTTP/1.1 %b\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: %d\r\n"
        b"content-type: application/json\r\n\r\n%b" % (status, len(body), body)
    )


_ANSWER = whole(
    b'{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1700000000,"model":"bench","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"' + b"word " * 40 + b'"},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":40,"total_tokens":52}}'
)
_MODELS = whole(b'{"object":"list","data":[{"id":"bench","object":"model","created":1,"owned_by":"vllm"}]}')


class Engine:
    """Serves while it is driven.

    @ivar port: where.
    """

    def __init__(self, interval_ms: int = 20) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = int(self._listening.getsockname()[1])
        self._tick = time.monotonic()
        self._turn = 0
        self._listening.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listening, select.EPOLLIN)
        self._peers: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._slots: list[dict[int, int]] = [{} for _ in range(interval_ms)]  # fd to events left, by millisecond
        self._fill = 0

    def step(self) -> None:
        """Whatever is due now."""
        for fd, _ in self._poll.poll(0):
            if fd == self._listening.fileno():
                self._accept()
            else:
                self._read(fd)
        if time.monotonic() >= self._tick:
            self._emit(self._slots[self._turn])
            self._turn = (self._turn + 1) % len(self._slots)
            self._tick = max(self._tick + 0.001, time.monotonic() - 0.05)

    def run_until(self, stop: threading.Event) -> None:
        """In a thread, where nobody else drives it."""
        while not stop.is_set():
            self.step()
            time.sleep(0.0005)

    def close(self) -> None:
        """Serve no more."""
        for peer in (self._listening, *self._peers.values()):
            peer.close()
        self._poll.close()

    def _accept(self) -> None:
        try:
            while True:
                peer, _ = self._listening.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers[peer.fileno()] = peer
                self._poll.register(peer, select.EPOLLIN)
        except BlockingIOError:
            pass

    def _read(self, fd: int) -> None:
        try:
            data = self._peers[fd].recv(65536)
        except OSError:
            data = b""
        if not data:
            self.drop(fd)
            return
        data = self._partial.pop(fd, b"") + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._partial[fd] = data
            return
        length = _LENGTH.search(data, 0, end)
        if length is not None and len(data) < end + 4 + int(length[1]):
            self._partial[fd] = data
            return
        self.answer(fd, data, end)

    def answer(self, fd: int, data: bytes, end: int) -> None:
        """A request is there whole.

        @param end: of its head.
        """
        if data.startswith(b"GET"):
            self.send(fd, _MODELS)
        elif b'"stream":true' in data or b'"stream": true' in data:
            tokens = _TOKENS.search(data, end)
            self.send(fd, _FIRST)
            self._fill = (self._fill + 7) % len(self._slots)
            self._slots[self._fill][fd] = int(tokens[1]) if tokens else 16
        else:
            self.send(fd, _ANSWER)

    def _emit(self, slot: dict[int, int]) -> None:
        for fd, left in tuple(slot.items()):
            if left:
                slot[fd] = left - 1
                self.send(fd, _EVENTS[left % len(_EVENTS)])
            else:
                del slot[fd]
                self.send(fd, _LAST)

    def send(self, fd: int, data: bytes) -> None:
        """To whoever asked there, if that is open still."""
        peer = self._peers.get(fd)
        try:
            if peer is not None:
                peer.send(data)
        except OSError:
            self.drop(fd)

    def drop(self, fd: int) -> None:
        """Close it."""
        peer = self._peers.pop(fd, None)
        self._partial.pop(fd, None)
        for slot in self._slots:
            slot.pop(fd, None)
        if peer is not None:
            peer.close()


@contextmanager
def driven(*engines: Engine) -> Iterator[None]:
    """While something else is done, they answer from threads."""
    stop = threading.Event()
    threads = [threading.Thread(target=engine.run_until, args=(stop,)) for engine in engines]
    with ExitStack() as ending:
        for thread in threads:
            thread.start()
            ending.callback(thread.join)
        ending.callback(stop.set)
        yield
