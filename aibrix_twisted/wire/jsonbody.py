"""A body that is not a stream: gathered whole, and judged once."""

from __future__ import annotations

from typing import Final

import orjson
from zope.interface import classImplements

from aibrix_twisted.interfaces import IBodyDecoder, Payload
from aibrix_twisted.wire.usage import Usage, usage_of

_WHOLE: Final = Payload.WHOLE


class WholeBody:
    """Gathers up to a bound; what comes beyond it passes, and can then only be judged by its framing.

    @ivar usage: what the document says of it, after C{finish}.
    """

    __slots__ = ("_decoded", "_kept", "_max_bytes", "_pieces", "_released", "usage")

    def __init__(self, *, decoded: bool, max_bytes: int) -> None:
        """@param decoded: it is JSON, and whole only if it decodes."""
        self._decoded = decoded
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._kept = 0
        self._released = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Take the next piece.

        @return: nothing, until the bound is passed; then all there was, and from then on each piece.
        """
        if self._released:
            return data
        self._pieces.append(data)
        self._kept += len(data)
        if self._kept <= self._max_bytes:
            return b""
        self._released = True
        self._kept = 0
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    @property
    def held(self) -> int:
        """Bytes that were gathered and have not passed."""
        return self._kept

    def body(self) -> bytes:
        """What was gathered and has not passed."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def finish(self) -> Payload:
        """Decode, where it is JSON and was gathered whole.  An empty body is not JSON, and is not decoded."""
        if not self._decoded or self._released:
            return Payload.OPAQUE
        body = self.body()
        if not body:
            return Payload.CUT
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Payload.CUT
        self.usage = usage_of(document)
        return _WHOLE


classImplements(WholeBody, IBodyDecoder)
