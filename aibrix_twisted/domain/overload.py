"""Is the process itself near its end?  What is new is turned away before what is under way is hurt.

Two things tell: how much of the memory that the system grants is in use, and how long the reactor takes for a turn.
One turn alone that took long says little: a collection of garbage, or another process that was served first.  Two
that are near each other say that there is more to do than is done.
"""

from __future__ import annotations

from typing import Final

#: Shares of the memory that is granted: from which on clients' connections are not kept, new requests are refused, and
#: new connections wait.
CLOSE_SHARE: Final = 0.85
SHED_SHARE: Final = 0.92
PAUSE_SHARE: Final = 0.97

#: Looks that see a late turn are seen together, if there are no more than so many from one to the next; and for so many
#: after.  There are eight in a second that is not late.
WINDOW: Final = 8

_BEHIND: Final = "it does not keep up"


class Overload:
    """What is known of it.

    @ivar closes: clients' connections are closed after their answers.
    @ivar sheds: why new requests are refused, for people; C{""}: they are not.
    @ivar pauses: new connections are not accepted.
    @ivar lag_s: how late the last turn was, in seconds.
    @ivar memory_share: of what the system grants; 0 where it grants all that there is.
    """

    __slots__ = ("_behind", "_late_at", "_late_s", "closes", "lag_s", "memory_share", "pauses", "sheds")

    def __init__(self) -> None:
        self._late_s = 0.0
        self._late_at = self._behind = WINDOW  # looks since a turn was late, and since one was soon after another
        self.closes = self.pauses = False
        self.sheds = ""
        self.lag_s = 0.0
        self.memory_share = 0.0

    def configure(self, late_s: float) -> None:
        """@param late_s: a turn that is later than that is late; 0: none is."""
        self._late_s = late_s

    @property
    def minds_lag(self) -> bool:
        """Whether late turns matter."""
        return self._late_s > 0

    def turned(self, lag_s: float) -> None:
        """A look: the reactor has come round, so much later than it should."""
        self.lag_s = lag_s
        self._late_at += 1
        self._behind += 1
        if 0 < self._late_s < lag_s:
            if self._late_at <= WINDOW:
                self._behind = 0
            self._late_at = 0
        self._judge(self._behind < WINDOW)

    def uses(self, share: float) -> None:
        """Memory, as a share of what is granted."""
        self.memory_share = share
        self._judge(self.sheds == _BEHIND)

    def _judge(self, behind: bool) -> None:
        share = self.memory_share
        self.closes = share >= CLOSE_SHARE
        self.pauses = share >= PAUSE_SHARE
        if share >= SHED_SHARE:
            self.sheds = "it has hardly any memory left"
        else:
            self.sheds = _BEHIND if behind else ""
