"""An engine that does what a test says, on raw sockets: a strict reader of requests, a writer of whatever bytes.

Which case a request belongs to it says in its header C{x-case}; a case that has no script is answered in good form.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

MODELS = b'{"object":"list","data":[{"id":"m","object":"model","max_model_len":4096}]}'


@dataclass
class Seen:
    """A request as the engine got it.

    @ivar names: of its headers, lower case, in order, repeated ones too.
    """

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    names: list[bytes]
    body: bytes = b""


class Talk:
    """What a script speaks with: the engine's end of a connection, upon a request."""

    def __init__(self, handle: socket.socket, seen: Seen) -> None:
        self._socket = handle
        self.seen = seen
        self.sent = 0

    def send(self, data: bytes) -> bool:
        """Send it.

        @return: whether it could be sent.
        """
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return True

    def finish(self) -> None:
        """End by FIN."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End by RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def gone(self, seconds: float) -> bool:
        """Wait until the gateway has closed.

        @return: whether it did in time.
        """
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


#: Called upon a whole request; the connection goes on after it, unless it was ended.
Script = Callable[[Talk], None]


def whole(body: bytes, lines: bytes = b"content-type: application/json\r\n", status: bytes = b"200 OK") -> bytes:
    """A response in good form."""
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def chunked(body: bytes, size: int, lines: bytes = b"content-type: application/json\r\n") -> bytes:
    """The same in chunks of so many bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n%b0\r\n\r\n" % (lines, framed)


@dataclass
class Origin:
    """Listens from its making to C{close}.

    @ivar strays: what came that is no request of a case: nothing should.
    """

    scripts: dict[str, Script] = field(default_factory=dict)
    seen: defaultdict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    strays: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and end what is open."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for handle in tuple(self._open):
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def of(self, case: str, count: int = 0, seconds: float = 5.0) -> list[Seen]:
        """What came of a case; waited for, until there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.seen[case]) < count and time.monotonic() < deadline:
            time.sleep(0.002)
        return self.seen[case]

    def _accept(self) -> None:
        while True:
            try:
                handle, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(handle,), daemon=True).start()

    def _serve(self, handle: socket.socket) -> None:
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(handle)
        with contextlib.suppress(OSError), handle:
            rest = b""
            while True:
                seen, rest = self._request(handle, rest)
                if seen is None:
                    break
                case = seen.headers.get(b"x-case", b"").decode()
                if case:
                    self.seen[case].append(seen)
                elif seen.target not in (b"/v1/models", b"/health", b"/metrics"):
                    self.strays.append(repr(seen))
                script = self.scripts.get(case)
                if script is None:
                    handle.sendall(whole(MODELS if seen.target == b"/v1/models" else echo(seen)))
                    continue
                handle.settimeout(None)
                script(Talk(handle, seen))
                if handle.fileno() < 0:
                    break
        self._open.discard(handle)

    def _request(self, handle: socket.socket, rest: bytes) -> tuple[Seen | None, bytes]:
        """One request, read strictly."""
        reader = h11.Connection(h11.SERVER)
        seen = None
        if rest:
            reader.receive_data(rest)
        while True:
            try:
                event = reader.next_event()
                if event is h11.NEED_DATA:
                    reader.receive_data(handle.recv(65536))
                    continue
            except h11.RemoteProtocolError as error:
                self.strays.append(f"not HTTP: {error}")
                return None, b""
            if isinstance(event, h11.Request):
                headers = dict(event.headers)
                seen = Seen(event.method.decode(), event.target, headers, [name for name, _ in event.headers])
            elif isinstance(event, h11.Data):
                assert seen is not None
                seen.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return seen, reader.trailing_data[0]
            else:
                return None, b""


def echo(seen: Seen) -> bytes:
    """A document that says which request it answers."""
    return b'{"object":"text_completion","case":"%b","asked":%d}' % (
        seen.headers.get(b"x-case", b""),
        len(seen.body),
    )
