"""C{Retry-After}: when a server wants to be asked again (RFC 9110 §10.2.3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from aibrix_twisted.wire.head import ResponseHead


def retry_after(head: ResponseHead) -> float:
    """In how many seconds; 0 where the head does not say, or not intelligibly.

    A date is measured against the response's own C{Date}, so that no clock has to agree with another.
    """
    said = head.fields.get(b"retry-after", b"")
    if said.isdigit():
        return float(said.lstrip(b"0")[:9] or 0)
    try:
        then = parsedate_to_datetime(said.decode("ascii"))
        now = parsedate_to_datetime(head.fields.get(b"date", b"").decode("ascii"))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0
