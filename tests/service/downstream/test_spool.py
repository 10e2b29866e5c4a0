"""Answers of clients that are too slow: into a file, out of it, and every way for them to end."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import combinations, permutations, product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.settings import Limits, Settings
from aibrix_twisted.domain.timing import PHASES, Stamps, phases
from aibrix_twisted.service.audit.checks import findings
from aibrix_twisted.service.downstream.spool import TURN_BYTES, Spool
from aibrix_twisted.service.downstream.spools import Spools
from aibrix_twisted.service.process.drain import Drain
from tests.fakes import Bench, MemoryReactor, answer, post
from tests.service.downstream.slow import AHEAD, BREAK, END, LOST, STREAM, SlowScene, SlowWire, event, slow_settings

_pwrite, _pread = os.pwrite, os.pread


class Reader:
    """A connection that takes what it is told to.

    @ivar most: bytes, after which it has enough; C{None}: it never has.
    """

    def __init__(self) -> None:
        self.got = b""
        self.ahead = 100
        self.most: int | None = None
        self.why = ""
        self.spool: Spool

    def write(self, data: bytes) -> None:
        self.got += data
        if self.most is not None and len(self.got) >= self.most:
            self.spool.pause()

    def cut_off(self, why: str) -> None:
        self.why = why


class SpoolTests(SynchronousTestCase):
    """The object that takes the writes."""

    def begin(self, *, paused: bool = True, **limits: Any) -> Spool:
        self.reactor, self.outcomes, self.reader = MemoryReactor(), dict.fromkeys(Spooled, 0), Reader()
        self.spools = Spools(self.reactor, self.outcomes)  # type: ignore[arg-type]
        self.spools.configure(Limits(slow_client="spool", spool_dir=tempfile.gettempdir(), **limits))
        self.exchange = Exchange("x", "192.0.2.1", "POST", "/", "chat", Stamps(0.0))
        spool = self.spools.begin(self.exchange, self.reader, paused=paused)
        assert isinstance(spool, Spool)
        self.reader.spool = spool
        self.addCleanup(spool.close, Spooled.LEFT)
        return spool

    def test_in_order(self) -> None:
        """What comes while it takes nothing, behind what was there."""
        spool = self.begin()
        for piece in (b"a" * 150, b"b" * 150, b"c"):
            spool.write(piece)
        self.assertEqual((self.reader.got, spool.size, self.spools.bytes), (b"", 301, 301))
        self.reader.most = 120
        spool.resume()
        self.assertEqual(len(self.reader.got), 200)
        spool.write(b"d")
        self.reader.most = None
        spool.resume()
        self.assertEqual(self.reader.got, b"a" * 150 + b"b" * 150 + b"cd")
        self.assertEqual((spool.size, self.spools.bytes, self.exchange.spooled_bytes), (0, 0, 302))

    def test_who_has_caught_up(self) -> None:
        """Is given what comes at once, until it has enough again."""
        spool = self.begin(paused=False)
        spool.write(b"a")
        self.assertEqual((self.reader.got, spool.size), (b"a", 0))
        spool.pause()
        spool.write(b"b")
        spool.resume()
        spool.write(b"c")
        self.assertEqual((self.reader.got, spool.size, self.exchange.spooled_bytes), (b"abc", 0, 1))

    def test_the_end(self) -> None:
        """Is told once all of it was given, which may be at once."""
        for pieces in ((), (b"a" * 50,), (b"a" * 250,)):
            spool, told = self.begin(), []
            for piece in pieces:
                spool.write(piece)
            spool.end(lambda told=told: told.append(len(self.reader.got)))  # type: ignore[misc]
            if pieces:
                self.assertEqual(told, [])
                spool.resume()
            self.assertEqual(told, [sum(map(len, pieces))])
            self.assertEqual((self.exchange.spooled, self.outcomes["taken"], spool.open), (Spooled.TAKEN, 1, False))
            self.assertEqual((self.spools.bytes, self.spools.open, spool.left), (0, set(), 0))

    def test_a_file_without_a_name(self) -> None:
        """It is in the folder that is set, and nobody can find it there, nor after a crash."""
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        spool = self.begin(paused=True)
        self.spools.configure(Limits(slow_client="spool", spool_dir=folder))
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool) and other._file is not None
        other.write(b"secret")
        self.assertEqual(os.listdir(folder), [])
        self.assertEqual(os.fstat(other._file.fileno()).st_dev, os.stat(folder).st_dev)
        self.assertEqual(os.fstat(other._file.fileno()).st_nlink, 0)
        other.close(Spooled.LEFT)
        self.assertEqual(self.spools.open, {spool})

    def test_a_client_that_has_become_fast(self) -> None:
        """Takes so much in one turn of the reactor, and no more."""
        spool = self.begin(spool_bytes=1 << 22)
        self.reader.ahead = 65536
        data = os.urandom(3 * TURN_BYTES)
        spool.write(data)
        spool.end(lambda: None)
        spool.resume()
        self.assertEqual(len(self.reader.got), TURN_BYTES)
        spool.pause()
        spool.resume()  # told so in between: the turn that is asked for already will do
        self.assertEqual(len(self.reader.got), TURN_BYTES)
        for _ in range(2):
            self.reactor.advance(0)
        self.assertEqual(self.reader.got, data)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left_amid_such_turns(self) -> None:
        """No call is left behind."""
        spool = self.begin(spool_bytes=1 << 22)
        self.reader.ahead = 65536
        spool.write(bytes(2 * TURN_BYTES))
        spool.resume()
        spool.close(Spooled.LEFT)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((spool.left, self.spools.bytes, self.exchange.spooled), (TURN_BYTES, 0, Spooled.LEFT))

    def test_bounds(self) -> None:
        """Of one, and of all together."""
        spool = self.begin(spool_bytes=65536)
        spool.write(bytes(65536))
        self.assertEqual(self.reader.why, "")
        spool.write(b"x")
        self.assertIn("more than the 65536 bytes", self.reader.why)
        self.assertEqual((self.exchange.spooled, self.spools.bytes, spool.left), (Spooled.FULL, 0, 65537))
        spool.write(b"y")
        self.assertEqual((spool.left, spool.passed, self.outcomes["full"]), (65538, 65538, 1))
        spool = self.begin(spool_bytes=100_000, spool_total_bytes=100_000)
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool)
        other.write(bytes(99_990))
        spool.write(bytes(11))
        self.assertIn("have the 100000 bytes", self.reader.why)
        other.write(bytes(10))
        self.assertIn("have the 100000 bytes", str(self.spools.begin(self.exchange, self.reader, paused=True)))
        self.assertEqual(self.outcomes["full"], 2)
        other.close(Spooled.LEFT)

    def failing(self, name: str, number: int) -> None:
        def fails(*args: Any) -> Any:
            raise OSError(number, os.strerror(number))

        self.patch(os, name, fails)

    def test_what_a_disk_may_do(self) -> None:
        """Full, over the quota, broken: whether it is written, read, or emptied."""
        for name, number, said in (
            ("pwrite", errno.ENOSPC, "could not be written: No space left on device"),
            ("pwrite", errno.EDQUOT, "could not be written: Disk quota exceeded"),
            ("pwrite", errno.EIO, "could not be written: Input/output error"),
            ("pread", errno.EIO, "could not be read"),
            ("ftruncate", errno.EIO, "could not be emptied"),
        ):
            spool = self.begin()
            spool.write(b"a")
            self.failing(name, number)
            if name == "pwrite":
                spool.write(b"b")
            else:
                spool.resume()
            self.assertIn(said, self.reader.why)
            self.assertEqual((spool.open, self.outcomes["failed"], self.spools.bytes), (False, 1, 0), name)
            self.assertEqual(spool.left, {"pwrite": 2, "pread": 1, "ftruncate": 0}[name])
            spool.end(lambda: self.fail("it is not given whole"))
            self.patch(os, name, {"pwrite": _pwrite, "pread": _pread}.get(name))

    def test_a_full_disk(self) -> None:
        """The system's own."""
        spool = self.begin()
        self.spools._new_file = lambda directory: open("/dev/full", "r+b", buffering=0)
        other = self.spools.begin(self.exchange, self.reader, paused=True)
        assert isinstance(other, Spool)
        other.write(b"a")
        self.assertIn("No space left on device", self.reader.why)
        self.assertEqual((self.exchange.spooled, self.spools.open), (Spooled.FAILED, {spool}))

    def test_written_in_parts(self) -> None:
        """As a system may: the rest goes behind it."""
        self.patch(os, "pwrite", lambda fd, data, at: _pwrite(fd, data[:7], at))
        spool = self.begin()
        spool.write(b"0123456789" * 3)
        spool.write(b"abc")
        spool.resume()
        self.assertEqual(self.reader.got, b"0123456789" * 3 + b"abc")

    def test_a_file_that_somebody_cut(self) -> None:
        """Is not read for ever."""
        spool = self.begin()
        spool.write(b"abc")
        assert spool._file is not None
        os.ftruncate(spool._file.fileno(), 0)
        spool.resume()
        self.assertIn("has become shorter", self.reader.why)

    def test_no_file(self) -> None:
        """A folder that is gone, or no descriptors: the answer has no place, and says why."""
        self.begin()
        self.spools.configure(Limits(slow_client="spool", spool_dir="/nowhere"))
        self.assertEqual(
            self.spools.begin(self.exchange, self.reader, paused=True),
            "no file for its answer could be made: No such file or directory",
        )
        self.assertEqual((self.exchange.spooled, self.outcomes["failed"]), (Spooled.FAILED, 1))


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
