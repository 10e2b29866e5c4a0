"""Where an exchange is now, told by what has been stamped."""

from __future__ import annotations

import enum

from aibrix_twisted.domain.exchange import Exchange


class LiveState(enum.StrEnum):
    """In the order in which an exchange passes them; an attempt that comes to nothing leads back to C{waiting}."""

    RECEIVING = "receiving"  # the client sends its request
    WAITING = "waiting"  # in the waiting room, for a probe's word, or between two attempts
    CONNECTING = "connecting"  # to a replica
    AWAITING_FIRST_TOKEN = "awaiting_first_token"  # a replica has the request
    STREAMING = "streaming"  # some of an answer's body has come, whether it is a stream or gathered first
    OVER = "over"


def state_of(exchange: Exchange) -> LiveState:
    """Where it is.  Of two attempts at once, the one that is further counts."""
    stamps = exchange.stamps
    if stamps.ended is not None:
        return LiveState.OVER
    if stamps.first_byte is not None:
        return LiveState.STREAMING
    if stamps.read is None:
        return LiveState.RECEIVING
    live = [record for record in exchange.tries if record.ended is None]
    if any(record.first is not None for record in live):
        return LiveState.STREAMING
    if any(record.sent is not None for record in live):
        return LiveState.AWAITING_FIRST_TOKEN
    return LiveState.CONNECTING if live else LiveState.WAITING
