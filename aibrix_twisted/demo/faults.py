"""The ways to misbehave, by name: C{cut=200} or C{split,close_before_last_chunk}.

====================== =========================================================================================
cut=N, rst=N           end after N bytes of body, framing counted, with FIN or with RST
close_before_last_chunk, rst_before_last_chunk, close_after_last_chunk, rst_after_last_chunk
duplicate_last_chunk   the last chunk comes twice
drip=MS                one byte each MS milliseconds
split                  writes are cut at places chosen by lot
merge=N                N events a write
fuse=N                 N tokens an event
hollow                 before each event with text one without
no_text                an answer of no tokens: of a stream there is only the event that finishes it
wrong_length=N         C{content-length} is off by N
status=NNN             an error instead
hang, hang_after=N     no head comes; nothing comes after N events
no_done, early_done    C{[DONE]} is missing; comes before the finish
error_event            an error amid the events and then C{[DONE]}, as vLLM does when its engine process dies
dies                   C{error_event}; from then on it is not well: 503 to C{/health}, 500 to whoever asks for tokens
malformed_json, empty_body
bad_head, bad_chunk, both_lengths, two_heads, huge_head, interim_103, garbage_after
http10                 no framing; the close ends the body
gzip_claim             C{content-encoding: gzip} of what is none
crlf, cr               the events' line ends
flood=BYTES            a stream as fast as it is taken, until so many bytes were sent
idle_close             the connection is closed after the answer, unannounced
refuse_bytes           the connection is closed before a byte of an answer
busy                   until the answer is over, nobody is told of health or models
====================== =========================================================================================
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

#: Names that take a number, and whether it must.
_WITH_NUMBER: Final = frozenset(
    {"cut", "drip", "flood", "fuse", "hang_after", "merge", "rst", "status", "wrong_length"}
)  # fmt: skip
_ALONE: Final = frozenset(
    {
        "bad_chunk", "bad_head", "both_lengths", "busy", "close_after_last_chunk", "close_before_last_chunk", "cr",
        "crlf", "dies", "duplicate_last_chunk", "early_done", "empty_body", "error_event", "garbage_after",
        "gzip_claim", "hang", "hollow", "http10", "huge_head", "idle_close", "interim_103", "malformed_json", "no_done",
        "no_text", "refuse_bytes", "rst_after_last_chunk", "rst_before_last_chunk", "split", "two_heads",
    }
)  # fmt: skip

Fault = dict[str, int]


class UnknownFault(ValueError):
    """There is no such fault."""


def parse_fault(text: str) -> Fault:
    """C{name} or C{name=number}, several by comma.

    @raise UnknownFault: says what is known.
    """
    fault: Fault = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, mark, number = part.partition("=")
        if name in _WITH_NUMBER and mark:
            try:
                fault[name] = int(number)
            except ValueError:
                raise UnknownFault(f"{part}: expected a whole number after {name}=") from None
        elif name in _ALONE and not mark:
            fault[name] = 1
        else:
            known = sorted(_ALONE | {f"{name}=N" for name in _WITH_NUMBER})
            raise UnknownFault(f"{part}: expected one of {', '.join(known)}")
    return fault


@dataclass(slots=True)
class _Armed:
    fault: Fault
    count: int
    every: int
    seen: int = 0


class Faults:
    """Faults that wait for coming requests."""

    def __init__(self) -> None:
        self._armed: deque[_Armed] = deque()

    def arm(self, text: str, *, count: int = 1, every: int = 1) -> None:
        """The next C{count} requests, or each C{every}-th of them, get it."""
        self._armed.append(_Armed(parse_fault(text), count, max(1, every)))

    def clear(self) -> None:
        """Behave."""
        self._armed.clear()

    def waiting(self) -> list[dict[str, object]]:
        """Those armed."""
        return [{"fault": armed.fault, "count": armed.count, "every": armed.every} for armed in self._armed]

    def next(self) -> Fault:
        """What the request that came now gets."""
        if not self._armed:
            return {}
        armed = self._armed[0]
        armed.seen += 1
        if armed.seen % armed.every:
            return {}
        armed.count -= 1
        if armed.count <= 0:
            self._armed.popleft()
        return armed.fault
