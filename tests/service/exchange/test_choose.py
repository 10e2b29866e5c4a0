"""Which policy applies, what it is told of a request, and what it is asked to choose from."""

from __future__ import annotations

import base64
import random
from typing import Any, Final

from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import (
    AuthSettings,
    BreakerSettings,
    GpuProfileSettings,
    HealthSettings,
    ModelSettings,
    PrefixCacheSettings,
    ProfileSettings,
    QueueSettings,
    Settings,
    SloSettings,
)
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import InvalidFilter, UnknownPolicy, UnknownProfile
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.ask import NOTHING_ASKED, Ask
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.policy.choice import Fallback, Missing
from aibrix_twisted.service.exchange.choose import Chooser, Fields, Routing
from aibrix_twisted.service.exchange.flights import Flight
from aibrix_twisted.wire.openai import peek
from aibrix_twisted.wire.routes import ROUTES
from tests.fakes import replica

CHAT: Final = ROUTES[b"/v1/chat/completions"]
BODY: Final = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'


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

    def made(self, default: str = "round-robin", *models: ModelSettings, **more: Any) -> Chooser:
        """A chooser."""
        self.fell_back: list[Fallback] = []
        settings = Settings(policy=default, model=models, **more)
        return Chooser(settings, random.Random(1), lambda: self.now, self.fell_back.append)

    def routing(self, fields: Fields | None = None, model: str = "m", body: bytes = BODY) -> Routing:
        """Of one request."""
        return self.chooser.routing(model, fields or {}, peek(CHAT, None, body), body)

    def choose(
        self, fields: Fields | None = None, model: str = "m", tried: tuple[Replica, ...] = (), body: bytes = BODY
    ) -> Flight | Lack:
        """For one request."""
        exchange = Exchange("id", "client", "POST", "/v1/chat/completions", "chat_completions", Stamps(0.0))
        routing = self.routing(fields, model, body)
        return self.chooser.choose(exchange, routing, model, self.fleet, dict.fromkeys(tried, 0))

    def chosen(self, fields: Fields | None = None, model: str = "m", body: bytes = BODY) -> Replica:
        """For one that finds one."""
        flight = self.choose(fields, model, body=body)
        assert isinstance(flight, Flight)
        flight.policy.chosen(flight.choice.replica, flight.ask, self.now)
        return flight.choice.replica


class PolicyTests(ChooserTestCase):
    """Which."""

    def test_precedence(self) -> None:
        """The request's own, else the model's, else the default."""
        self.chooser = self.made("least-request", ModelSettings(name="m", policy="random"))
        for model, fields, name in (
            ("m", {b"routing-strategy": b"round-robin"}, "round-robin"),
            ("m", {b"routing-strategy": b"  "}, "random"),
            ("m", {}, "random"),
            ("n", {}, "least-request"),
            ("m", {b"routing-strategy": b"least-latency:3,least-request"}, "least-latency:3,least-request"),
        ):
            for _ in range(2):  # the second time it is known
                self.assertEqual(self.routing(fields, model).plan.strategy.said, name)

    def test_no_policy(self) -> None:
        """400, as AIBrix says it."""
        for header in (b"Random", b"nonsense", b"\xff", b"random,round-robin", b"least-request:x"):
            error = self.assertRaises(UnknownPolicy, self.routing, {b"routing-strategy": header})
            self.assertEqual(
                (error.status, error.param, error.headers), (400, "routing-strategy", ((b"x-error-routing", b"true"),))
            )
        for name in POLICIES:
            self.assertIn(name, str(self.assertRaises(UnknownPolicy, self.routing, {b"routing-strategy": b"x"})))

    def test_no_filter_and_no_profile(self) -> None:
        """400 as well, each with its header's name."""
        for header, value, kind in (
            (b"external-filter", b"rack in r1", InvalidFilter), (b"config-profile", b"x", UnknownProfile),
        ):  # fmt: skip
            error = self.assertRaises(kind, self.routing, {header: value})
            self.assertEqual((error.status, error.param), (400, header.decode()))

    def test_each_model_has_its_own(self) -> None:
        """What a policy remembers of one model moves nothing in another, or in another policy's."""
        self.fleet = Fleet.of([probed("a", "m", "n"), probed("b", "m", "n")])
        names = []
        for model in ("m", "n", "m", "n"):
            names.append(self.chosen(model=model).name)
            self.chosen({b"routing-strategy": b"random"}, model)
        self.assertNotEqual(names[0], names[2])
        self.assertNotEqual(names[1], names[3])

    def test_blends_share_their_parts(self) -> None:
        """What was learned alone is known in company, and there are not ever more of them."""
        self.chosen({b"routing-strategy": b"prefix-cache"})
        for weight in range(1000):
            self.chosen({b"routing-strategy": b"prefix-cache:%d,least-request:7" % (weight + 1)})
        self.assertLessEqual(len(self.chooser._blends), 256)
        self.assertEqual(list(self.chooser.indexes), ["m"])

    def test_profile(self) -> None:
        """By name, and by size: an answer says which it was."""
        profiles = {"long": ProfileSettings(policy="prefix-cache", prompt_tokens_gte=100), "x": ProfileSettings()}
        self.chooser = self.made("random", ModelSettings(name="m", profiles=profiles))
        auto, long = {b"config-profile": b"auto"}, BODY.replace(b"Hello", b"Hello" * 200)
        for fields, body, said, profile in (
            ({b"config-profile": b"long"}, BODY, "prefix-cache", ""), (auto, BODY, "random", ""),
            (auto, long, "prefix-cache", "long"),
        ):  # fmt: skip
            plan = self.routing(fields, body=body).plan
            self.assertEqual((plan.strategy.said, plan.profile), (said, profile))


class AskTests(ChooserTestCase):
    """What policies are told."""

    def ask(self, policy: bytes, fields: Fields | None = None, body: bytes = BODY) -> Ask:
        """Of one request."""
        return self.routing({b"routing-strategy": policy, **(fields or {})}, body=body).ask

    def test_no_more_than_needed(self) -> None:
        """Nothing; facts; the prompt's hashes."""
        self.assertIs(self.ask(b"least-request"), NOTHING_ASKED)
        self.assertEqual(self.ask(b"session-affinity").prompt.length, 0)
        self.assertGreater(len(self.ask(b"prefix-cache", body=BODY.replace(b"Hello", b"x" * 999)).prompt.hashes), 6)

    def test_sessions(self) -> None:
        """A session is a replica's name in base64; what is none is nothing."""
        for value, session in (
            (base64.b64encode(b"a"), "a"), (b"YQ", ""), (b"/w==", ""), (b"", ""), (b"!", ""), (b"YWFh" * 400, ""),
        ):  # fmt: skip
            self.assertEqual(self.ask(b"session-affinity", {b"x-session-id": value}).session, session, value)
        for length, kept in ((256, True), (257, False)):
            key = self.ask(b"session-affinity", {b"x-aibrix-session-key": b"k" * length}).session_key
            self.assertEqual(bool(key), kept)

    def test_users(self) -> None:
        """Only where that header is believed."""
        self.assertEqual(self.ask(b"vtc-basic", {b"user": b"u"}).user, "")
        self.chooser = self.made(auth=AuthSettings(trust_user_header=True))
        self.assertEqual(self.ask(b"vtc-basic", {b"user": b"u"}).user, "u")

    def test_the_rest(self) -> None:
        """Whether it streams, and how long its answer may be."""
        ask = self.ask(b"least-work", body=BODY[:-1] + b',"stream":true,"max_tokens":7}')
        self.assertEqual((ask.stream, ask.max_tokens), (True, 7))


class ChooseTests(ChooserTestCase):
    """A replica, or why there is none."""

    def test_lacks(self) -> None:
        """Each is passed on as it is."""

        def choose(*tried: Replica) -> Replica | Lack:
            found = self.choose(tried=tried)
            return found.choice.replica if isinstance(found, Flight) else found

        self.assertIn(choose(), (self.a, self.b))
        self.assertIs(choose(self.a), self.b)
        self.assertIs(choose(self.a, self.b), Lack.TRIED)
        self.assertIs(self.choose(model="nobody's"), Lack.DOWN)
        self.a.max_in_flight = self.b.max_in_flight = 1
        leases = [self.a.load.lease("m"), self.b.load.lease("m")]
        self.assertIs(choose(), Lack.BUSY)
        leases.pop().release()
        self.assertIs(choose(), self.b)
        fall(self.a, self.b)
        self.assertIs(choose(), Lack.DOWN)
        leases.pop().release()

    def test_filter(self) -> None:
        """Who is not picked is not there; nobody is picked: that is said at once."""
        self.b.labels = {"rack": "r2"}
        fields = {b"external-filter": b"rack=r2"}
        self.assertEqual({self.chosen(fields) for _ in range(4)}, {self.b})
        self.assertIs(self.choose({b"external-filter": b"rack=r3"}), Lack.UNMATCHED)
        fall(self.b)
        self.assertIs(self.choose(fields), Lack.DOWN)
        self.assertIs(self.choose({b"external-filter": b"rack"}, "nobody's"), Lack.DOWN)

    def test_a_policy_that_would_rather_wait(self) -> None:
        """There is room, but not for this."""
        gpu = GpuProfileSettings(
            model="m",
            output_tokens=(1.0,),
            prompt_tokens=(1.0,),
            rates=((1.0,),),
            e2e=((1.0,),),
            replicas="name in (a)",
        )
        self.chooser = self.made("slo", ModelSettings(name="m", slo=SloSettings(e2e=9.0)), gpu_profile=(gpu,))
        self.assertIs(self.chosen(), self.a)
        self.assertIs(self.choose(), Lack.BUSY)

    def test_fallbacks_are_counted(self) -> None:
        """Each time; they are warned of once."""
        warnings: list[Any] = []
        globalLogPublisher.addObserver(warnings.append)
        self.addCleanup(globalLogPublisher.removeObserver, warnings.append)
        for _ in range(3):
            self.chosen({b"routing-strategy": b"least-kv-cache"})
        self.assertEqual(self.fell_back, [Fallback("least-kv-cache", Missing.METRICS)] * 3)
        said = [formatEvent(event) for event in warnings]
        self.assertEqual(said, ["policy least-kv-cache for the model m decides without what it goes by: no_metrics"])

    def test_to_ask_changes_nothing(self) -> None:
        """A dry choice leaves no trace."""
        exchange: Any = None
        for _ in range(5):
            routing = self.routing({b"routing-strategy": b"least-kv-cache"})
            self.assertIsInstance(self.chooser.choose(exchange, routing, "m", self.fleet, {}, dry=True), Flight)
        self.assertEqual((self.fell_back, list(self.chooser.flights)), ([], []))

    def test_the_engines_own_queue(self) -> None:
        """Counts only where it is to."""
        self.a.load.read(EngineLoad(at=0.0, waiting=5.0), 3.0)
        self.assertEqual(len(self.candidates(self.chooser)), 2)
        bounded = self.made(queue=QueueSettings(engine_waiting=5))
        self.assertEqual(self.candidates(bounded), ["b"])
        self.now = 3.5
        self.assertEqual(len(self.candidates(bounded)), 2, "what was said is too old")

    def candidates(self, chooser: Chooser) -> list[str]:
        """Their names."""
        found = chooser.candidates("m", self.fleet)
        return [] if isinstance(found, Lack) else [one.name for one in found]


class ReloadTests(ChooserTestCase):
    """New settings."""

    def test_what_was_learned_stays(self) -> None:
        """As long as what it was learned with does."""
        long = BODY.replace(b"Hello", b"Hello" * 100)
        fields = {b"routing-strategy": b"prefix-cache"}
        first = self.chosen(fields, body=long)
        for more, kept in (({}, True), ({"prefix_cache": PrefixCacheSettings(blocks=50)}, True),
                           ({"prefix_cache": PrefixCacheSettings(blocks=50, block_bytes=64)}, False)):  # fmt: skip
            of: Any = more
            self.chooser.configure(Settings(policy="random", **of))
            flight = self.choose(fields, body=long)
            assert isinstance(flight, Flight)
            matches = dict(
                zip((one.name for one in flight.candidates), flight.choice.why["match_percent"], strict=True)
            )
            self.assertEqual(matches[first.name] > 0, kept, more)

    def test_the_default(self) -> None:
        """Is the new one from then on."""
        self.assertEqual(self.routing().plan.strategy.said, "round-robin")
        self.chooser.configure(Settings(policy="random"))
        self.assertEqual(self.routing().plan.strategy.said, "random")


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
