"""A client's end of a connection: bytes as they are, read by h11 so that nothing of the gateway judges the gateway."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType

import h11

#: A test that waits for longer has failed.
PATIENCE_S = 30.0

#: Ports on which TLS is spoken; whose certificate it is, other tests ask.
SECURE: set[int] = set()

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE


@dataclass
class Answer:
    """One response.

    @ivar status: 0: none came.
    @ivar whole: its framing ended as it should.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    interim: list[int] = field(default_factory=list)


class Line:
    """One connection.

    @ivar rest: bytes that were read and belong to no answer that was asked for yet.
    @ivar ended: how the other side ended it: C{fin}, C{rst}, or C{""} where it has not.
    @ivar received: bytes that came.
    """

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        """@param receive_buffer: bytes that the system is to keep for us; 0: as many as it likes."""
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE_S)
        self.rest = b""
        self.ended = ""
        self.received = 0
        try:
            self._socket.connect(("127.0.0.1", port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if port in SECURE:
                self._socket = _TLS.wrap_socket(self._socket)
        except ConnectionResetError:  # the other side was as quick as that
            self.ended = "rst"
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For those who wait for several."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send it all.  One who has closed does not take it, which is no fault."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        except OSError:
            if self._socket.fileno() >= 0:  # closed by us amid it
                raise

    def shut(self) -> None:
        """Have whoever is sending on it, in another thread, stop."""
        self.ended = "shut"
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Leave by RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def read(self, seconds: float = PATIENCE_S) -> bytes:
        """What comes next; C{b""}: it ended, or nothing came in time."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return b""
        except (ConnectionResetError, ssl.SSLError):
            self.ended = "rst"
            return b""
        if not data:
            self.ended = "fin"
        self.received += len(data)
        return data

    def answer(self, method: str = "GET", seconds: float = PATIENCE_S) -> Answer:
        """The next response, as whole as it comes."""
        reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        reader.send(h11.Request(method=method, target="/", headers=[("host", "gw")]))
        reader.send(h11.EndOfMessage())
        answer = Answer()
        data, self.rest = self.rest, b""
        while True:
            if data:
                reader.receive_data(data)
            elif self.ended == "fin":
                try:
                    reader.receive_data(b"")
                except RuntimeError:
                    return answer
            try:
                if self._take(reader, answer):
                    self.rest = reader.trailing_data[0]
                    return answer
            except h11.RemoteProtocolError:
                return answer
            if self.ended:
                return answer
            data = self.read(seconds)
            if not data and not self.ended:
                return answer

    @staticmethod
    def _take(reader: h11.Connection, answer: Answer) -> bool:
        while True:
            event = reader.next_event()
            if isinstance(event, h11.InformationalResponse):
                answer.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.whole = True
                return True
            else:
                return event is h11.PAUSED

    def drain(self, seconds: float = PATIENCE_S) -> bytes:
        """All that comes until the other side ends it, or is silent for so long."""
        data, self.rest = self.rest, b""
        while not self.ended:
            more = self.read(seconds)
            if not more and not self.ended:
                break
            data += more
        return data
