"""A second attempt beside one that is late: what becomes of the two."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import HedgeSettings, Retry, Settings
from tests.fakes import STREAM_HEAD, Bench, post, replica
from tests.service.exchange.engines import ANSWERS, Engine


class RivalTests(SynchronousTestCase):
    """Two attempts side by side: the first to say something has it, the other is cancelled, both leases go back."""

    def set_up(self) -> None:
        hedge = HedgeSettings(enabled=True, budget=1.0)
        self.bench = Bench(Settings(hedge=hedge, retry=Retry(backoff=0.0)), (replica("a"), replica("b")))
        hedges = self.bench.exchanges.hedges
        assert hedges is not None
        body = b'{"model":"m","stream":true}'
        for _ in range(32):
            hedges.began("m", len(body), 0.05)
        self.client, self.wire = self.bench.client()
        self.client.dataReceived(post(body))
        self.first = Engine(*self.bench.upstream(), 1)
        self.bench.advance(1)
        self.assertEqual(len(self.bench.reactor.connects), 2)
        self.second = Engine(*self.bench.upstream(), 2)
        self.assertEqual(self.in_flight, 2)

    @property
    def in_flight(self) -> int:
        return sum(each.load.in_flight for each in self.bench.replicas)

    def is_over(self, status: bytes) -> None:
        """One answer; nothing of the other one."""
        got = self.wire.written
        self.assertTrue(got.startswith(b"HTTP/1.1 " + status), got[:40])
        self.assertEqual(len(re.findall(rb"HTTP/1\.1 \d\d\d ", got)), 1)
        self.assertLessEqual(len(set(re.findall(rb"<(\d)>", got))), 1)
        self.assertEqual((self.in_flight, self.bench.exchanges.under_way, len(self.bench.log.seen)), (0, 0, 1))

    def test_whoever_is_first(self) -> None:
        """Of the two."""
        for swapped, outcome in ((False, "lost"), (True, "won")):
            self.set_up()
            winner, loser = (self.second, self.first) if swapped else (self.first, self.second)
            winner.begin("head of a stream")
            winner.say(STREAM_HEAD + winner.event())
            self.assertTrue(loser.wire.aborted)
            self.assertEqual(self.in_flight, 1)
            winner.finish()
            self.is_over(b"200")
            self.assertEqual(self.bench.metrics.hedges[outcome], 1)

    def test_hedging_is_turned_off_meanwhile(self) -> None:
        """By a reload: two that are under way are still two of one, and one is cancelled."""
        self.set_up()
        self.bench.exchanges.configure(Settings())
        self.first.begin("head of a stream")
        self.first.say(STREAM_HEAD + self.first.event())
        self.assertTrue(self.second.wire.aborted)
        self.first.finish()
        self.is_over(b"200")

    def test_a_whole_answer_is_one(self) -> None:
        """An error that is the request's own, say: it is not thrown away for what the other may say."""
        for swapped in (False, True):
            self.set_up()
            quick, slow = (self.second, self.first) if swapped else (self.first, self.second)
            quick.say(ANSWERS["400"])
            self.assertTrue(slow.wire.aborted)
            self.is_over(b"400")

    def test_one_fails(self) -> None:
        """Whichever it is, and however: the other has it."""
        for swapped in (False, True):
            for how in ("429", "close", "reset"):
                self.set_up()
                bad, good = (self.second, self.first) if swapped else (self.first, self.second)
                if how == "429":
                    bad.say(ANSWERS["429"])
                else:
                    bad.wire.lose(clean=how == "close")
                self.assertEqual((self.wire.written, self.in_flight), (b"", 1))
                good.begin("head of a stream")
                good.say(STREAM_HEAD)
                good.finish()
                self.is_over(b"200")

    def test_both_fail(self) -> None:
        """502, once."""
        self.set_up()
        self.first.wire.lose()
        self.second.wire.lose()
        self.is_over(b"502")

    def test_the_client_leaves(self) -> None:
        """Both are cancelled; where the first one's replica wants to finish, it alone goes on."""
        for drains in (False, True):
            self.set_up()
            for each in self.bench.replicas:
                each.drains = drains
            self.wire.lose()
            self.assertTrue(self.second.wire.aborted)
            self.assertEqual((self.first.wire.aborted, self.in_flight), (not drains, int(drains)))
            if drains:
                self.first.finish()
            self.assertEqual((self.in_flight, len(self.bench.log.seen)), (0, 1))

    def test_too_late(self) -> None:
        """The deadline is the exchange's: both end with it."""
        self.set_up()
        self.bench.advance(601)
        self.assertTrue(self.first.wire.aborted and self.second.wire.aborted)
        self.is_over(b"504")
