"""C{traceparent}: of which trace a request is a part (W3C Trace Context, level 2, §3.2)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: §3.2.2.  Flags that are known are the last two bits: sampled, and that the trace's id was drawn at random.
SAMPLED: Final = 0x01
RANDOM: Final = 0x02

#: Lower case only, and no id of zeros.  There is no version C{ff}; a later one may have more behind another dash.
_PARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.DOTALL
)

#: In its length; the last digit of its flags; and such digits as have the last bit.
_LENGTH: Final = 55
_LAST: Final = 54
_ODD: Final = b"13579bdf"


class Parent(NamedTuple):
    """The span that a request was sent by.

    @ivar trace_id: 128 bits, not zero.
    @ivar span_id: 64 bits, not zero.
    @ivar flags: those that are known.
    """

    trace_id: int
    span_id: int
    flags: int


def is_sampled(raw: bytes) -> bool | None:
    """Whether whoever sent the header keeps its own part of the trace.  Numbers are made of it only where it does.

    @return: C{None} where the value is none; then C{tracestate} means nothing, either (§3.3.1.4, §4.3).
    """
    if _PARENT.fullmatch(raw) is None or (len(raw) > _LENGTH and raw.startswith(b"00")):
        return None
    return raw[_LAST] in _ODD


def parse_traceparent(raw: bytes) -> Parent:
    """Read the header's value.

    @param raw: one of which L{is_sampled} knows an answer.
    """
    match = _PARENT.fullmatch(raw)
    assert match is not None
    trace_id, span_id, flags = match.groups()
    return Parent(int(trace_id, 16), int(span_id, 16), int(flags, 16) & (SAMPLED | RANDOM))


def traceparent(trace_id: int, span_id: int, flags: int) -> bytes:
    """The header's value, in version 00."""
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, flags)
