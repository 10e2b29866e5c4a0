"""Responses as a strict client reads them (RFC 9112): one after the other, and how each of them ended."""

from __future__ import annotations

from collections.abc import Callable


class NotHttp(Exception):
    """What came is no response."""


class Seen:
    """One response.

    @ivar whole: its framing said that it was over.
    @ivar framing: C{length}, C{chunked}, C{close}, or C{none}.
    """

    def __init__(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.headers = headers
        self.body = bytearray()
        self.whole = False
        self.framing = "none"

    def header(self, name: str) -> str | None:
        """Its value, where it comes once at most."""
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise NotHttp(f"{name} comes {len(found)} times")
        return found[0] if found else None


class ResponseReader:
    """C{begun} is told of each head, C{over} of each response that is whole."""

    def __init__(self, begun: Callable[[Seen], None], over: Callable[[Seen], None]) -> None:
        self._begun = begun
        self._over = over
        self._buffer = bytearray()
        self._left = 0
        self._between = True
        self.current: Seen | None = None

    def feed(self, data: bytes) -> None:
        """@raise NotHttp: it is none."""
        self._buffer += data
        while self._buffer and self._go_on():
            pass

    def closed(self, *, clean: bool) -> None:
        """The connection is over."""
        current = self.current
        if current is not None and current.framing == "close" and clean:
            self._end(current)
        elif current is None and self._buffer:
            raise NotHttp(f"a head that ends too early: {bytes(self._buffer[:80])!r}")

    def _go_on(self) -> bool:
        current = self.current
        if current is None:
            return self._head()
        if current.framing == "close":
            current.body += self._buffer
            self._buffer.clear()
            return False
        if self._left:
            taken = self._buffer[: self._left]
            del self._buffer[: self._left]
            current.body += taken
            self._left -= len(taken)
            if self._left:
                return False
        if current.framing == "length":
            self._end(current)
            return True
        return self._chunk(current)

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise NotHttp(f"start line {lines[0]!r}")
        pairs = [line.partition(":") for line in lines[1:]]
        if not all(mark and name and name == name.strip() for name, mark, _ in pairs):
            raise NotHttp(f"header lines {lines[1:]!r}")
        seen = Seen(int(rest[:3]), [(name.lower(), value.strip()) for name, _, value in pairs])
        if seen.status < 200:
            return True
        self._frame(seen)
        self.current = seen
        self._between = True
        self._begun(seen)
        if seen.framing == "none" or (seen.framing == "length" and not self._left):
            self._end(seen)
        return True

    def _frame(self, seen: Seen) -> None:
        length, coding = seen.header("content-length"), seen.header("transfer-encoding")
        if length is not None and coding is not None:
            raise NotHttp("both a length and a coding")
        if seen.status in (204, 304):
            seen.framing = "none"
        elif coding is not None:
            if coding != "chunked":
                raise NotHttp(f"transfer-encoding {coding}")
            seen.framing = "chunked"
        elif length is not None:
            seen.framing, self._left = "length", int(length)
        else:
            seen.framing = "close"

    def _chunk(self, current: Seen) -> bool:
        if not self._between:
            if len(self._buffer) < 2:
                return False
            if self._buffer[:2] != b"\r\n":
                raise NotHttp("a chunk that is longer than it says")
            del self._buffer[:2]
            self._between = True
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        try:
            size = int(self._buffer[:end], 16)
        except ValueError:
            raise NotHttp(f"chunk size {bytes(self._buffer[:end])!r}") from None
        if not size:
            if len(self._buffer) < end + 4:
                return False
            del self._buffer[: end + 4]
            self._end(current)
            return True
        del self._buffer[: end + 2]
        self._left = size
        self._between = False
        return True

    def _end(self, seen: Seen) -> None:
        seen.whole = True
        self.current = None
        self._over(seen)
