"""Is a replica fit to be sent to?  Everything that is known for and against it, weighed in one place.

Three words, not one, because they are treated differently:

- I{down}: nothing is there.  A connect was refused, or probes failed in a row.  Its requests wait.
- I{ejected}: something is there, but it does badly.  Its breaker is open, it hangs, or somebody said so by hand.  It
  is left out, unless every replica that is not down is ejected: then they are used all the same.
- I{draining}: somebody wants it to finish what it has, and get no more.

A replica that has sent something of an answer lately is healthy, whatever its probe says: busy engines answer probes
late.  But where an attempt broke, or was answered with a failure, and the next probe says that it is not well either,
it is down at once: so does an engine that is being stopped.  A probe that times out while requests are under way is no
evidence by itself; only with silence on all of them, for as long as it takes that many probes to fail, does the
replica count as hanging, and then it is ejected, not down.
"""

from __future__ import annotations

import enum
from typing import Final

from aibrix_twisted.domain.breaker import Breaker, BreakerState
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.interfaces import Random

#: Share of its traffic that a replica begins with after a recovery.
FIRST_SHARE: Final = 0.1


class ProbeResult(enum.Enum):
    """What became of a probe."""

    PASSED = "passed"
    REFUSED = "refused"  # nothing listens there
    FAILED = "failed"  # it answered, and said that it is not well; or what it said was no answer
    TIMED_OUT = "timed out"


class State(enum.Enum):
    """A replica's state, as people are told."""

    UNKNOWN = "unknown"  # it has not said yet which models it serves
    UP = "up"
    DOWN = "down"
    EJECTED = "ejected"
    DRAINING = "draining"


class Health:
    """One per replica.  All times are seconds of the caller's clock.

    @ivar plain: there is nothing against it: the one thing that is looked at where all is well.
    @ivar standing: it is neither down nor draining.
    @ivar heard_at: when something of an answer last came from it.
    @ivar rises: how often it has come up; what failed there before the last time may be tried there again.
    @ivar changed_at: since when C{state} is what it is.
    @ivar suspect: a connection to it broke, or it said that it failed, and neither an attempt that was made since nor
        a probe has said that it is well.
    @ivar not_before: the engine itself asked to be left alone until then.
    """

    __slots__ = (
        "_breaker_settings",
        "_by_hand",
        "_draining",
        "_fails",
        "_hangs",
        "_passes",
        "_recovered_at",
        "_settings",
        "_shown",
        "_suspect_since",
        "_suspected_at",
        "_why_down",
        "_why_hangs",
        "_why_open",
        "breaker",
        "changed_at",
        "down",
        "heard_at",
        "not_before",
        "plain",
        "rises",
        "standing",
        "suspect",
    )

    def __init__(self, settings: HealthSettings, breaker: BreakerSettings) -> None:
        self._settings = settings
        self._breaker_settings = breaker
        self.breaker = Breaker(breaker)
        self._fails = 0
        self._passes = 0
        self._draining = False
        self._by_hand = False
        self._hangs = False
        self._recovered_at: float | None = None
        self._suspect_since = self._suspected_at = float("-inf")  # the first that made it suspect, and the last
        self.down = False
        self.suspect = False
        self.heard_at = float("-inf")
        self.not_before = float("-inf")
        self.rises = 0
        self.changed_at = 0.0
        self._why_down = self._why_hangs = self._why_open = ""
        self._shown = State.UP
        self.plain = self.standing = True

    def configure(self, settings: HealthSettings, breaker: BreakerSettings, now: float) -> None:
        """Take these settings; what is known stays known, but for what they turn off."""
        self._settings, self._breaker_settings = settings, breaker
        self.breaker.configure(breaker)
        if not settings.probe_interval:
            self._hangs = self.suspect = False
            if not breaker.enabled:
                self.down = False
        self._changed(now)

    # -- what is known ---------------------------------------------------------------------------------------

    @property
    def probed(self) -> bool:
        """There are probes that will say when it is up again."""
        return self._settings.probe_interval > 0

    @property
    def silent(self) -> bool:
        """What waits there may wait for ever: nothing is there, or nothing moves."""
        return self.down or self._hangs

    @property
    def draining(self) -> bool:
        """Somebody drains it."""
        return self._draining

    def ejected(self, now: float) -> bool:
        """It does badly.  Half-open, it is not, for the one attempt that is let through."""
        return self._by_hand or self._hangs or not self.breaker.allows(now)

    def is_standing(self, now: float) -> bool:
        """It is neither down nor draining.  Without probes, what is down is tried again when its breaker allows."""
        if self.down and not self.probed and self.breaker.allows(now):
            return not self._draining
        return self.standing

    def share(self, now: float) -> float:
        """The share of its traffic that it gets after a recovery: grows from a tenth to 1."""
        if self._recovered_at is None:
            return 1.0
        passed = now - self._recovered_at
        if passed >= self._settings.slow_start:
            self._recovered_at = None
            self._weigh()
            return 1.0
        return max(FIRST_SHARE, passed / self._settings.slow_start)

    def state(self, *, known: bool) -> State:
        """What people are told.

        @param known: its models are known.
        """
        if self._draining:
            return State.DRAINING
        if self.down:
            return State.DOWN
        if not known:
            return State.UNKNOWN
        if self._by_hand or self._hangs or self.breaker.state is not BreakerState.CLOSED:
            return State.EJECTED
        return State.UP

    @property
    def reason(self) -> str:
        """Why it is not up, for people: of what is against it, what C{state} is named after."""
        if self._draining:
            return "by hand"
        if self.down:
            return self._why_down
        if self._by_hand:
            return "by hand"
        if self._hangs:
            return self._why_hangs
        return "" if self.breaker.state is BreakerState.CLOSED else self._why_open

    # -- evidence: probes ------------------------------------------------------------------------------------

    def probed_with(
        self, result: ProbeResult, why: str, now: float, *, in_flight: int, sent: float | None = None
    ) -> None:
        """A probe is over.

        @param why: what went wrong, for people.
        @param in_flight: attempts under way at it.
        @param sent: when it was asked.  A pass counts if that was after it became suspect, also where more has broken
            since: at a replica that always fails, what waits would else wait for ever.
        """
        if result is ProbeResult.PASSED:
            self._passed(now, sent)
            return
        self._passes = 0
        if result is ProbeResult.REFUSED or (result is ProbeResult.FAILED and self.suspect):
            self._fall(why, now)
        elif now - self.heard_at <= self.patience:
            self._fails = 0
            self._recovered_from_hanging(now)
        else:
            self._fails += 1
            if self._fails < self._settings.fall:
                return
            if result is not ProbeResult.TIMED_OUT or not in_flight:
                self._fall(why, now)
            elif not self._hangs:
                self._hangs = True
                self._why_hangs = f"hangs: {why}, and nothing of {in_flight} answers under way"
                self._changed(now)

    def _passed(self, now: float, sent: float | None) -> None:
        self._fails = 0
        self._passes += 1
        if sent is None or sent > self._suspect_since:
            self.suspect = False
        if self.down and self._passes >= self._settings.rise:
            self.down = False
            self.rises += 1
            self._recovered_at = now
            self._changed(now)
        self._recovered_from_hanging(now)

    def _recovered_from_hanging(self, now: float) -> None:
        if self._hangs:
            self._hangs = False
            self._recovered_at = now
            self._changed(now)

    @property
    def patience(self) -> float:
        """For how long after its last word it is healthy, whatever its probe says."""
        return self._settings.probe_interval + self._settings.probe_timeout

    def _fall(self, why: str, now: float) -> None:
        """Nothing is there: whatever hung there hangs no more, and what passed before does not count."""
        self.suspect = self._hangs = False
        self._passes = 0
        if not self.down:
            self.down = True
            self._why_down = why
            self._changed(now)

    # -- evidence: attempts ----------------------------------------------------------------------------------

    def began(self) -> None:
        """An attempt is about to be sent."""
        self.breaker.began()

    def refused(self, why: str, now: float, rng: Random) -> None:
        """A connect was refused: nothing listens there."""
        if self.probed:
            self.breaker.forgot()  # probes will say when something is there again
            self._fall(why, now)
        elif self._breaker_settings.enabled:
            if self.breaker.state is not BreakerState.OPEN:  # else it was many at once, and one is enough
                self.breaker.open(now, rng)
                self._why_open = why
            self._fall(why, now)

    def succeeded(self, now: float, sent: float | None = None) -> None:
        """An attempt came back well.

        @param sent: when it was made: what an engine had before it failed it may finish, and be gone then.
        """
        if self.suspect and (now if sent is None else sent) > self._suspected_at:
            self.suspect = False
        if self.plain:  # what nearly every call finds
            self.breaker.succeeded()
            return
        if self.down and not self.probed:
            self.down = False
            self.rises += 1
            self._recovered_at = now
        if self.breaker.succeeded():
            self._recovered_at = now
        self._changed(now)

    def failed(self, why: str, now: float, rng: Random, *, broke: bool) -> None:
        """An attempt did not come back well.

        @param broke: its connection broke, or it said that it failed: perhaps it is about to be gone.
        """
        if broke and self.probed and not self.down:
            if not self.suspect:
                self._suspect_since = now
            self.suspect, self._suspected_at = True, now
        if self.breaker.failed(now, rng):
            self._why_open = why
            self._changed(now)

    def forgot(self) -> None:
        """An attempt ended without saying anything of the replica: its client left, or it was not the first."""
        self.breaker.forgot()

    def busy_until(self, at: float) -> None:
        """The engine asked to be left alone until then."""
        self.not_before = max(self.not_before, at)
        self._weigh()

    def is_free(self, now: float) -> bool:
        """It has not asked to be left alone."""
        if self.not_before > now:
            return False
        if self.not_before != float("-inf"):
            self.not_before = float("-inf")
            self._weigh()
        return True

    # -- evidence: peers -------------------------------------------------------------------------------------

    @property
    def said(self) -> tuple[bool, bool, str, float]:
        """What peers should know: drained by hand, ejected by hand, the breaker, and until when it is open.  A breaker
        that is half-open and tries nothing is as good as open to them: they try by themselves."""
        breaker = self.breaker
        shown = BreakerState.OPEN if breaker.state is BreakerState.HALF_OPEN and not breaker.trying else breaker.state
        return self._draining, self._by_hand, shown.value, breaker.until if shown is BreakerState.OPEN else 0.0

    def told(self, draining: bool, by_hand: bool, breaker: str, until: float, now: float) -> None:
        """What a peer said."""
        self._draining, self._by_hand = draining, by_hand
        state = BreakerState(breaker)
        if state is not self.breaker.state or until != self.breaker.until:
            closes = state is BreakerState.CLOSED and self.breaker.state is not BreakerState.CLOSED
            self.breaker.told(state, until)
            self._why_open = "as another worker found"
            if closes:
                self._recovered_at = now
        self._changed(now)

    # -- by hand ---------------------------------------------------------------------------------------------

    def drain(self, now: float, *, on: bool) -> None:
        """Give it no more, or again."""
        self._draining = on
        self._changed(now)

    def eject(self, now: float, *, on: bool) -> None:
        """Leave it out, or no longer; taken back, its breaker is closed, too."""
        self._by_hand = on
        if not on:
            self._hangs = False
            self.breaker.succeeded()
        self._changed(now)

    def _changed(self, now: float) -> None:
        self._weigh()
        shown, self._shown = self._shown, self.state(known=True)
        if self._shown is not shown:
            self.changed_at = now

    def _weigh(self) -> None:
        self.standing = not (self.down or self._draining)
        self.plain = (
            self.standing
            and not (self._by_hand or self._hangs)
            and self.breaker.state is BreakerState.CLOSED
            and self._recovered_at is None
            and self.not_before == float("-inf")
        )
