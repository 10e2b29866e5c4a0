"""Server-sent events, as WHATWG HTML §9.2 has them, out of bytes that are cut anywhere."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: The end of an event: two line ends in a row, each CR LF, LF or CR; a CR LF is never taken for two.
_BLANK: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_CR: Final = 13
_BOM: Final = b"\xef\xbb\xbf"


class TooLong(Exception):
    """An event exceeds the bound that it may have.

    @ivar events: those that were whole before it, in the same piece.
    """

    def __init__(self, max_bytes: int, events: list[bytes]) -> None:
        super().__init__(f"an event exceeds {max_bytes} bytes")
        self.events = events


class Event(NamedTuple):
    """One event that has data.

    @ivar raw: its bytes as they came, the blank line that ends it included.
    """

    data: bytes
    name: bytes
    raw: bytes


def read_event(raw: bytes) -> Event | None:
    """One event out of its lines; C{None} where there is no data in them, as in a comment."""
    data: list[bytes] = []
    name = b""
    raw_lines = raw.removeprefix(_BOM)
    for line in raw_lines.split(b"\n") if _CR not in raw_lines else _LINE_END.split(raw_lines):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(data), name, raw) if data else None


class SSEParser:
    """Cuts bytes into events.  Works on bytes: a character cut in two is whole again when its event is."""

    __slots__ = ("_max_bytes", "_rest")

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """What is not yet an event."""
        return self._rest

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes.

        @return: each event that is whole now, as its raw bytes, blank line included; comments too.
        @raise TooLong: one exceeds C{max_bytes}.
        """
        searched = max(0, len(self._rest) - 3)  # a blank line has up to four bytes
        rest = self._rest + data
        raws = []
        at = 0
        for end in _ends(rest, searched):
            if end - at > self._max_bytes:
                break
            raws.append(rest[at:end])
            at = end
        self._rest = rest[at:]
        if len(self._rest) > self._max_bytes:
            raise TooLong(self._max_bytes, raws)
        return raws

    def finish(self) -> list[bytes]:
        """No more comes.  An event whose blank line did not come is none; one whose CR LF was cut is."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.endswith((b"\r\r", b"\n\r", b"\r\n\r")) else []


def _ends(data: bytes, searched: int) -> list[int]:
    """Where blank lines end; one that may be the half of a longer one is none.

    @param searched: there is none that ends before it.
    """
    if _CR in data:
        return [
            blank.end()
            for blank in _BLANK.finditer(data, searched)
            if blank.end() < len(data) or not data.endswith(b"\r")  # half of a CR LF, perhaps
        ]
    ends = []
    end = data.find(b"\n\n", searched)
    while end >= 0:
        ends.append(end + 2)
        end = data.find(b"\n\n", end + 2)
    return ends


def encode_event(data: bytes) -> bytes:
    """One event, of data without line ends."""
    return b"data: %b\n\n" % data
