"""A client's connection, in memory: order, limits, deadlines, and one answer to each request."""

from __future__ import annotations

import gc
import re
import weakref

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import Limits, Settings, Timeouts
from aibrix_twisted.service.exchange.exchanges import TOLD_AT_ONCE
from tests.cuts import every_cut
from tests.fakes import Bench, Wire, answer, post
from tests.wire.test_head import BAD_REQUESTS

GET_HEALTH = b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\n"


def statuses(raw: bytes) -> list[int]:
    """The status of each answer in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [^\n]*\r\n", raw)]


def error_of(raw: bytes) -> dict[str, object]:
    """The error object of the only answer."""
    error: dict[str, object] = orjson.loads(raw.split(b"\r\n\r\n", 1)[1])["error"]
    return error


class AnswerTests(SynchronousTestCase):
    """What goes back."""

    def test_every_cut_of_a_request_is_answered_once(self) -> None:
        """However the bytes fall, one answer, the same."""
        seen = set()
        for pieces in every_cut(post()):
            bench = Bench()
            client, wire = bench.client()
            for piece in pieces:
                client.dataReceived(piece)
            up, upwire = bench.upstream()
            self.assertIn(b'{"model":"m"}', upwire.take())
            up.dataReceived(answer())
            seen.add(wire.take())
        self.assertEqual(len(seen), 1)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        """Each once the one before is done; only one is with an engine at a time."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(GET_HEALTH + post(b'{"model":"m","n":1}') + post(b'{"model":"m","n":2}') + GET_HEALTH)
        self.assertEqual(statuses(wire.take()), [200])
        up, upwire = bench.upstream()
        self.assertIn(b'"n":1', upwire.take())
        up.dataReceived(answer(b'{"first":1}'))
        self.assertIn(b'{"first":1}', wire.take())
        self.assertIn(b'"n":2', upwire.take())
        up.dataReceived(answer(b'{"second":2}'))
        out = wire.take()
        self.assertEqual(statuses(out), [200, 200])
        self.assertLess(out.index(b"second"), out.index(b"status"))
        self.assertFalse(wire.closing)

    def test_what_is_pipelined_after_the_last_request(self) -> None:
        """Is thrown away for a moment before the connection is closed: a close with bytes unread is a reset, which would
        take the last answer from the client (RFC 9112 §9.6)."""
        bench = Bench()
        client, wire = bench.client()
        last = b"GET /healthz HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n"
        client.dataReceived(last + b"GET /readyz HTTP/1.1\r\nhost: gw\r\n\r\n")
        self.assertEqual((wire.half_closed, wire.closing, wire.aborted), (True, False, False))
        self.assertEqual(wire.take().count(b"HTTP/1.1 200"), 1)
        client.dataReceived(b"GET /readyz HTTP/1.1\r\nhost: gw\r\n\r\n")
        self.assertEqual(wire.take(), b"")
        bench.advance(3.0)
        self.assertTrue(wire.aborted)

    def test_a_last_request_amid_others(self) -> None:
        """Answered at once, as the one before it: what follows it is thrown away, too."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(GET_HEALTH + b"GET /healthz HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n" + GET_HEALTH)
        self.assertEqual(statuses(wire.take()), [200, 200])
        self.assertEqual((wire.half_closed, wire.closing), (True, False))

    def test_too_much_pipelined_is_not_read(self) -> None:
        """What waits is bounded, and reading goes on once it has been worked off."""
        bench = Bench(Settings(limits=Limits(keepalive_requests=5000)))
        client, wire = bench.client()
        client.dataReceived(post())
        client.dataReceived(GET_HEALTH * 2000)
        self.assertTrue(wire.paused)
        up, _ = bench.upstream()
        up.dataReceived(answer())
        self.assertFalse(wire.paused)
        self.assertEqual(statuses(wire.take()), [200] * 2001)

    def test_every_malformed_head_gets_one_answer_and_the_end(self) -> None:
        """The right status and OpenAI's error object; nothing reaches an engine; nothing after it is believed."""
        for reason, status, raw in BAD_REQUESTS:
            bench = Bench()
            client, wire = bench.client()
            client.dataReceived(raw + post())
            out = wire.take()
            self.assertEqual(statuses(out), [status], (reason, raw))
            self.assertIn(b"connection: close", out)
            self.assertTrue(error_of(out)["message"])
            self.assertEqual(bench.reactor.connects, [])
            client.dataReceived(post())
            self.assertEqual(wire.take(), b"")
            self.assertEqual((bench.exchanges.under_way, len(bench.log.seen)), (0, 1))

    def test_malformed_after_a_good_one(self) -> None:
        """The first is answered, then the second is refused, in order."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post() + b"GARBAGE\r\n\r\n")
        self.assertEqual(wire.take(), b"")
        up, _ = bench.upstream()
        up.dataReceived(answer())
        self.assertEqual(statuses(wire.take()), [200, 400])

    def test_methods_and_paths(self) -> None:
        """404, 405 with Allow, 501, OPTIONS, HEAD: each as its RFC has it, the connection kept where it can be."""
        for raw, status, more in (
            (b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", 404, b"unknown_path"),
            (b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}", 404, b"unknown_path"),
            (b"GET /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n", 405, b"allow: POST, OPTIONS"),
            (b"DELETE /v1/models HTTP/1.1\r\nhost: a\r\n\r\n", 405, b"allow: GET, HEAD, OPTIONS"),
            (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 501, b"invalid"),
            (b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n", 204, b"allow: POST, OPTIONS"),
            (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204, b"allow: GET, HEAD, POST, OPTIONS"),
            (b"HEAD /v1/models HTTP/1.1\r\nhost: a\r\n\r\n", 200, b"content-length: "),
            (b"GET /v1/models/m HTTP/1.1\r\nhost: a\r\n\r\n", 200, b'"id":"m"'),
            (b"GET /v1/models/zz HTTP/1.1\r\nhost: a\r\n\r\n", 404, b"model_not_found"),
            (b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n", 200, b"ready"),
        ):
            bench = Bench()
            client, wire = bench.client()
            client.dataReceived(raw)
            out = wire.take()
            self.assertEqual(statuses(out), [status], raw)
            if status != 501:
                self.assertIn(more, out)
            if raw.startswith(b"HEAD") or status == 204:
                self.assertTrue(out.endswith(b"\r\n\r\n"))
            self.assertEqual(bench.exchanges.under_way, 0)

    def test_head_of_an_error_has_no_body(self) -> None:
        """HEAD of what does not exist: the length is said, the body is not sent."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(b"HEAD /v1/models/zz HTTP/1.1\r\nhost: a\r\n\r\n" + GET_HEALTH)
        out = wire.take()
        self.assertEqual(statuses(out), [404, 200])
        self.assertNotIn(b"model_not_found", out)

    def test_http_1_0(self) -> None:
        """One answer with its length, and the end, whatever it asks."""
        for line in (b"", b"connection: keep-alive\r\n"):
            bench = Bench()
            client, wire = bench.client()
            client.dataReceived(b"GET /healthz HTTP/1.0\r\n" + line + b"\r\n")
            self.assertIn(b"connection: close", wire.take())
            self.assertTrue(wire.closing)

    def test_expect_continue(self) -> None:
        """Asked for the body of what is taken; what is refused is refused without it."""
        bench = Bench()
        client, wire = bench.client()
        head, body = post(b'{"model":"m"}', b"/v1/completions", b"expect: 100-continue").split(b"\r\n\r\n")
        client.dataReceived(head + b"\r\n\r\n")
        self.assertEqual(wire.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.dataReceived(body)
        self.assertEqual(len(bench.reactor.connects), 1)
        client, wire = bench.client()
        client.dataReceived(post(b"x" * 10, b"/nowhere", b"expect: 100-continue").split(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self.assertEqual(statuses(wire.take()), [404])

    def test_body_too_large(self) -> None:
        """413 at its head, or where its chunks add up to too much; nothing forwarded."""
        settings = Settings(limits=Limits(body_bytes=1024))
        chunked = (
            b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"200\r\n"
            + b"x" * 512
            + b"\r\n"
        )
        for pieces in ([post(b"x" * 2000)], [chunked, b"201\r\n"]):
            bench = Bench(settings)
            client, wire = bench.client()
            for piece in pieces:
                client.dataReceived(piece)
            out = wire.take()
            self.assertEqual(statuses(out), [413])
            self.assertEqual(error_of(out)["code"], "body_too_large")
            self.assertEqual(bench.reactor.connects, [])

    def test_coded_bodies_are_not_taken(self) -> None:
        """415, by name."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post(b"{}", b"/v1/completions", b"content-encoding: gzip"))
        self.assertEqual(statuses(wire.take()), [415])


class DeadlineTests(SynchronousTestCase):
    """Clients that are slow, or silent."""

    SETTINGS = Settings(
        timeouts=Timeouts(client_header=2.0, client_body=20.0, keepalive=5.0), limits=Limits(client_min_rate=100)
    )

    def test_a_head_that_does_not_end(self) -> None:
        """408 once its time is up, however steadily it drips; then the end."""
        bench = Bench(self.SETTINGS)
        client, wire = bench.client()
        for _ in range(18):
            client.dataReceived(b"G")
            bench.advance(0.1)
        self.assertEqual(wire.take(), b"")
        bench.advance(1.0)
        self.assertEqual(statuses(wire.take()), [408])
        self.assertTrue(wire.half_closed)
        bench.advance(3.0)
        self.assertTrue(wire.aborted)

    def test_many_heads_that_do_not_end(self) -> None:
        """Some of a crowd are told; all of it is gone."""
        bench = Bench(self.SETTINGS)
        wires = []
        for _ in range(5 * TOLD_AT_ONCE + 50):  # the wheel has five slots
            client, wire = bench.client()
            client.dataReceived(b"GET /")
            wires.append(wire)
        bench.advance(6.0)
        told = [statuses(wire.take()) for wire in wires]
        self.assertEqual((told.count([408]), told.count([])), (5 * TOLD_AT_ONCE, 50))
        self.assertTrue(all(wire.aborted for wire in wires))
        self.assertEqual((bench.metrics.clients_dropped["slow"], bench.exchanges.live), (50, set()))

    def test_a_body_below_the_least_rate(self) -> None:
        """After five seconds of grace it has to come at that rate at least."""
        bench = Bench(self.SETTINGS)
        client, wire = bench.client()
        client.dataReceived(post(b"x" * 10000)[:-9000])
        bench.advance(14.0)
        client.dataReceived(b"x")
        self.assertEqual(wire.take(), b"")
        bench.advance(3.0)
        out = wire.take()
        self.assertEqual(statuses(out), [408])
        self.assertIn(b"100 bytes a second", out)

    def test_an_idle_client_is_closed(self) -> None:
        """Before its first request, and after an answer; not while one is under way."""
        bench = Bench(self.SETTINGS)
        client, wire = bench.client()
        client.dataReceived(post())
        bench.advance(30.0)
        self.assertFalse(wire.closing)
        up, _ = bench.upstream()
        up.dataReceived(answer())
        bench.advance(4.0)
        self.assertFalse(wire.closing)
        bench.advance(2.0)
        self.assertTrue(wire.closing)

    def test_a_body_that_stops(self) -> None:
        """However much of it came before."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post(b"x" * 100_000)[:-9000])
        bench.advance(14.0)
        client.dataReceived(b"x" * 4000)
        bench.advance(14.0)
        self.assertEqual(wire.take(), b"")
        bench.advance(2.0)
        out = wire.take()
        self.assertEqual(statuses(out), [408])
        self.assertIn(b"nothing of the request's body came for 15 s", out)

    def test_a_client_that_never_says_anything(self) -> None:
        """It has as long as a head may take; a word to it would be the answer to a request that is just coming."""
        bench = Bench(self.SETTINGS)
        _, wire = bench.client()
        bench.advance(1.5)
        self.assertFalse(wire.closing)
        bench.advance(1.0)
        self.assertEqual((wire.closing, wire.take()), (True, b""))
        self.assertEqual(bench.metrics.clients_dropped["silent"], 1)

    def slow_client(self) -> tuple[Bench, Wire, list[int]]:
        """One that takes a hundred bytes a second of an answer of a thousand, and is then looked for."""
        bench = Bench(Settings(timeouts=Timeouts(client_stall=3.0, keepalive=4.0)))
        client, wire = bench.client()
        wire._tempDataLen = 0  # type: ignore[attr-defined]
        client.dataReceived(post())
        up, _ = bench.upstream()
        up.dataReceived(answer())
        wire._tempDataLen = 1000  # type: ignore[attr-defined]
        return bench, wire, [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]

    def test_a_client_that_takes_its_answer_slowly_is_not_idle(self) -> None:
        """What was written to it is not all taken yet; idle it is only after that."""
        bench, wire, lefts = self.slow_client()
        for wire._tempDataLen in lefts:  # type: ignore[attr-defined]
            bench.advance(1.0)
        bench.advance(2.0)
        self.assertFalse(wire.closing)
        bench.advance(3.0)
        self.assertTrue(wire.closing)

    def test_nor_does_it_stall(self) -> None:
        """Its transport is paused until it has taken all; what counts is whether it takes any."""
        bench, wire, lefts = self.slow_client()
        wire.producer.pauseProducing()
        for wire._tempDataLen in lefts[:5]:  # type: ignore[attr-defined]
            bench.advance(1.0)
        self.assertFalse(wire.aborted)
        bench.advance(4.0)
        self.assertTrue(wire.aborted)

    def test_a_close_waits_for_it(self) -> None:
        """As long as it takes some; and Twisted does not close beneath a producer, so there is none."""
        bench, wire, lefts = self.slow_client()
        wire.producer.pauseProducing()
        wire.producer.expire("the gateway is stopping")
        self.assertTrue(wire.closing)
        self.assertIs(wire.producer, None)
        for wire._tempDataLen in lefts[:5]:  # type: ignore[attr-defined]
            bench.advance(1.0)
        self.assertFalse(wire.aborted)
        bench.advance(4.0)
        self.assertTrue(wire.aborted)

    def test_nor_is_it_cut_while_lingering(self) -> None:
        """What it had asked before is not lost for a last request that is refused."""
        bench, wire, lefts = self.slow_client()
        wire.protocol.dataReceived(post(b"x" * 5000, b"/nowhere")[:-4000])
        for wire._tempDataLen in lefts[:5]:  # type: ignore[attr-defined]
            bench.advance(1.0)
        self.assertFalse(wire.aborted)
        bench.advance(3.0)
        self.assertTrue(wire.aborted)

    def test_what_comes_while_lingering_is_thrown_away(self) -> None:
        """Bounded in bytes and in time."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post(b"x" * 5000, b"/nowhere")[:-4000])
        self.assertEqual(statuses(wire.take()), [404])
        client.dataReceived(post())
        self.assertEqual(bench.reactor.connects, [])
        for _ in range(20):
            client.dataReceived(b"x" * 65536)
        self.assertTrue(wire.aborted)


class LimitTests(SynchronousTestCase):
    """How many at once."""

    def test_connections(self) -> None:
        """One too many is told so, and leaves room for the next once it is gone."""
        bench = Bench(Settings(limits=Limits(connections=2)))
        clients = [bench.client() for _ in range(2)]
        for client, wire in clients:
            client.dataReceived(GET_HEALTH)
            wire.take()
        clients.append(bench.client())
        out = clients[2][1].take()
        self.assertEqual(statuses(out), [503])
        self.assertEqual(error_of(out)["code"], "too_many_connections")
        clients[2][1].lose()
        clients[0][1].lose()
        self.assertEqual(bench.client()[1].take(), b"")
        self.assertEqual(len(bench.exchanges.live), 2)

    def test_a_flood(self) -> None:
        """Where even those who are told that they are too many are too many, the rest is not told."""
        bench = Bench(Settings(limits=Limits(connections=10)))
        clients = [bench.client() for _ in range(10)]
        for client, wire in clients:
            client.dataReceived(GET_HEALTH)
            wire.take()
        wires = [wire for _, wire in clients] + [bench.client()[1] for _ in range(4)]
        self.assertEqual([statuses(wire.take()) for wire in wires[10:]], [[503], [503], [], []])
        self.assertEqual([wire.aborted for wire in wires], [False] * 12 + [True] * 2)
        self.assertEqual((len(bench.exchanges.live), bench.metrics.clients_dropped["flood"]), (12, 2))

    def test_room_is_made(self) -> None:
        """For whoever comes, by those who came and asked for nothing, longest first; never by those who did."""
        bench = Bench(Settings(limits=Limits(connections=3)))
        asks, silent, slow = (bench.client() for _ in range(3))
        asks[0].dataReceived(GET_HEALTH)
        slow[0].dataReceived(b"GET /heal")
        new = [bench.client() for _ in range(2)]
        self.assertEqual([wire.aborted for _, wire in (asks, silent, slow, *new)], [False, True, True, False, False])
        for client, wire in new:
            client.dataReceived(GET_HEALTH)
            self.assertEqual(statuses(wire.take()), [200])
        self.assertEqual(statuses(bench.client()[1].take()), [503])
        self.assertEqual((bench.metrics.clients_dropped["evicted"], len(bench.exchanges.live)), (2, 4))

    def test_requests_of_one_connection(self) -> None:
        """The last one's answer says that it is the last."""
        bench = Bench(Settings(limits=Limits(keepalive_requests=3)))
        client, wire = bench.client()
        client.dataReceived(GET_HEALTH * 2)
        self.assertNotIn(b"connection: close", wire.take())
        client.dataReceived(GET_HEALTH * 2)
        out = wire.take()
        self.assertEqual((statuses(out), out.count(b"connection: close")), ([200], 1))
        self.assertTrue(wire.half_closed)

    def test_an_old_connection(self) -> None:
        """It is closed after its next answer."""
        bench = Bench(Settings(timeouts=Timeouts(keepalive_age=60.0)))
        client, wire = bench.client()
        for _ in range(3):
            client.dataReceived(GET_HEALTH)
            self.assertNotIn(b"connection: close", wire.take())
            bench.advance(21.0)
        client.dataReceived(GET_HEALTH)
        self.assertIn(b"connection: close", wire.take())
        self.assertTrue(wire.closing)

    def test_requests_at_once(self) -> None:
        """One too many is told so; it is not kept waiting."""
        bench = Bench(Settings(limits=Limits(in_flight=2)))
        clients = [bench.client() for _ in range(3)]
        for client, _ in clients:
            client.dataReceived(post())
        out = clients[2][1].take()
        self.assertEqual((statuses(out), error_of(out)["code"]), ([503], "too_many_requests"))
        self.assertIn(b"retry-after: 1", out)
        up, _ = bench.upstream()
        up.dataReceived(answer())
        clients[2][0].dataReceived(post())
        self.assertEqual(clients[2][1].take(), b"")

    def test_overload(self) -> None:
        """New requests are refused, and told when to come again; what is under way goes on; health is answered."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post())
        overload = bench.exchanges.overload
        overload.uses(0.93)
        other, otherwire = bench.client()
        other.dataReceived(post() + GET_HEALTH)
        out = otherwire.take()
        self.assertEqual(statuses(out), [503])
        self.assertIn(b"gateway_overloaded", out)
        self.assertIn(b"retry-after: 1", out)
        self.assertIn(b"connection: close", out)
        up, _ = bench.upstream()
        up.dataReceived(answer())
        self.assertEqual(statuses(wire.take()), [200])
        overload.uses(0.5)
        bench.client()[0].dataReceived(post())
        self.assertEqual(bench.exchanges.under_way, 1)

    def test_connections_of_one_address(self) -> None:
        """Counted by address, and forgotten with the last."""
        bench = Bench(Settings(limits=Limits(connections_per_address=1)))
        _, first = bench.client()
        _, second = bench.client()
        self.assertIn(b"too many connections from 192.0.2.7", second.take())
        first.lose()
        second.lose()
        self.assertEqual(bench.exchanges.by_address, {})
        self.assertEqual(bench.client()[1].take(), b"")

    def test_ids(self) -> None:
        """A fit one is the exchange's; an unfit one is replaced; each of ours is another."""
        bench = Bench()
        client, wire = bench.client()
        for line, expected in (
            (b"x-request-id: my-id.7", b"my-id.7"),
            (b"x-request-id: " + b"x" * 200, b"boot-1"),
            (b"a: b", b"boot-2"),
        ):
            client.dataReceived(b"GET /healthz HTTP/1.1\r\nhost: a\r\n" + line + b"\r\n\r\n")
            self.assertIn(b"x-request-id: " + expected + b"\r\n", wire.take())

    def test_expired(self) -> None:
        """What drained for too long ends with an error that its client can see."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post())
        _, upwire = bench.upstream()
        client.expire("the gateway is stopping")
        out = wire.take()
        self.assertEqual(statuses(out), [503])
        self.assertEqual(error_of(out)["code"], "gateway_draining")
        self.assertTrue(upwire.aborted)
        self.assertEqual(bench.replicas[0].load.in_flight, 0)


class GoneTests(SynchronousTestCase):
    """A client that is lost beneath a frame."""

    def test_nothing_of_it_stays(self) -> None:
        """Nor waits for the collector of cycles, which comes seldom: it leaves no circle, wherever it was."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        bench = Bench()
        for said in (b"", GET_HEALTH, post()[:20], post()[:-1], post(), post() * 2, b"what?\r\n\r\n"):
            client, wire = bench.client()
            if said:
                client.dataReceived(said)
            seen = weakref.ref(client)
            wire.unregisterProducer()  # as Twisted does
            wire.lose()
            del client, wire
            bench.advance(1.0)
            self.assertIsNone(seen(), said)

    def test_lost_beneath_the_write_of_its_answer(self) -> None:
        """Settled once; the line is not asked to go on."""
        for body in (answer(), answer(status=b"500 Oops"), b"HTTQ"):
            bench = Bench()
            client, wire = bench.client()
            client.dataReceived(post() + GET_HEALTH)
            up, _ = bench.upstream()
            wire.beneath_write = wire.lose
            up.dataReceived(body)
            self.assertEqual(len(bench.log.seen), 1)
            self.assertEqual((bench.exchanges.under_way, bench.replicas[0].load.in_flight), (0, 0))
