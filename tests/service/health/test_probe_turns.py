"""Active probes: whose turn it is, and when."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.service.health.probe import MAX_AT_ONCE, SOON_S, TICK_S, Prober
from tests.fakes import replica
from tests.service.health.prober import LIST, SETTINGS, ProberTestCase


class WhenTests(ProberTestCase):
    """Whose turn it is."""

    def test_at_once(self) -> None:
        """At the next tick after it is known; before the start nobody is."""
        self.watched()
        self.assertEqual((self.times, self.prober.under_way), ([TICK_S], 1))
        other = Prober(self.clock, self.fetching, self.report, random.Random(1))  # type: ignore[arg-type]
        other.watch(replica("early"))
        self.assertFalse(other.running)
        self.pass_time(1.0)
        self.assertEqual(len(self.times), 1)

    def test_once_an_interval(self) -> None:
        """From the answer on, a tenth more or less, by lot, so that those that came together do not stay together."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        self.watched()
        self.pass_time(200.0)
        waits = [after - before for before, after in pairwise(self.times)]
        self.assertGreater(len(waits), 30)
        self.assertGreaterEqual(min(waits), 4.5 - 1e-6)
        self.assertLessEqual(max(waits), 5.5 + TICK_S + 1e-6)
        self.assertGreater(max(waits) - min(waits), 0.5)

    def test_one_question_at_a_time(self) -> None:
        """Who has not answered is not asked again."""
        self.watched()
        self.pass_time(60.0)
        self.assertEqual((len(self.times), self.prober.under_way), (1, 1))
        self.answer()
        self.pass_time(6.0)
        self.assertEqual(len(self.times), 2)

    def test_soon_where_it_failed(self) -> None:
        """Each second, until it passes."""
        self.watched()
        for _ in range(3):
            self.answer(502)
            self.pass_time(SOON_S - 2 * TICK_S)
            self.assertEqual(self.prober.under_way, 0)
            self.pass_time(3 * TICK_S)
            self.assertEqual(self.prober.under_way, 1)
        self.answer()
        self.pass_time(4.0)
        self.assertEqual(self.prober.under_way, 0)

    def test_soon_while_it_is_down(self) -> None:
        """Also where it passes, as long as that is not often enough to have it up."""
        down = self.watched()
        down.health = Health(HealthSettings(rise=3), BreakerSettings())
        down.health.probed_with(ProbeResult.REFUSED, "gone", self.clock.seconds(), in_flight=0)
        self.answer()
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(self.prober.under_way, 1)

    def test_soon_while_it_is_unknown(self) -> None:
        """Whoever lives, but has not said what it serves."""
        self.watched(models=None)
        self.answer(404)
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 2)

    def test_an_interval_below_a_second(self) -> None:
        """Is the pace of those that fail, too."""
        self.prober.configure(HealthSettings(probe_interval=0.3))
        self.watched()
        self.answer(500)
        self.pass_time(0.4)
        self.assertEqual(self.prober.under_way, 1)

    def test_kicked(self) -> None:
        """Asked now, whenever its turn would have been, and from then on as ever; while it is asked, that will do."""
        kicked = self.watched()
        self.prober.kick(kicked)
        self.answer()
        self.pass_time(2.0)
        self.assertEqual(len(self.times), 1)
        for _ in range(5):
            self.prober.kick(kicked)
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer()
        self.pass_time(4.4)
        self.assertEqual(len(self.times), 2, "the turn that it would have had is not another one")
        self.pass_time(1.2)
        self.assertEqual(len(self.times), 3)

    def test_a_thousand(self) -> None:
        """No more than so many at once; whoever answers makes room, and all of them have their turn."""
        many = [replica(f"gpu{number}", engine="openai") for number in range(1000)]
        for one in many:
            self.prober.watch(one)
        self.pass_time(1.0)
        self.assertEqual((len(self.times), self.prober.under_way), (MAX_AT_ONCE, MAX_AT_ONCE))
        while self.prober.under_way:
            self.assertLessEqual(self.prober.under_way, MAX_AT_ONCE)
            for _, _, _, answer in self.fetching.asked[-self.prober.under_way :]:
                answer.callback((200, LIST))
            if len(self.reported) < len(many):
                self.pass_time(TICK_S)
        self.assertEqual(Counter(name for name, _ in self.reported), Counter(one.name for one in many))
        self.assertLess(self.clock.seconds(), 5.0)

    def test_a_thousand_keep_their_pace(self) -> None:
        """With answers that come at once, each is asked once an interval, and after a minute they are spread over it."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        for number in range(1000):
            self.prober.watch(replica(f"gpu{number}", engine="openai"))
        self.pass_time(60.0)
        counts = Counter(name for _, name, _, _ in self.fetching.asked)
        self.assertEqual(len(counts), 1000)
        self.assertTrue(all(10 <= count <= 14 for count in counts.values()), counts.most_common(1))
        self.fetching.asked.clear()
        self.pass_time(5.0)
        self.assertLess(max(Counter(round(at, 1) for at in self.times).values()), 100)


class SettingsTests(ProberTestCase):
    """Intervals that change, and none at all."""

    def setUp(self) -> None:
        super().setUp()
        self.off = HealthSettings(probe_interval=0.0)

    def test_off(self) -> None:
        """It is asked until it has answered, and then no more."""
        self.prober.configure(self.off)
        asked = self.watched(models=None)
        for _ in range(3):
            self.answer(503)
            self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 4)
        asked.models, asked.engine = ("m",), "vllm"  # as the keeper does with an answer
        self.answer()
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 4)

    def test_off_with_models_that_are_configured(self) -> None:
        """It is asked for its engine; where nothing is there yet, again; one that has no list has said enough."""
        self.prober.configure(self.off)
        self.watched(engine="")
        self.answer(503)
        self.pass_time(SOON_S + TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer(404)
        self.pass_time(600.0)
        self.assertEqual((len(self.times), self.verdict.result), (2, ProbeResult.PASSED))

    def test_off_where_all_is_configured(self) -> None:
        """There is nothing to learn: once is enough."""
        self.prober.configure(self.off)
        self.watched(engine="openai")
        self.answer(503)
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 1)

    def test_turned_on(self) -> None:
        """All are asked."""
        self.prober.configure(self.off)
        for name in ("gpu0", "gpu1"):
            self.watched(name)
            self.answer()
        self.pass_time(60.0)
        self.prober.configure(SETTINGS)
        self.pass_time(TICK_S)
        self.assertEqual((len(self.times), self.prober.under_way), (4, 2))

    def test_turned_off(self) -> None:
        """After the one that was planned."""
        self.fetching.ready[b"/v1/models"] = (200, LIST)
        self.watched()
        self.prober.configure(self.off)
        self.pass_time(600.0)
        self.assertEqual(len(self.times), 2)

    def test_more_often(self) -> None:
        """Nobody waits for a turn that is an hour off; more seldom, or as often, changes no turn."""
        self.prober.configure(HealthSettings(probe_interval=3600.0))
        self.watched()
        self.answer()
        self.prober.configure(SETTINGS)
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
        self.answer()
        self.prober.configure(SETTINGS)
        self.prober.configure(HealthSettings(probe_interval=60.0))
        self.pass_time(TICK_S)
        self.assertEqual(len(self.times), 2)
