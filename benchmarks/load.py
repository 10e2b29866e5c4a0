"""A client that costs next to nothing: many connections on one epoll, which never waits (see scripted_engine)."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def _request(stream: bool, tokens: int) -> bytes:
    body = b'{"model":"bench","messages":[{"role":"user","content":"%b"}],"max_tokens":%d,"stream":%b}' % (
        b"a question of some length " * 8,
        tokens,
        b"true" if stream else b"false",
    )
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nuser-agent: bench\r\naccept: */*\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


@dataclass
class Result:
    """What was seen.

    @ivar bad: answers that were not what they should be.
    @ivar first_s: time to the first byte of each answer.
    """

    answers: int = 0
    events: int = 0
    bad: int = 0
    first_s: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Load:
    """Connections to one port.  Each sends its next request once the last answer is whole."""

    def __init__(
        self, port: int, connections: int, *, stream: bool, tokens: int = 0, meanwhile: Callable[[], None]
    ) -> None:
        """@param meanwhile: called over and over: drives the engine."""
        self._meanwhile = meanwhile
        self._raw = _request(stream, tokens)
        self._stream = stream
        self._poll = select.epoll()
        self._peers: dict[int, socket.socket] = {}
        self._tail: dict[int, bytes] = {}
        self._asked: dict[int, float] = {}
        self.result = Result()
        for _ in range(connections):
            peer = socket.create_connection(("127.0.0.1", port))
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setblocking(False)
            self._peers[peer.fileno()] = peer
            self._poll.register(peer, select.EPOLLIN)

    def run(self, answers: int, *, patience_s: float = 60.0) -> Result:
        """Ask until there were so many answers."""
        begun = time.monotonic()
        left = answers
        for fd in tuple(self._peers)[:answers]:
            self._ask(fd)
            left -= 1
        while self._asked and time.monotonic() - begun < patience_s:
            self._meanwhile()
            for fd, _ in self._poll.poll(0):
                if self._read(fd) and left > 0:
                    left -= 1
                    self._ask(fd)
        self.result.bad += len(self._asked)
        self.result.seconds = time.monotonic() - begun
        return self.result

    def open_streams(self, events: int, *, patience_s: float = 30.0) -> int:
        """Ask on every connection, and read until each has had so many events.  They stay open."""
        seen = dict.fromkeys(self._peers, 0)
        for fd in self._peers:
            self._ask(fd)
        begun = time.monotonic()
        while min(seen.values()) < events and time.monotonic() - begun < patience_s:
            self._meanwhile()
            for fd, _ in self._poll.poll(0):
                before = self.result.events
                self._read(fd)
                seen[fd] += self.result.events - before
        return sum(1 for count in seen.values() if count >= events)

    def close(self) -> None:
        """Leave."""
        for peer in self._peers.values():
            peer.close()
        self._poll.close()

    def _ask(self, fd: int) -> None:
        self._tail[fd] = b""
        self._asked[fd] = time.monotonic()
        self._peers[fd].send(self._raw)

    def _read(self, fd: int) -> bool:
        """@return: the answer is whole."""
        result = self.result
        try:
            data = self._peers[fd].recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            result.bad += fd in self._asked
            self._asked.pop(fd, None)
            self._poll.unregister(fd)
            return False
        if not self._tail[fd]:
            result.first_s.append(time.monotonic() - self._asked[fd])
            result.bad += not data.startswith(b"HTTP/1.1 200")
        if self._stream:
            result.events += data.count(b"data: ")
            whole = (self._tail[fd][-8:] + data).endswith(b"\r\n0\r\n\r\n")
        else:
            whole = (self._tail[fd][-8:] + data).endswith((b"}}", b"}}\r\n0\r\n\r\n"))
        self._tail[fd] = (self._tail[fd] + data)[-8:]
        if whole:
            result.answers += 1
            del self._asked[fd]
        return whole
