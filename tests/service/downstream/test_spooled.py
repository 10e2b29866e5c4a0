"""Answers of clients that are too slow, through a whole gateway in memory: every way for them to end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from itertools import combinations, permutations, product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.settings import Limits, Settings
from aibrix_twisted.domain.timing import PHASES, phases
from aibrix_twisted.service.audit.checks import findings
from aibrix_twisted.service.process.drain import Drain
from tests.fakes import Bench, answer, post, replica
from tests.service.downstream.slow import AHEAD, BREAK, END, LOST, STREAM, SlowScene, SlowWire, event, slow_settings

_pwrite = os.pwrite


class RelayTests(SynchronousTestCase):
    """Through a whole gateway, in memory."""

    def setUp(self) -> None:
        self.expected = {end: _undisturbed(0, end) for end in (END, BREAK, LOST)}

    def exchange_of(self, scene: SlowScene) -> Exchange:
        """The one that is over."""
        exchange: Exchange = scene.bench.log.seen[0]
        self.assertEqual(len(scene.bench.log.seen), 1)
        return exchange

    def agrees(self, scene: SlowScene) -> None:
        """An audit finds nothing."""
        self.assertEqual([finding.what for finding in findings(scene.bench.exchanges)], [])

    def test_its_engine_is_freed(self) -> None:
        """Read at full speed once the client is too slow; the lease and the connection are back before the client has
        the answer, which it gets as it is, and with it the end; then its next request is read."""
        scene = SlowScene()
        self.assertTrue(scene.upwire.paused)
        scene.slow()
        self.assertFalse(scene.upwire.paused)
        scene.more(5)
        scene.say(*END)
        self.assertEqual((scene.in_flight, scene.bench.pool.idle, scene.engine_done), (0, 1, True))
        self.assertEqual((scene.bench.exchanges.under_way, scene.bench.log.seen), (1, []))
        self.agrees(scene)
        spools = scene.bench.exchanges.spools
        self.assertGreater(spools.bytes, 10_000)
        scene.bench.advance(1.0)
        self.assertEqual(scene.bench.exchanges.memory.by_kind["unsent"], len(scene.wire._pending))
        self.assertLess(scene.bench.exchanges.memory.total, 2 * AHEAD)
        scene.client.dataReceived(STREAM)
        self.assertEqual(scene.in_flight, 0)
        scene.drink()
        self.assertEqual(scene.wire.written, _undisturbed(5, END))
        self.assertEqual((spools.bytes, spools.open, scene.in_flight), (0, set(), 1))
        exchange = self.exchange_of(scene)
        self.assertEqual((exchange.outcome, exchange.status, exchange.error), ("complete", 200, ""))
        self.assertEqual((exchange.spooled, scene.bench.metrics.spooled["taken"]), ("taken", 1))
        took = dict(zip(PHASES, phases(exchange), strict=True))
        self.assertEqual((took["finish"] < 0.01, took["spool"] >= 1.0), (True, True))

    def test_where_it_is_cut(self) -> None:
        """As before, where nothing else is set."""
        scene = SlowScene(slow_client="cut")
        scene.slow()
        self.assertTrue(scene.wire.aborted)
        exchange = self.exchange_of(scene)
        self.assertEqual((exchange.status, exchange.outcome, exchange.spooled), (499, "abandoned", None))
        self.assertEqual(exchange.reason, "the client took less than 10000000 bytes a second")

    def test_one_that_stalls(self) -> None:
        """Is cut off, and its file is gone at once, with its engine done or not."""
        for done in (False, True):
            scene = SlowScene()
            scene.slow()
            if done:
                scene.say(*END)
            scene.bench.advance(31.0)
            exchange = self.exchange_of(scene)
            self.assertEqual((exchange.status, exchange.reason), (499, "the client took nothing for 30 s"))
            self.assertEqual((exchange.spooled, scene.bench.exchanges.spools.open), ("left", set()))
            self.assertLess(exchange.bytes_out, len(self.expected[END]) // 2)
            self.agrees(scene)

    def test_one_whose_engine_is_read_to_its_end(self) -> None:
        """It has left amid the answer: what still comes is counted, and put nowhere."""
        scene = SlowScene(bench=Bench(slow_settings(), (replica("gpu0", drains=True),)))
        scene.slow()
        scene.wire.lose()
        self.assertEqual((scene.in_flight, scene.bench.exchanges.spools.open), (1, set()))
        scene.more()
        scene.say(*END)
        exchange = self.exchange_of(scene)
        self.assertEqual((exchange.status, exchange.spooled, exchange.stamps.taken), (499, "left", None))
        self.assertEqual((scene.in_flight, scene.bench.pool.idle, scene.bench.exchanges.under_way), (0, 1, 0))
        self.agrees(scene)

    def test_its_time(self) -> None:
        """C{total} is of the exchange, whoever takes so long."""
        for done in (False, True):
            scene = SlowScene()
            scene.slow()
            if done:
                scene.say(*END)
            for _ in range(70):
                scene.wire.drink(1)
                scene.bench.advance(1.0)
            exchange = self.exchange_of(scene)
            self.assertEqual((exchange.outcome, exchange.status, exchange.spooled), ("timed_out", 200, "stopped"))
            said = "the client had not taken the answer within 60 s" if done else "the answer was not whole within 60 s"
            self.assertEqual(exchange.reason, said)
            self.assertTrue(scene.wire.aborted)

    def test_a_gateway_that_stops(self) -> None:
        """Ends it once it has waited for long enough, with the reason."""
        for done in (False, True):
            scene = SlowScene()
            scene.slow()
            if done:
                scene.say(*END)
            scene.client.drain()
            self.assertEqual(scene.bench.exchanges.under_way, 1)
            scene.client.expire("the gateway is stopping")
            exchange = self.exchange_of(scene)
            self.assertEqual((exchange.outcome, exchange.spooled), ("timed_out", "stopped"))
            self.assertEqual((exchange.error, exchange.reason), ("gateway_draining", "the gateway is stopping"))
            self.assertEqual((scene.in_flight, scene.bench.exchanges.under_way), (0, 0))

    def test_a_gateway_that_drains(self) -> None:
        """Waits for it as for a stream."""
        scene = SlowScene()
        scene.slow()
        scene.say(*END)
        halted: list[bool] = []

        async def closed() -> None:
            """Nobody listens."""

        Drain(scene.bench.reactor, scene.bench.exchanges, closed, lambda: halted.append(True)).within(40.0)
        for _ in range(20):
            scene.wire.drink(1)
            scene.bench.advance(1.0)
        self.assertEqual((halted, scene.bench.exchanges.under_way), ([], 1))
        scene.drink()
        scene.wire.lose()
        scene.bench.advance(1.0)
        self.assertEqual((halted, scene.wire.written), ([True], self.expected[END]))
        self.assertEqual(self.exchange_of(scene).spooled, "taken")

    def test_a_defect_meanwhile(self) -> None:
        """It is ours, and is counted as that."""
        scene = SlowScene()
        scene.slow()
        scene.say(*END)
        work = scene.client.work
        assert work is not None
        work.fail()
        exchange = self.exchange_of(scene)
        self.assertEqual(
            (exchange.outcome, exchange.error, exchange.spooled), ("broken", "gateway_internal", "stopped")
        )

    def test_an_answer_that_is_over(self) -> None:
        """One that is slow in taking an answer that is over holds up no engine: it is let, while there is memory."""
        scene = SlowScene()
        scene.say(*END)
        scene.drink()
        self.assertEqual(scene.in_flight, 0)
        wire = SlowWire()
        client, _ = scene.bench.client(wire)
        client.dataReceived(post())
        scene.bench.upstream()[0].dataReceived(answer(b'{"id":"%b"}' % (b"x" * 5000)))
        for _ in range(8):
            wire.drink(1)
            scene.bench.advance(0.5)
        self.assertEqual((wire.aborted, scene.bench.metrics.spooled), (False, dict.fromkeys(Spooled, 0)))
        scene.bench.exchanges.memory.configure(len(wire._pending))
        for _ in range(8):
            wire.drink(1)
            scene.bench.advance(0.5)
        self.assertTrue(wire.aborted)

    def test_no_place(self) -> None:
        """It is cut off as one that is too slow is, and says that, too."""
        scene = SlowScene(spool_dir="/nowhere")
        scene.slow()
        exchange = self.exchange_of(scene)
        self.assertIn("less than 10000000 bytes a second, and no file for its answer could be made", exchange.reason)
        self.assertEqual((exchange.spooled, exchange.status, scene.in_flight), ("failed", 499, 0))

    def test_an_answer_that_is_no_stream(self) -> None:
        """Where it is too long to be gathered first; over HTTP/1.0, too."""
        for version in (b"1.0", b"1.1"):
            bench = Bench(slow_settings(answer_bytes=100))
            wire = SlowWire()
            client, _ = bench.client(wire)
            client.dataReceived(post().replace(b"HTTP/1.1", b"HTTP/" + version))
            up, upwire = bench.upstream()
            body = b'{"id":"%b"}' % (b"y" * 50_000)
            rest = answer(body)
            while rest:
                if upwire.paused:
                    for _ in range(8):
                        wire.drink(1)
                        bench.advance(0.3)
                up.dataReceived(rest[:600])
                rest = rest[600:]
            self.assertEqual(bench.replicas[0].load.in_flight, 0)
            while wire._pending:
                wire.drink(700)
                bench.reactor.advance(0)
            self.assertEqual(wire.written.partition(b"\r\n\r\n")[2], body)
            self.assertEqual((bench.log.seen[0].spooled, wire.closing), ("taken", version == b"1.0"))
            self.assertEqual(bench.log.seen[0].bytes_out, len(body))

    def test_other_settings_from_now_on(self) -> None:
        """What is in a file stays there; the next one is cut off."""
        scene = SlowScene()
        scene.slow()
        scene.bench.exchanges.configure(Settings(limits=Limits(client_read_rate=10**7, client_read_time=1.0)))
        scene.say(*END)
        other = SlowScene(bench=scene.bench)
        other.slow()
        self.assertEqual((other.wire.aborted, scene.wire.aborted), (True, False))
        scene.drink()
        self.assertEqual(scene.wire.written, self.expected[END])

    def test_every_order(self) -> None:
        """Of what may happen: whatever does, an audit finds nothing, the client has a beginning of the answer, and all of
        it, with the end that it had, where it stayed and there was a place for it; one line, one outcome."""
        for end, trouble in product((END, BREAK, LOST), ("fills", "fails")):
            for order in _orders(("slow", "ends", "drinks", "leaves", trouble)):
                with self.subTest(end=len(end), order=order):
                    self._one(order, end)

    def _one(self, order: tuple[str, ...], end: tuple[bytes, ...]) -> None:
        self.patch(os, "pwrite", _pwrite)
        scene = SlowScene(spool_bytes=65536)
        acts: dict[str, Callable[[], object]] = {
            "slow": scene.slow,
            "ends": lambda: scene.say(*end),
            "drinks": lambda: scene.drink(3000),
            "leaves": scene.wire.lose,
            "fills": lambda: setattr(scene.bench.exchanges.spools, "_most", 5000),
            "fails": lambda: self.patch(os, "pwrite", _no_space),
        }
        for act in order:
            acts[act]()
            scene.bench.advance(0.2)
            self.agrees(scene)
        if "ends" not in order:
            acts["ends"]()
        scene.drink()
        scene.bench.advance(0.5)
        self.agrees(scene)
        exchanges, exchange = scene.bench.exchanges, self.exchange_of(scene)
        self.assertEqual((scene.in_flight, exchanges.under_way), (0, 0))
        self.assertEqual((exchanges.spools.bytes, exchanges.spools.open), (0, set()))
        self.assertEqual(sum(scene.bench.metrics.spooled.values()), exchange.spooled is not None)
        expected = self.expected[end]
        gone = "leaves" in order or scene.wire.aborted
        self.assertEqual(expected[: len(scene.wire.written)], scene.wire.written)
        if not gone:
            self.assertEqual(scene.wire.written, expected)
        elif exchange.outcome == "abandoned":
            self.assertEqual(exchange.status, 499)
        if scene.wire.aborted:
            self.assertIn(exchange.spooled, ("full", "failed"))
            self.assertTrue(exchange.error)
            if exchange.outcome == "abandoned" and exchange.error == "client_gone":
                self.assertRegex(exchange.reason, "too slow, and its (answer is more|file could not be written)")
        elif exchange.spooled is not None:
            self.assertIn(exchange.spooled, ("left", "taken") if gone else ("taken",))
        if exchange.spooled == "taken" or (exchange.spooled is None and not gone):
            self.assertEqual(exchange.outcome, "complete" if end is END else "broken")
            self.assertEqual(scene.wire.written or expected, expected if not gone else scene.wire.written)
        self.assertGreaterEqual(exchange.bytes_out, 0)

    def test_cut_anywhere(self) -> None:
        """However little the client takes at a time, and however much comes at a time, it gets the same."""
        for sip in (1, 7, 699, 1001, 5000):
            scene = SlowScene()
            scene.slow()
            scene.drink(sip)
            scene.say(b"".join(event(31 + number) for number in range(5)) + b"".join(END))
            for _ in range(2_000_000 // sip):
                scene.wire.drink(sip)
                scene.bench.reactor.advance(0)
                if not scene.wire._pending:
                    break
            got, expected = _bodies(scene.wire.written), _bodies(_undisturbed(5, END))
            self.assertEqual(got, expected)
            self.assertTrue(scene.wire.written.endswith(b"0\r\n\r\n"))


def _undisturbed(more: int, end: tuple[bytes, ...]) -> bytes:
    """What a client gets that is fast."""
    scene = SlowScene(slow_client="cut", client_read_rate=0)
    scene.more(more)
    scene.say(*end)
    scene.drink()
    return scene.wire.written


def _orders(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for count in range(1, len(names) + 1):
        for some in combinations(names, count):
            if "slow" in some:
                yield from permutations(some)


def _no_space(*args: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _bodies(raw: bytes) -> bytes:
    """The chunks' data, whatever the chunks are."""
    rest, body = raw.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body
