"""Which policy applies, and what it is asked to choose from."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings, ModelSettings
from aibrix_twisted.errors import UnknownPolicy
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.service.exchange.choose import Chooser
from tests.fakes import replica


def probed(name: str, *models: str) -> Replica:
    """A replica that can be down."""
    return replica(name, models or ("m",), health=Health(HealthSettings(), BreakerSettings()))


def fall(*fallen: Replica) -> None:
    """They are down."""
    for one in fallen:
        one.health.probed_with(ProbeResult.REFUSED, "gone", 0.0, in_flight=0)


class ChooserTestCase(SynchronousTestCase):
    """Two replicas of a model, and time in our hands."""

    def setUp(self) -> None:
        self.now = 0.0
        self.a, self.b = probed("a"), probed("b")
        self.fleet = Fleet.of((self.a, self.b))
        self.chooser = self.made()

    def made(self, default: str = "round-robin", engine_waiting: int = 0, **by_model: str) -> Chooser:
        """A chooser."""
        return Chooser(default, by_model, random.Random(1), lambda: self.now, engine_waiting)


class PolicyTests(ChooserTestCase):
    """Its name."""

    def test_precedence(self) -> None:
        """The request's own, else the model's, else the default."""
        chooser = self.made("least-request", m="random")
        for model, header, name in (
            ("m", b"round-robin", "round-robin"),
            ("m", None, "random"),
            ("n", None, "least-request"),
            ("", None, "least-request"),
        ):
            self.assertEqual(chooser.policy_for(model, header), name)

    def test_no_policy(self) -> None:
        """400, as AIBrix says it; an empty name is none, and neither is one in another spelling."""
        for header in (b"", b"Random", b"random ", b"nonsense", b"\xff", b"random,round-robin"):
            error = self.assertRaises(UnknownPolicy, self.chooser.policy_for, "m", header)
            self.assertEqual(
                (error.status, error.param, error.headers), (400, "routing-strategy", ((b"x-error-routing", b"true"),))
            )
            for name in POLICIES:
                self.assertIn(name, str(error))

    def test_each_model_has_its_own(self) -> None:
        """What a policy remembers of one model moves nothing in another, or in another policy's."""
        both = Fleet.of([probed("a", "m", "n"), probed("b", "m", "n")])
        names = []
        for model in ("m", "n", "m", "n"):
            chosen = self.chooser.choose("round-robin", model, both, {})
            assert isinstance(chosen, Replica)
            names.append(chosen.name)
            self.chooser.choose("random", model, both, {})
        self.assertNotEqual(names[0], names[2])
        self.assertNotEqual(names[1], names[3])


class ChooseTests(ChooserTestCase):
    """A replica, or why there is none."""

    def test_lacks(self) -> None:
        """Each is passed on as it is."""
        choose: Any = lambda tried=(): self.chooser.choose("random", "m", self.fleet, dict.fromkeys(tried, 0))  # noqa: E731
        self.assertIn(choose(), (self.a, self.b))
        self.assertIs(choose([self.a]), self.b)
        self.assertIs(choose([self.a, self.b]), Lack.TRIED)
        self.assertIs(self.chooser.choose("random", "nobody's", self.fleet, {}), Lack.DOWN)
        self.a.max_in_flight = self.b.max_in_flight = 1
        leases = [self.a.load.lease("m"), self.b.load.lease("m")]
        self.assertIs(choose(), Lack.BUSY)
        leases.pop().release()
        self.assertIs(choose(), self.b)
        fall(self.a, self.b)
        self.assertIs(choose(), Lack.DOWN)
        leases.pop().release()

    def test_the_engines_own_queue(self) -> None:
        """Counts only where it is to."""
        self.a.load.read(EngineLoad(at=0.0, waiting=5.0), 3.0)
        self.assertEqual(len(self.candidates(self.chooser)), 2)
        bounded = self.made(engine_waiting=5)
        self.assertEqual(self.candidates(bounded), ["b"])
        self.now = 3.5
        self.assertEqual(len(self.candidates(bounded)), 2, "what was said is too old")

    def candidates(self, chooser: Chooser) -> list[str]:
        """Their names."""
        found = chooser.candidates("m", self.fleet)
        return [] if isinstance(found, Lack) else [one.name for one in found]


class FreeTests(ChooserTestCase):
    """One for a second attempt beside one that is late."""

    def free(self, *tried: Replica) -> Replica | None:
        """The first one that is."""
        return self.chooser.free("m", self.fleet, dict.fromkeys(tried, 0))

    def test_nothing_to_do(self) -> None:
        """By our counts, and by the engine's, where these are fresh."""
        self.assertIs(self.free(), self.a)
        self.assertIs(self.free(self.a), self.b)
        lease = self.a.load.lease("m")
        self.assertIs(self.free(), self.b)
        self.b.load.read(EngineLoad(at=0.0, waiting=1.0), 3.0)
        self.assertIsNone(self.free())
        self.b.load.read(EngineLoad(at=0.0, waiting=None, running=3.0), 3.0)
        self.assertIs(self.free(), self.b)
        self.b.load.read(EngineLoad(at=0.0, waiting=1.0), 3.0)
        self.now = 4.0
        self.assertIs(self.free(), self.b)
        lease.release()

    def test_nothing_against_it(self) -> None:
        """One that is ejected, has just recovered, or asked to be left alone is no help."""
        fall(self.b)
        self.assertIsNone(self.free(self.a))
        self.b.health.probed_with(ProbeResult.PASSED, "", 1.0, in_flight=0)
        self.now = 1.0
        self.assertIsNone(self.free(self.a), "it has come up this moment")
        self.a.health.eject(1.0, on=True)
        self.assertIsNone(self.free())
        self.a.health.eject(1.0, on=False)
        self.a.health.busy_until(9.0)
        self.assertIsNone(self.free(self.b))

    def test_none_at_all(self) -> None:
        """Of a model that nobody serves."""
        self.assertIsNone(self.chooser.free("nobody's", self.fleet, {}))
        self.assertIsNone(self.free(self.a, self.b))


class CouldTests(ChooserTestCase):
    """Whether it pays to call who waits."""

    def test_by_what_stands_in(self) -> None:
        """The model itself, or any of its fallbacks, theirs included."""
        c = probed("c", "small")
        wanted = (ModelSettings(name="m", fallbacks=("middle",)), ModelSettings(name="middle", fallbacks=("small",)))
        fleet = Fleet.of((self.a, self.b, c), wanted)
        for fallen, could in (((), True), ((self.a, self.b), True), ((c,), False)):
            fall(*fallen)
            self.assertEqual(self.chooser.could("m", fleet), could)
        self.assertFalse(self.chooser.could("nobody's", fleet))
