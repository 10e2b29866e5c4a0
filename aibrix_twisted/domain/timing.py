"""An exchange's stamps, and what follows from them.  All in seconds of one monotonic clock."""

from __future__ import annotations


class Stamps:
    """When things happened to an exchange; C{None} for what did not.

    @ivar accepted: the first byte of the request's head came.
    @ivar read: the request was there whole.
    @ivar first_byte: the first byte of an answer's body was on its way to the client.
    @ivar ended: it was over.
    """

    __slots__ = ("accepted", "ended", "first_byte", "read")

    def __init__(self, accepted: float) -> None:
        self.accepted = accepted
        self.read: float | None = None
        self.first_byte: float | None = None
        self.ended: float | None = None

    @property
    def ttft_s(self) -> float | None:
        """Time to first token as the client has it: from the request read whole to the first byte of body."""
        if self.read is None or self.first_byte is None:
            return None
        return self.first_byte - self.read

    @property
    def duration_s(self) -> float:
        """From the first byte of the request to the end."""
        return (self.accepted if self.ended is None else self.ended) - self.accepted
