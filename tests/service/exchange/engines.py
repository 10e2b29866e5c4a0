"""The other end of a gateway's connections: engines that do as the test says."""

from __future__ import annotations

from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from tests.fakes import STREAM_HEAD, Wire, answer, chunk
from tests.wire.streams import DONE, _chat

#: What an engine can do with a request, in one go.
ANSWERS = {
    "json": answer(b'{"id":"c"}'),
    "malformed": answer(b'{"id":'),
    "429": answer(b'{"error":{}}', status=b"429 Too Many Requests"),
    "429 later": answer(b'{"error":{}}', b"Retry-After: 2", status=b"429 Too Many Requests"),
    "503": answer(b"", status=b"503 Service Unavailable"),
    "503 later": answer(b'{"error":{}}', b"Retry-After: 100", status=b"503 Service Unavailable"),
    "500": answer(b'{"error":{}}', status=b"500 Internal Server Error"),
    "400": answer(b'{"error":{}}', status=b"400 Bad Request"),
    "empty stream": STREAM_HEAD + b"0\r\n\r\n",
    "head of a stream": STREAM_HEAD,
    "half of a body": answer(b'{"id":"c"}')[:-4],
    "garbage": b"\0\0",
}


class Engine:
    """The other end of a connection to a replica.

    @ivar begun: what it has said of its answer to the request that it has now.
    """

    def __init__(self, connection: UpstreamConnection, wire: Wire, number: int) -> None:
        self.connection, self.wire, self.number = connection, wire, number
        self._uses = 0
        self._begun = ""

    @property
    def open(self) -> bool:
        return self.wire.protocol is not None

    @property
    def asked(self) -> bool:
        """It has a request that is not over."""
        return self.open and self.connection._assembly is not None

    @property
    def begun(self) -> str:
        if self._uses != self.connection.uses:
            self._uses, self._begun = self.connection.uses, ""
        return self._begun

    def begin(self, how: str) -> None:
        assert not self.begun
        self._begun = how

    def event(self) -> bytes:
        """One that tells whose it is."""
        return chunk(_chat(f'{{"content":"<{self.number}>"}}').encode())

    def say(self, data: bytes) -> None:
        self.connection.dataReceived(data)

    def finish(self) -> None:
        """Whatever it has begun, it ends well."""
        if self.begun in ("", "half of a body"):
            self.say(ANSWERS["json"][-4:] if self.begun else ANSWERS["json"])
        else:
            self.say(self.event() + chunk((_chat("{}", '"stop"') + DONE).encode()) + b"0\r\n\r\n")
