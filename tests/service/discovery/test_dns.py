"""Replicas from DNS: which they are, what they are called, when it is asked again, and what stays when it fails."""

from __future__ import annotations

import dataclasses
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import DnsSettings, ReplicaSettings, ReplicaTlsSettings
from aibrix_twisted.service.discovery import dns as dns_module
from aibrix_twisted.service.discovery.dns import RETRY_S, DnsSource
from aibrix_twisted.service.discovery.source import ReplicaSource
from tests.service.discovery.zone import Zone, a, record, srv

SERVICE = DnsSettings(name="_vllm._tcp.x", kind="srv")


class Sources(SynchronousTestCase):
    """One source, before a zone in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.zone = Zone()
        self.published: list[tuple[ReplicaSettings, ...]] = []
        self.logged: list[tuple[Any, str]] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        """Keep what the source logs."""
        if event.get("log_namespace", "").endswith("discovery.dns"):
            self.logged.append((event["log_level"], event["log_format"].format(**event)))

    def begin(self, settings: DnsSettings, *records: Any) -> DnsSource:
        """Start it, with these in the zone."""
        self.zone.records = list(records)
        self.source = DnsSource(settings, self.published.append, self.clock, self.zone)
        self.source.start()
        return self.source

    def after(self, seconds: float, *records: Any) -> None:
        """Change the zone, and let time pass."""
        self.zone.records = list(records)
        self.clock.advance(seconds)

    @property
    def names(self) -> list[str]:
        """Those of the replicas that were published last."""
        return [replica.name for replica in self.published[-1]]

    @property
    def urls(self) -> list[str]:
        """And where they are."""
        return [replica.url for replica in self.published[-1]]


class HostTests(Sources):
    """Every address of a host."""

    def test_it_is_a_source(self) -> None:
        """As the fleet wants one."""
        source: ReplicaSource = self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1"))
        self.assertEqual((source.name, source.problem), ("dns gpu:8000", ""))

    def test_every_address_is_a_replica(self) -> None:
        """With what the settings say of each."""
        settings = DnsSettings(
            name="GPU.", port=81, engine="vllm", models=("m",), labels={"rack": "r1"}, api_key_file="/run/key"
        )
        self.begin(settings, a("gpu", "2001:db8::1"), a("gpu", "10.0.0.1"))
        self.assertEqual(self.names, ["10.0.0.1:81", "[2001:db8::1]:81"])
        self.assertEqual(self.urls, ["http://10.0.0.1:81", "http://[2001:db8::1]:81"])
        expected = ReplicaSettings(
            url="http://10.0.0.1:81",
            name="10.0.0.1:81",
            engine="vllm",
            models=("m",),
            labels={"rack": "r1"},
            api_key_file="/run/key",
        )
        self.assertEqual(self.published[-1][0], expected)

    def test_tls(self) -> None:
        """Their certificates have to be for the name, or the target, unless the settings say another one."""
        self.begin(DnsSettings(name="GPU.", tls=ReplicaTlsSettings(ca="/ca")), a("gpu", "10.0.0.1"))
        (found,) = self.published[-1]
        self.assertEqual(
            (found.url, found.tls), ("https://10.0.0.1:8000", ReplicaTlsSettings(ca="/ca", server_name="gpu"))
        )
        self.begin(DnsSettings(name="gpu", tls=ReplicaTlsSettings(server_name="x")), a("gpu", "10.0.0.1"))
        self.assertEqual(self.published[-1][0].tls, ReplicaTlsSettings(server_name="x"))
        service = dataclasses.replace(SERVICE, tls=ReplicaTlsSettings())
        self.begin(service, srv("G1", 80), a("g1", "10.0.0.1"))
        self.assertEqual(self.published[-1][0].tls, ReplicaTlsSettings(server_name="g1"))

    def test_what_cannot_be_asked(self) -> None:
        """Is said when the source is made."""
        for settings in (DnsSettings(name="a b"), DnsSettings(name="gpu", servers=("ns.example.org",))):
            self.assertRaises(ValueError, DnsSource, settings, self.published.append, self.clock)

    def test_asked_again_when_it_is_over(self) -> None:
        """After the smallest of the times; published when it changed, in whatever order it comes."""
        self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1", 30), a("gpu", "10.0.0.2", 20))
        self.zone.asked.clear()
        self.after(19.9, a("gpu", "10.0.0.2"), a("gpu", "10.0.0.1"))
        self.assertEqual(self.zone.taken(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.zone.taken(), ["A gpu", "AAAA gpu"])
        self.assertEqual(len(self.published), 1)
        self.after(60, a("gpu", "10.0.0.2"), a("gpu", "10.0.0.3"))
        self.assertEqual(self.names, ["10.0.0.2:8000", "10.0.0.3:8000"])
        self.assertEqual([text for _, text in self.logged], ["dns gpu:8000 has 2 replicas"] * 2)

    def test_bounds_of_the_time(self) -> None:
        """Neither at once again, nor never."""
        for ttl, wait in ((0, 2.0), (1, 2.0), (3, 3), (86400, 10.0)):
            self.begin(DnsSettings(name="gpu", min_ttl=2.0, max_ttl=10.0), a("gpu", "10.0.0.1", ttl))
            self.assertEqual(self.clock.getDelayedCalls()[0].getTime() - self.clock.seconds(), wait)
            self.source.stop()

    def test_failures_keep_the_list(self) -> None:
        """For as long as they last; told once; the next answer is taken."""
        self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1"))
        self.logged.clear()
        self.zone.faults = {"gpu": DNSServerError()}
        self.clock.pump([60.0] * 100)
        self.assertEqual((len(self.published), self.source.problem), (1, "gpu A: the server failed"))
        self.assertEqual(self.logged, [(LogLevel.warn, "dns gpu:8000: gpu A: the server failed")])
        self.zone.faults = {}
        self.after(RETRY_S, a("gpu", "10.0.0.2"))
        self.assertEqual((self.names, self.source.problem), (["10.0.0.2:8000"], ""))
        self.assertEqual([level for level, _ in self.logged[1:]], [LogLevel.info] * 2)

    def test_nothing_is_published_when_it_was_said_often_enough(self) -> None:
        """And asked again soon, whatever it is that was there before."""
        self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1", 20))
        self.after(20)
        self.after(RETRY_S)
        self.assertEqual((len(self.published), self.source.problem), (1, "gpu does not exist"))
        self.after(RETRY_S)
        self.assertEqual(self.published[1:], [()])
        self.after(RETRY_S)
        self.assertEqual((len(self.published), self.source.problem), (2, "gpu does not exist"))
        self.after(RETRY_S, a("gpu", "10.0.0.1"))
        self.assertEqual(self.names, ["10.0.0.1:8000"])

    def test_nothing_from_the_start(self) -> None:
        """A name that is not there yet: no list, then an empty one; failures alone never make one."""
        self.begin(DnsSettings(name="gpu"))
        self.assertEqual(self.published, [])
        self.clock.pump([RETRY_S] * 3)
        self.assertEqual(self.published, [()])
        self.source.stop()
        self.published.clear()
        self.zone.faults = {"gpu": DNSServerError()}
        self.begin(DnsSettings(name="gpu"))
        self.clock.pump([RETRY_S] * 9)
        self.assertEqual(self.published, [])

    def test_many_problems(self) -> None:
        """Not all of them are told."""
        self.begin(SERVICE, *(srv(f"g{number}") for number in range(9)))
        self.assertTrue(self.source.problem.endswith("g4 does not exist; and 4 more"), self.source.problem)


class ServiceTests(Sources):
    """The records of a service."""

    def test_targets(self) -> None:
        """A target of one address is called by its name; the addresses of another by themselves."""
        self.begin(
            SERVICE, srv("g2", 81), srv("G1", 80), a("g1", "10.0.0.1"), a("g2", "10.0.0.2"), a("g2", "2001:db8::2")
        )
        self.assertEqual(self.names, ["g1:80", "10.0.0.2:81", "[2001:db8::2]:81"])
        self.assertEqual(self.urls, ["http://10.0.0.1:80", "http://10.0.0.2:81", "http://[2001:db8::2]:81"])
        self.assertEqual([replica.weight for replica in self.published[-1]], [1.0] * 3)

    def test_one_address_twice(self) -> None:
        """Two ports of a host are two replicas; the same port under two names is one."""
        self.begin(
            SERVICE,
            srv("g1", 80),
            srv("g1", 81),
            srv("g1", 80),
            srv("g2", 80),
            a("g1", "10.0.0.1"),
            a("g2", "10.0.0.1"),
        )
        self.assertEqual(self.names, ["g1:80", "g1:81"])

    def test_what_comes_along_is_not_asked_for(self) -> None:
        """The additional section; its times count, too."""
        self.zone.extra = [a("g1", "10.0.0.1", 7)]
        self.begin(SERVICE, srv("g1"))
        self.assertEqual((self.names, self.zone.taken()), (["g1:8000"], ["SRV _vllm._tcp.x"]))
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), 7)

    def test_the_lowest_priority_that_has_any(self) -> None:
        """The others are not even asked for; a target that is gone for good makes room for them."""
        records = [
            srv("back", priority=2),
            srv("main", priority=1, ttl=5),
            srv("lost", priority=0),
            a("back", "10.0.0.2"),
        ]
        self.begin(SERVICE, *records, a("main", "10.0.0.1"))
        self.assertEqual(self.names, ["main:8000"])
        self.assertNotIn("A back", self.zone.taken())
        for _ in range(2):
            self.after(RETRY_S, *records)
            self.assertEqual(self.names, ["main:8000"])
        self.after(RETRY_S, *records)
        self.assertEqual(self.names, ["back:8000"])
        self.after(RETRY_S, *records, a("main", "10.0.0.1"))
        self.assertEqual(self.names, ["main:8000"])

    def test_weights(self) -> None:
        """Only where they say something; within what a replica can have."""
        for weights, expected in (
            ((5, 5), [1.0, 1.0]),
            ((0, 0), [1.0, 1.0]),
            ((0, 3), [1.0, 3.0]),
            ((60, 40), [60.0, 40.0]),
            ((500, 2000), [250.0, 1000.0]),
        ):
            records = [srv(f"g{number}", weight=weight) for number, weight in enumerate(weights)]
            self.begin(SERVICE, *records, a("g0", "10.0.0.1"), a("g1", "10.0.0.2"))
            self.assertEqual([replica.weight for replica in self.published[-1]], expected)
            self.source.stop()

    def test_failures_keep_the_list(self) -> None:
        """Of the service, or of a target."""
        self.begin(SERVICE, srv("g1"), srv("g2"), a("g1", "10.0.0.1"), a("g2", "10.0.0.2"))
        for fault in ({"g2": DNSServerError()}, {"_vllm._tcp.x": DNSServerError()}):
            self.zone.faults = fault
            self.clock.pump([60.0] * 10)
            self.assertEqual(len(self.published), 1)
            self.assertIn("the server failed", self.source.problem)
        self.zone.faults = {"_vllm._tcp.x": DNSNameError()}
        self.clock.pump([RETRY_S] * 3)
        self.assertEqual(self.published[1:], [()])

    def test_not_to_be_had_here(self) -> None:
        """A single record with no target says so, and needs to say it once."""
        self.begin(SERVICE, srv("g1", ttl=10), a("g1", "10.0.0.1"))
        self.after(10, srv(""))
        self.assertEqual((self.published[1:], self.source.problem), ([()], ""))

    def test_no_such_record(self) -> None:
        """The name is there, and something else under it."""
        self.begin(SERVICE, record("_vllm._tcp.x", dns.Record_TXT(b"x")))
        self.assertEqual((self.published, self.source.problem), ([], "_vllm._tcp.x has no SRV record"))


class LifeTests(Sources):
    """Started, stopped, and in trouble of its own."""

    def test_stopped(self) -> None:
        """Nothing is asked or published any more, whatever is under way; it can be started again."""
        source = self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1"))
        source.start()
        self.assertEqual(len(self.zone.taken()), 2, "started twice, asked once")
        source.stop()
        source.stop()
        self.after(1000, a("gpu", "10.0.0.2"))
        self.assertEqual((self.zone.taken(), self.clock.getDelayedCalls()), ([], []))
        held = self.zone.hold("gpu")
        source.start()
        source.stop()
        self.assertTrue(all(answer.called for answer in held))
        self.assertEqual((len(self.published), source.problem, self.clock.getDelayedCalls()), (1, "", []))
        self.zone.faults = {}
        source.start()
        self.assertEqual(self.names, ["10.0.0.2:8000"])

    def test_one_look_at_a_time(self) -> None:
        """A server that is slow is not asked again meanwhile."""
        held = self.zone.hold("gpu")
        self.begin(DnsSettings(name="gpu", min_ttl=0.1), a("gpu", "10.0.0.1"))
        self.clock.pump([1.0] * 10)
        self.assertEqual((len(self.zone.taken()), self.published), (2, []))
        for answer in held:
            answer.callback(([a("gpu", "10.0.0.1")], [], []))
        self.assertEqual(self.names, ["10.0.0.1:8000"])

    def test_whoever_is_told_fails(self) -> None:
        """It is logged, and asked on."""
        self.begin(DnsSettings(name="gpu"), a("gpu", "10.0.0.1"))
        self.source._publish = lambda replicas: 1 / 0  # type: ignore[assignment,return-value]
        self.after(60, a("gpu", "10.0.0.2"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.source._publish = self.published.append
        self.after(60, a("gpu", "10.0.0.3"))
        self.assertEqual(self.names, ["10.0.0.3:8000"])

    def test_no_resolver(self) -> None:
        """A resolv.conf that cannot be read is a problem, and tried again."""

        def none(servers: Any, reactor: Any) -> Any:
            raise PermissionError(13, "Permission denied", "/etc/resolv.conf")

        self.patch(dns_module, "NameResolver", none)
        source = DnsSource(DnsSettings(name="gpu"), self.published.append, self.clock)
        source.start()
        self.assertIn("Permission denied", source.problem)
        self.patch(dns_module, "NameResolver", lambda servers, reactor: Own(a("gpu", "10.0.0.1")))
        self.clock.advance(RETRY_S)
        self.assertEqual((self.names, source.problem), (["10.0.0.1:8000"], ""))

    def test_its_own_resolver(self) -> None:
        """Hung up after each look, asked of another server after a failure, closed in the end."""
        own = Own(a("gpu", "10.0.0.1"))
        self.patch(dns_module, "NameResolver", lambda servers, reactor: own)
        source = DnsSource(DnsSettings(name="gpu"), self.published.append, self.clock)
        source.start()
        self.assertEqual(own.told, ["hang up"])
        own.faults = {"gpu": DNSNameError()}
        self.clock.advance(60)
        self.assertEqual(own.told, ["hang up"] * 2, "an answer, if not the one we want")
        own.faults = {"gpu": DNSServerError()}
        self.clock.advance(RETRY_S)
        self.assertEqual(own.told, ["hang up"] * 3 + ["next"])
        waiting: Deferred[Any] = Deferred()
        own.faults = {"gpu": waiting}
        self.clock.advance(RETRY_S)
        source.stop()
        self.assertEqual(own.told[4:], ["close"])


class Own(Zone):
    """In the place of the resolver that a source makes for itself."""

    def __init__(self, *records: Any) -> None:
        super().__init__(*records)
        self.told: list[str] = []

    def hang_up(self) -> None:
        self.told.append("hang up")

    def next_server(self) -> None:
        self.told.append("next")

    def close(self) -> None:
        self.told.append("close")
