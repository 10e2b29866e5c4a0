"""One look: aliases, what is believed at once and what is not, what is kept."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryRefusedError, DNSQueryTimeoutError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.discovery.dns_look import (
    AT_ONCE,
    EMPTY_ANSWERS,
    MAX_ALIASES,
    PATIENCE_S,
    Known,
    Look,
    Service,
)
from tests.service.discovery.zone import Zone, a, alias, record, srv

T = TypeVar("T")
SERVICE = b"_vllm._tcp.x"


class Looks(SynchronousTestCase):
    """A row of looks into one zone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.zone = Zone()
        self.known: dict[Any, Known] = {}

    def next(self) -> Look:
        """One more look."""
        self.look = Look(self.zone, self.clock, self.known)
        return self.look

    def done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it says; it must not wait."""
        result = self.successResultOf(Deferred.fromCoroutine(coroutine))
        self.known = self.look.known
        return result

    def addresses(self, name: str = "gpu") -> list[str]:
        """The addresses of one name, by a new look."""
        return self.done(self.next().addresses([name.encode()]))[name.encode()]

    def services(self) -> list[Service] | None:
        """Those of the service, by a new look."""
        found = self.done(self.next().services(SERVICE))
        return None if found is None else found[0]


class AddressTests(Looks):
    """Addresses of names."""

    def test_both_kinds_in_order(self) -> None:
        """However they come: IPv4 first, by number."""
        self.zone.records = [
            a("gpu", "10.0.0.10"),
            a("GPU", "2001:db8::1", 30),
            a("gpu", "10.0.0.9", 90),
            a("x", "1.1.1.1", 1),
        ]
        self.assertEqual(self.addresses(), ["10.0.0.9", "10.0.0.10", "2001:db8::1"])
        self.assertEqual((self.look.ttl, self.look.problems, self.look.failed), (30, (), False))

    def test_the_same_twice(self) -> None:
        """Is one."""
        self.zone.records = [a("gpu", "10.0.0.9"), a("gpu", "10.0.0.9")]
        self.assertEqual(self.addresses(), ["10.0.0.9"])

    def test_aliases(self) -> None:
        """Followed in one answer, and over several; none holds longer than each of its parts."""
        self.zone.records = [alias("gpu", "One", 20), alias("one", "two"), a("two", "10.0.0.9", 50)]
        self.assertEqual(self.addresses(), ["10.0.0.9"])
        self.assertEqual(self.look.ttl, 20)
        self.assertEqual(self.zone.taken(), ["A gpu", "A one", "A two", "AAAA gpu", "AAAA one", "AAAA two"])
        whole = ([*self.zone.records, a("two", "2001:db8::1")], [], [])
        held = self.zone.hold("gpu")
        waiting = Deferred.fromCoroutine(self.next().addresses([b"gpu"]))
        for answer in held:
            answer.callback(whole)
        self.assertEqual(self.successResultOf(waiting), {b"gpu": ["10.0.0.9", "2001:db8::1"]})

    def test_aliases_without_end(self) -> None:
        """Given up: in one answer, and over several."""
        self.zone.records = [alias("gpu", "b"), alias("b", "gpu")]
        self.assertEqual(self.addresses(), [])
        self.assertIn("without end", self.look.problems[0])
        self.assertEqual(len(self.zone.taken()), 2 * MAX_ALIASES)
        self.assertFalse(self.look.certain)

    def test_other_names_in_the_answer(self) -> None:
        """What was not asked for is not taken."""
        held = self.zone.hold("gpu")
        waiting = Deferred.fromCoroutine(self.next().addresses([b"gpu"]))
        chaos = dns.RRHeader("gpu", dns.A, dns.CH, 60, dns.Record_A("10.0.0.7"))
        for answer in held:
            answer.callback(([a("evil", "10.0.0.6"), chaos], [], []))
        self.assertEqual(self.successResultOf(waiting), {b"gpu": []})

    def test_what_came_with_another_answer(self) -> None:
        """Is not asked for again; what did not come is."""
        self.zone.records = [a("other", "10.0.0.2")]
        look = self.next()
        found = self.done(look.addresses([b"gpu", b"other", b"gpu"], [a("gpu", "10.0.0.1", 7), srv("gpu")]))
        self.assertEqual(found, {b"gpu": ["10.0.0.1"], b"other": ["10.0.0.2"]})
        self.assertEqual((self.zone.taken(), look.ttl), (["A other", "AAAA other"], 7))

    def test_nothing_is_not_believed_at_once(self) -> None:
        """Only after so many answers in a row; one with records begins the count anew."""
        self.zone.records = well = [a("gpu", "10.0.0.9")]
        self.addresses()
        for absent, problem in (
            ([], "gpu does not exist"),
            ([record("gpu", dns.Record_TXT(b"x"))], "no A record any more"),
        ):
            for _ in range(2):
                self.zone.records = absent
                for _ in range(EMPTY_ANSWERS - 1):
                    self.assertEqual(self.addresses(), ["10.0.0.9"])
                    self.assertIn(problem, self.look.problems[0])
                    self.assertFalse(self.look.failed)
                self.zone.records = well
                self.assertEqual(self.addresses(), ["10.0.0.9"])
                self.assertEqual(self.look.problems, ())
        self.zone.records = []
        for expected in (["10.0.0.9"], ["10.0.0.9"], [], []):
            self.assertEqual(self.addresses(), expected)
        self.assertTrue(self.look.certain)
        self.assertEqual(self.look.ttl, math.inf)

    def test_nothing_from_the_start(self) -> None:
        """Is not certain before it was said as often."""
        certain = []
        for _ in range(EMPTY_ANSWERS):
            self.assertEqual(self.addresses(), [])
            certain.append(self.look.certain)
        self.assertEqual(certain, [False, False, True])

    def test_a_name_without_addresses(self) -> None:
        """Exists, and is a problem all the same."""
        self.zone.records = [record("gpu", dns.Record_TXT(b"x"))]
        self.addresses()
        self.assertEqual(self.look.problems, ("gpu has no address",))

    def test_one_kind_fails(self) -> None:
        """The other is taken anew; of this one what it was before, for ever."""
        self.zone.records = [a("gpu", "10.0.0.9"), a("gpu", "2001:db8::1")]
        self.addresses()
        self.zone.records = [a("gpu", "10.0.0.8")]
        self.zone.faults = {"AAAA gpu": DNSServerError()}
        for _ in range(EMPTY_ANSWERS + 1):
            self.assertEqual(self.addresses(), ["10.0.0.8", "2001:db8::1"])
            self.assertEqual(self.look.problems, ("gpu AAAA: the server failed",))
        self.known = {}
        self.assertEqual(self.addresses(), ["10.0.0.8"])
        self.assertFalse(self.look.certain)

    def test_failures_in_words(self) -> None:
        """Each a problem that a person understands."""
        for fault, words in (
            (DNSServerError(), "gpu A: the server failed"),
            (DNSQueryRefusedError(), "gpu A: the server refused to answer"),
            (DNSQueryTimeoutError(1), "gpu A: no answer"),
            (ConnectionRefusedError(), "gpu A: Connection was refused by other side."),
            (KeyError(), "gpu A: KeyError"),
            (DNSNameError(), "gpu does not exist"),
        ):
            self.zone.faults = {"gpu": fault}
            self.addresses()
            self.assertEqual(self.look.problems, (words,))
            self.assertEqual(self.look.failed, not isinstance(fault, DNSNameError))

    def test_a_resolver_that_says_nothing(self) -> None:
        """Is given up in time."""
        self.zone.hold("gpu")
        waiting = Deferred.fromCoroutine(self.next().addresses([b"gpu"]))
        self.clock.advance(PATIENCE_S)
        self.assertEqual(self.successResultOf(waiting), {b"gpu": []})
        self.assertEqual(self.look.problems, ("gpu A: no answer",))

    def test_so_many_at_once(self) -> None:
        """Not more: the rest waits for the first."""
        names = [f"g{number}" for number in range(AT_ONCE)]
        held = self.zone.hold(*names)
        waiting = Deferred.fromCoroutine(self.next().addresses([name.encode() for name in names]))
        self.assertEqual(len(self.zone.taken()), AT_ONCE)
        held[0].callback(([], [], []))
        self.assertEqual(len(self.zone.taken()), 1)
        self.look.end()
        waiting.cancel()
        self.successResultOf(waiting)
        self.assertEqual(self.zone.asked, [], "nothing is asked after the end")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ServiceTests(Looks):
    """SRV records."""

    def test_services(self) -> None:
        """All that can be used; the time is that of the records."""
        self.zone.records = [
            srv("G1.x", priority=1, weight=2, ttl=9),
            srv(""),
            srv("g2.x", port=0),
            srv("b d.x"),
            srv("g3.x"),
        ]
        self.assertEqual(self.services(), [Service(1, 2, 8000, b"g1.x"), Service(0, 0, 8000, b"g3.x")])
        self.assertEqual(self.look.ttl, 9)
        self.assertEqual(len(self.look.problems), 1)
        self.assertIn("found the target b'b d.x', expected a name", self.look.problems[0])

    def test_nobody_can_tell(self) -> None:
        """All that was known stays known, the targets' addresses too."""
        self.zone.records = [srv("g1"), a("g1", "10.0.0.1")]
        look = self.next()
        self.done(look.services(SERVICE))
        self.done(look.addresses([b"g1"]))
        known = dict(self.known)
        for fault, problem in (
            (DNSServerError(), "_vllm._tcp.x SRV: the server failed"),
            (DNSNameError(), "_vllm._tcp.x does not exist"),
        ):
            self.zone.faults = {"_vllm._tcp.x": fault}
            self.assertEqual(self.services(), None)
            self.assertEqual(self.look.problems, (problem,))
            self.assertEqual(self.known.keys(), known.keys())
        self.assertEqual(self.services(), None)
        self.assertEqual(self.services(), [])
        self.assertTrue(self.look.certain)

    def test_no_such_record(self) -> None:
        """The name is there, the service is not."""
        self.zone.records = [record("_vllm._tcp.x", dns.Record_TXT(b"x"))]
        self.assertEqual([self.services() for _ in range(3)], [None, None, []])
        self.assertEqual(self.look.problems, ("_vllm._tcp.x has no SRV record",))
