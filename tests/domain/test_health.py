"""Every sentence of what a replica's health is."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.health import FIRST_SHARE, Health, ProbeResult, State
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings

PROBED = HealthSettings(probe_interval=5.0, probe_timeout=2.0, fall=2, rise=1, slow_start=10.0)
UNPROBED = HealthSettings(probe_interval=0.0)
BREAKER = BreakerSettings(failures=2, open=1.0, open_max=4.0)
NO_BREAKER = BreakerSettings(enabled=False)
RNG = random.Random(1)

#: For so long after its last word a probed one is healthy, whatever its probe says.
PATIENCE = 7.0


def a_health(breaker: BreakerSettings = BREAKER, **more: Any) -> Health:
    """One with probes, and with nothing against it."""
    merged = {name: getattr(PROBED, name) for name in PROBED.__slots__} | more
    return Health(HealthSettings(**merged), breaker)


def probe(health: Health, result: ProbeResult, *times: float, in_flight: int = 0) -> None:
    """Probes that end so, at these times."""
    for now in times:
        health.probed_with(
            result, "" if result is ProbeResult.PASSED else f"probe {result.value}", now, in_flight=in_flight
        )


def state(health: Health) -> State:
    """With its models known."""
    return health.state(known=True)


class DownTests(SynchronousTestCase):
    """Nothing is there."""

    def test_a_refused_connect_is_enough(self) -> None:
        """Whether a probe's or an attempt's; it is not ejected for that."""
        by_probe, by_attempt = a_health(fall=9), a_health(fall=9)
        probe(by_probe, ProbeResult.REFUSED, 1.0)
        by_attempt.refused("connection refused", 1.0, RNG)
        for health in (by_probe, by_attempt):
            self.assertIs(state(health), State.DOWN)
            self.assertFalse(health.standing or health.plain or health.is_standing(1e9))
            self.assertFalse(health.ejected(1.0))
        self.assertEqual((by_probe.reason, by_attempt.reason), ("probe refused", "connection refused"))

    def test_a_refused_connect_is_enough_whatever_was_heard(self) -> None:
        """A word of a moment ago came from what is gone now."""
        health = a_health()
        health.heard_at = 1.0
        probe(health, ProbeResult.REFUSED, 1.0)
        self.assertIs(state(health), State.DOWN)

    def test_one_failed_probe_is_enough_after_a_failure(self) -> None:
        """Whatever was heard; not after one that ended well since, and a probe that is late says nothing of it."""
        for result, well, expected in (
            (ProbeResult.FAILED, False, State.DOWN),
            (ProbeResult.FAILED, True, State.UP),
            (ProbeResult.TIMED_OUT, False, State.UP),
        ):
            health = a_health()
            health.failed("it answered with status 500", 1.0, RNG, broke=True)
            if well:
                health.succeeded(1.1)
            health.heard_at = 1.1
            probe(health, result, 1.2)
            self.assertIs(state(health), expected, (result, well))

    def test_failed_probes_in_a_row(self) -> None:
        """So many, of either kind; one that passes begins anew."""
        for first, second in itertools.product((ProbeResult.FAILED, ProbeResult.TIMED_OUT), repeat=2):
            health = a_health(fall=2)
            probe(health, first, 1.0)
            probe(health, ProbeResult.PASSED, 6.0)
            probe(health, second, 11.0)
            self.assertIs(state(health), State.UP)
            probe(health, first, 16.0)
            self.assertIs(state(health), State.DOWN)
            self.assertEqual((health.reason, health.changed_at), (f"probe {first.value}", 16.0))

    def test_comes_up_after_so_many_passes(self) -> None:
        """In a row, since it fell: those from before it fell do not count, nor those before another failure."""
        health = a_health(rise=3)
        probe(health, ProbeResult.PASSED, *map(float, range(20)))
        health.refused("gone", 20.0, RNG)
        probe(health, ProbeResult.PASSED, 21.0, 22.0)
        probe(health, ProbeResult.TIMED_OUT, 23.0)
        probe(health, ProbeResult.PASSED, 24.0, 25.0)
        self.assertIs(state(health), State.DOWN)
        probe(health, ProbeResult.PASSED, 26.0)
        self.assertIs(state(health), State.UP)
        self.assertEqual((health.rises, health.reason, health.changed_at), (1, "", 26.0))

    def test_what_hung_and_then_was_gone_needs_as_many(self) -> None:
        """It went while it hung: one pass is not enough because it no longer hangs."""
        health = a_health(rise=2)
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        health.refused("gone", 16.0, RNG)
        probe(health, ProbeResult.PASSED, 17.0)
        self.assertIs(state(health), State.DOWN)
        probe(health, ProbeResult.PASSED, 18.0)
        self.assertIs(state(health), State.UP)
        self.assertFalse(health.ejected(18.0))

    def test_a_word_does_not_bring_it_up(self) -> None:
        """An attempt that began before is finished by an engine that takes no more: its probes have to pass."""
        health = a_health()
        health.refused("gone", 1.0, RNG)
        health.heard_at = 1.5
        health.succeeded(2.0)
        probe(health, ProbeResult.FAILED, 3.0)
        self.assertIs(state(health), State.DOWN)

    def test_with_breaker_and_probes_off_never(self) -> None:
        """Whatever happens, nobody would say that it is up again."""
        health = Health(UNPROBED, NO_BREAKER)
        for _ in range(50):
            health.began()
            health.refused("gone", 1.0, RNG)
            health.failed("broke", 1.0, RNG, broke=True)
        self.assertTrue(health.plain)
        self.assertFalse(health.suspect)


class WithoutProbesTests(SynchronousTestCase):
    """The breaker says when what is down is tried again."""

    def test_tried_again_when_the_breaker_lets_one_through(self) -> None:
        """Down meanwhile; then one attempt, whose success brings it up."""
        health = Health(UNPROBED, BREAKER)
        health.refused("gone", 10.0, RNG)
        self.assertIs(state(health), State.DOWN)
        self.assertEqual(health.reason, "gone")
        self.assertFalse(health.is_standing(10.4))
        self.assertTrue(health.is_standing(11.0))
        self.assertFalse(health.ejected(11.0))
        health.began()
        self.assertFalse(health.is_standing(11.0), "one")
        health.succeeded(11.5)
        self.assertIs(state(health), State.UP)
        self.assertEqual((health.rises, health.standing, health.reason), (1, True, ""))
        self.assertEqual(health.share(11.5), FIRST_SHARE)

    def test_many_refused_at_once_are_one_reason(self) -> None:
        """The doubling is for each time that it is tried in vain, not for each request that was under way."""
        health = Health(UNPROBED, BREAKER)
        for _ in range(100):
            health.refused("gone", 10.0, RNG)
        self.assertTrue(health.is_standing(11.0))
        health.began()
        health.refused("gone", 11.0, RNG)
        self.assertGreaterEqual(health.breaker.until, 12.0)

    def test_drained_it_is_not_tried(self) -> None:
        """Whatever the breaker allows."""
        health = Health(UNPROBED, BREAKER)
        health.refused("gone", 10.0, RNG)
        health.drain(10.0, on=True)
        self.assertFalse(health.is_standing(100.0))

    def test_a_failure_does_not_make_it_suspect(self) -> None:
        """No probe would clear it."""
        health = Health(UNPROBED, BREAKER)
        health.failed("broke", 1.0, RNG, broke=True)
        self.assertFalse(health.suspect)


class HangingTests(SynchronousTestCase):
    """Busy engines answer probes late."""

    def test_words_keep_it_healthy(self) -> None:
        """As long as something comes now and then, any number of probes may fail in any way but a refused connect."""
        health, now = a_health(), 0.0
        for _ in range(50):
            now += PATIENCE
            health.heard_at = now - PATIENCE
            probe(health, ProbeResult.TIMED_OUT, now, in_flight=3)
            probe(health, ProbeResult.FAILED, now, in_flight=3)
        self.assertTrue(health.plain)

    def test_silence_ejects_but_is_not_down(self) -> None:
        """After as many probes as would make it down; not one fewer."""
        health = a_health(fall=3)
        health.heard_at = 0.0
        probe(health, ProbeResult.TIMED_OUT, 7.0, 7.5, 12.0, in_flight=4)
        self.assertTrue(health.plain)
        probe(health, ProbeResult.TIMED_OUT, 17.0, in_flight=4)
        self.assertIs(state(health), State.EJECTED)
        self.assertTrue(health.standing and health.ejected(17.0))
        self.assertEqual(health.reason, "hangs: probe timed out, and nothing of 4 answers under way")
        self.assertEqual(health.changed_at, 17.0)
        probe(health, ProbeResult.TIMED_OUT, 22.0, in_flight=4)
        self.assertEqual((health.changed_at, state(health)), (17.0, State.EJECTED))

    def test_a_word_begins_the_count_anew(self) -> None:
        """A failed probe from before it is none in a row with one after it."""
        health = a_health(fall=2)
        probe(health, ProbeResult.TIMED_OUT, 5.0, in_flight=1)
        health.heard_at = 6.0
        probe(health, ProbeResult.TIMED_OUT, 10.0, in_flight=1)
        probe(health, ProbeResult.TIMED_OUT, 15.0, in_flight=1)
        self.assertTrue(health.plain)

    def test_a_pass_ends_it(self) -> None:
        """It is no rise, for it was not down; its traffic begins small all the same."""
        health = a_health(rise=5)
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        probe(health, ProbeResult.PASSED, 16.0)
        self.assertIs(state(health), State.UP)
        self.assertEqual((health.rises, health.reason, health.share(16.0)), (0, "", FIRST_SHARE))

    def test_a_word_ends_it(self) -> None:
        """What sends is healthy, whatever its next probe says."""
        health = a_health()
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        health.heard_at = 18.0
        probe(health, ProbeResult.TIMED_OUT, 20.0, in_flight=1)
        self.assertIs(state(health), State.UP)
        self.assertEqual((health.reason, health.changed_at), ("", 20.0))

    def test_with_nothing_under_way_it_is_down(self) -> None:
        """What was ejected, too, once its attempts have ended."""
        health = a_health()
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        probe(health, ProbeResult.TIMED_OUT, 20.0)
        self.assertIs(state(health), State.DOWN)
        self.assertEqual(health.reason, "probe timed out")

    def test_what_says_that_it_is_unwell_does_not_hang(self) -> None:
        """It answered: with silence on its attempts it is down."""
        health = a_health()
        probe(health, ProbeResult.FAILED, 10.0, 15.0, in_flight=1)
        self.assertIs(state(health), State.DOWN)


class BreakerTests(SynchronousTestCase):
    """Something is there, but it does badly."""

    def test_open_is_ejected(self) -> None:
        """With its reason, until one that is let through comes back well."""
        health = a_health()
        for now in (1.0, 2.0):
            health.failed("it answered with status 500", now, RNG, broke=False)
        self.assertIs(state(health), State.EJECTED)
        self.assertEqual((health.reason, health.changed_at), ("it answered with status 500", 2.0))
        self.assertTrue(health.ejected(2.0) and health.standing and health.is_standing(2.0))
        self.assertFalse(health.ejected(3.0), "half-open")
        health.began()
        self.assertTrue(health.ejected(3.0))
        self.assertIs(state(health), State.EJECTED)
        health.succeeded(4.0)
        self.assertFalse(health.ejected(4.0))
        self.assertEqual((state(health), health.reason, health.changed_at), (State.UP, "", 4.0))
        self.assertEqual(health.share(4.0), FIRST_SHARE)

    def test_whatever_ends_the_one_frees_its_place(self) -> None:
        """A refused connect, too: down then up by its probes, it is not left out for ever."""
        for end in ("forgot", "refused", "failed", "succeeded"):
            health = a_health()
            health.breaker.open(0.0, RNG)
            self.assertFalse(health.ejected(5.0))
            health.began()
            if end == "refused":
                health.refused("gone", 5.0, RNG)
            elif end == "failed":
                health.failed("broke", 5.0, RNG, broke=True)
            elif end == "succeeded":
                health.succeeded(5.0)
            else:
                health.forgot()
            probe(health, ProbeResult.PASSED, 6.0)
            self.assertFalse(health.ejected(100.0), end)
            self.assertTrue(health.is_standing(100.0), end)

    def test_a_broken_connection_makes_suspect(self) -> None:
        """Until a probe or a success says what it was; one that failed otherwise does not."""
        for clear in ("passed", "refused", "succeeded", "fell", "unprobed"):
            health = a_health()
            health.failed("status 500", 0.0, RNG, broke=False)
            self.assertFalse(health.suspect)
            health.failed("reset", 0.0, RNG, broke=True)
            self.assertTrue(health.suspect)
            if clear == "passed":
                health.probed_with(ProbeResult.PASSED, "", 1.0, in_flight=0, sent=0.0)
                self.assertTrue(health.suspect, "it was asked before")
                probe(health, ProbeResult.PASSED, 1.0)
            elif clear == "refused":
                probe(health, ProbeResult.REFUSED, 1.0)
            elif clear == "succeeded":
                health.succeeded(1.0, 0.0)
                self.assertTrue(health.suspect, "it was asked before")
                health.succeeded(1.0, 0.5)
            elif clear == "fell":
                probe(health, ProbeResult.TIMED_OUT, 1.0)
                self.assertTrue(health.suspect)
                probe(health, ProbeResult.TIMED_OUT, 2.0)
            else:
                health.configure(UNPROBED, BREAKER, 1.0)
            self.assertFalse(health.suspect, clear)
        health = a_health()
        for now in (0.0, 1.0, 2.0):
            health.failed("status 500", now, RNG, broke=True)
        health.probed_with(ProbeResult.PASSED, "", 2.1, in_flight=0, sent=0.5)
        self.assertFalse(health.suspect, "else who fails all the time is suspect for ever")
        health = a_health()
        health.refused("gone", 0.0, RNG)
        health.failed("reset", 0.0, RNG, broke=True)
        self.assertFalse(health.suspect, "it is known to be down")


class RecoveryTests(SynchronousTestCase):
    """Slow start, and what the engine itself asks for."""

    def test_share(self) -> None:
        """From a tenth, in a line, to all of it; then there is nothing against it any more."""
        health = a_health()
        self.assertEqual(health.share(0.0), 1.0)
        health.refused("gone", 0.0, RNG)
        probe(health, ProbeResult.PASSED, 100.0)
        found = [health.share(at) for at in (100.0, 100.5, 102.0, 105.0, 109.9)]
        for share, expected in zip(found, (0.1, 0.1, 0.2, 0.5, 0.99), strict=True):
            self.assertAlmostEqual(share, expected)
        self.assertFalse(health.plain)
        self.assertEqual(health.share(110.0), 1.0)
        self.assertTrue(health.plain)

    def test_no_slow_start(self) -> None:
        """0 seconds of it."""
        health = a_health(slow_start=0.0)
        health.refused("gone", 0.0, RNG)
        probe(health, ProbeResult.PASSED, 1.0)
        self.assertEqual(health.share(1.0), 1.0)
        self.assertTrue(health.plain)

    def test_busy(self) -> None:
        """Left alone until then; of two such wishes the longer one holds; its state does not change for it."""
        health = a_health()
        health.busy_until(5.0)
        health.busy_until(3.0)
        self.assertFalse(health.plain)
        self.assertEqual([health.is_free(at) for at in (1.0, 4.9, 5.0)], [False, False, True])
        self.assertTrue(health.plain)
        self.assertEqual((state(health), health.changed_at), (State.UP, 0.0))


class ByHandTests(SynchronousTestCase):
    """What somebody wants."""

    def test_drain(self) -> None:
        """No more for it, and again; whatever else is known is found as it was."""
        health = a_health()
        health.drain(3.0, on=True)
        self.assertTrue(health.draining)
        self.assertFalse(health.standing or health.plain or health.is_standing(3.0))
        self.assertEqual((state(health), health.reason, health.changed_at), (State.DRAINING, "by hand", 3.0))
        health.refused("gone", 4.0, RNG)
        self.assertEqual((state(health), health.reason), (State.DRAINING, "by hand"))
        health.drain(5.0, on=False)
        self.assertEqual((state(health), health.reason, health.changed_at), (State.DOWN, "gone", 5.0))

    def test_eject(self) -> None:
        """Left out, whatever its breaker says, and standing."""
        health = a_health()
        health.eject(3.0, on=True)
        self.assertTrue(health.ejected(3.0) and health.standing)
        self.assertFalse(health.plain)
        self.assertEqual((state(health), health.reason, health.changed_at), (State.EJECTED, "by hand", 3.0))
        health.succeeded(4.0)
        probe(health, ProbeResult.PASSED, 4.0)
        self.assertTrue(health.ejected(1e9))
        health.eject(5.0, on=False)
        self.assertTrue(health.plain)
        self.assertEqual((health.reason, health.changed_at), ("", 5.0))

    def test_taken_back_its_breaker_is_closed_and_it_does_not_hang(self) -> None:
        """Somebody knows better."""
        health = a_health()
        health.breaker.open(0.0, RNG)
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        health.eject(16.0, on=False)
        self.assertFalse(health.ejected(16.0))
        self.assertTrue(health.plain)


class TellingTests(SynchronousTestCase):
    """What people are told."""

    def test_state_by_what_weighs_most(self) -> None:
        """Draining, down, unknown, ejected, up; and the reason is the state's own."""
        health = a_health()
        self.assertIs(health.state(known=False), State.UNKNOWN)
        for _ in range(2):
            health.failed("status 500", 1.0, RNG, broke=False)
        self.assertEqual((state(health), health.reason), (State.EJECTED, "status 500"))
        probe(health, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
        self.assertEqual(health.reason[:6], "hangs:")
        health.eject(16.0, on=True)
        self.assertEqual(health.reason, "by hand")
        self.assertEqual(health.changed_at, 1.0, "ejected ever since")
        health.refused("gone", 17.0, RNG)
        self.assertEqual((health.state(known=False), health.reason, health.changed_at), (State.DOWN, "gone", 17.0))
        health.drain(18.0, on=True)
        self.assertIs(health.state(known=False), State.DRAINING)
        health.drain(19.0, on=False)
        probe(health, ProbeResult.PASSED, 20.0)
        self.assertEqual((state(health), health.reason, health.changed_at), (State.EJECTED, "by hand", 20.0))
        health.eject(21.0, on=False)
        self.assertEqual((state(health), health.reason, health.changed_at), (State.UP, "", 21.0))

    def test_what_is_turned_off_counts_no_more(self) -> None:
        """Without probes nothing hangs, without both nothing is down, without a breaker none is open."""
        for probes, breaker, down, hangs, is_open in (
            (PROBED, BREAKER, True, True, True),
            (PROBED, NO_BREAKER, True, True, False),
            (UNPROBED, BREAKER, True, False, True),
            (UNPROBED, NO_BREAKER, False, False, False),
        ):
            fallen, hanging, opened = a_health(), a_health(), a_health()
            fallen.refused("gone", 0.0, RNG)
            probe(hanging, ProbeResult.TIMED_OUT, 10.0, 15.0, in_flight=1)
            for _ in range(2):
                opened.failed("status 500", 0.0, RNG, broke=False)
            for health, expected in ((fallen, down), (hanging, hangs), (opened, is_open)):
                health.configure(probes, breaker, 20.0)
                self.assertEqual(health.plain, not expected)
                self.assertEqual(state(health) is State.UP, not expected)


class HealthMachine(RuleBasedStateMachine):
    """Any sequence of anything, beside the single conditions, each kept in the plainest way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.set_up(PROBED, BREAKER)

    def set_up(self, probes: HealthSettings, breaker: BreakerSettings) -> None:
        self.probes, self.breaker = probes, breaker
        self.health = Health(probes, breaker)
        self.down = self.hangs = self.by_hand = self.draining = False
        self.fails = self.passes = self.rises = 0

    @rule(probed=st.booleans(), enabled=st.booleans())
    def reload(self, probed: bool, enabled: bool) -> None:
        self.probes, self.breaker = PROBED if probed else UNPROBED, BREAKER if enabled else NO_BREAKER
        self.health.configure(self.probes, self.breaker, self.now)
        self.hangs = self.hangs and probed
        self.down = self.down and (probed or enabled)

    @rule(seconds=st.sampled_from((0.1, 0.5, 1.0, 3.0, 7.0, 20.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def word(self) -> None:
        self.health.heard_at = self.now

    @rule(result=st.sampled_from(ProbeResult), in_flight=st.integers(0, 2))
    def probe(self, result: ProbeResult, in_flight: int) -> None:
        if not self.probes.probe_interval:
            return
        gone = result is ProbeResult.REFUSED or (result is ProbeResult.FAILED and self.health.suspect)
        self.health.probed_with(result, "why", self.now, in_flight=in_flight)
        if result is ProbeResult.PASSED:
            self.fails, self.hangs = 0, False
            self.passes += 1
            self.rises += self.down
            self.down = False
            return
        if not gone and self.now - self.health.heard_at <= PATIENCE:
            self.fails, self.hangs = 0, False
            return
        self.fails += not gone
        if result is ProbeResult.TIMED_OUT and in_flight:
            self.hangs = self.hangs or self.fails >= PROBED.fall
        elif gone or self.fails >= PROBED.fall:
            self.down, self.hangs = True, False

    @rule()
    def refused(self) -> None:
        self.health.refused("refused", self.now, RNG)
        if self.probes.probe_interval or self.breaker.enabled:
            self.down, self.hangs = True, False

    @rule()
    def began(self) -> None:
        self.health.began()

    @rule()
    def succeeded(self) -> None:
        self.health.succeeded(self.now)
        if self.down and not self.probes.probe_interval:
            self.down = False
            self.rises += 1

    @rule(broke=st.booleans())
    def failed(self, broke: bool) -> None:
        self.health.failed("failed", self.now, RNG, broke=broke)

    @rule()
    def forgot(self) -> None:
        self.health.forgot()

    @rule(seconds=st.sampled_from((0.2, 5.0)))
    def busy(self, seconds: float) -> None:
        self.health.busy_until(self.now + seconds)

    @rule(on=st.booleans())
    def drain(self, on: bool) -> None:
        self.draining = on
        self.health.drain(self.now, on=on)

    @rule(on=st.booleans())
    def eject(self, on: bool) -> None:
        self.by_hand = on
        self.hangs = self.hangs and on
        self.health.eject(self.now, on=on)

    @rule()
    def looked_at(self) -> None:
        """As whoever chooses does: what time has settled is settled with this."""
        health, now = self.health, self.now
        standing, ejected, share, free = (
            health.is_standing(now), health.ejected(now), health.share(now), health.is_free(now)
        )  # fmt: skip
        is_open = not health.breaker.allows(now)
        self.check(standing == (not self.draining and (not self.down or (not health.probed and not is_open))))
        self.check(ejected == (self.by_hand or self.hangs or is_open))
        closed = health.breaker.state is BreakerState.CLOSED
        well = standing and not self.down and not ejected and closed and share == 1.0 and free
        self.check(health.plain == well)

    @invariant()
    def agrees(self) -> None:
        """Plain is never said of what has something against it; state, reason and rises are as they should be."""
        health = self.health
        closed = health.breaker.state is BreakerState.CLOSED
        if self.draining:
            expected = State.DRAINING
        elif self.down:
            expected = State.DOWN
        else:
            expected = State.EJECTED if self.by_hand or self.hangs or not closed else State.UP
        self.check(state(health) is expected)
        self.check(bool(health.reason) == (expected is not State.UP))
        self.check((health.down, health.draining, health.rises) == (self.down, self.draining, self.rises))
        self.check(health.standing == (not self.down and not self.draining))
        self.check(not health.plain or (expected is State.UP and health.not_before <= self.now))
        self.check(not health.suspect or (health.probed and not self.down))

    def check(self, holds: bool) -> None:
        assert holds, vars(self)

    def teardown(self) -> None:
        """However it was left: probes that pass, time, and one good attempt make it as new."""
        health = self.health
        self.drain(on=False)
        self.eject(on=False)
        self.reload(probed=True, enabled=True)
        self.probe(ProbeResult.PASSED, 0)
        self.now += 60.0
        assert not health.ejected(self.now)
        health.began()
        health.succeeded(self.now)
        self.now += 60.0
        self.looked_at()
        assert health.plain


class MachineTests(SynchronousTestCase):
    """Health, whatever happens."""

    def test_any_sequence(self) -> None:
        """Of so many steps, as many times."""
        run_state_machine_as_test(HealthMachine, settings=settings(max_examples=150, stateful_step_count=40))
