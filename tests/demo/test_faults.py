"""Every fault does what its name says."""

from __future__ import annotations

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.demo.faults import Faults, UnknownFault, parse_fault
from aibrix_twisted.demo.speed import Speed
from aibrix_twisted.wire.head import BadMessage
from tests.demo.test_engine import CHAT, EngineCase, Heard

STREAM = {**CHAT, "stream": True}


class ParseTests(SynchronousTestCase):
    """By name, by number, several at once."""

    def test_good_and_bad(self) -> None:
        """What is unknown is refused with what is known."""
        self.assertEqual(parse_fault("cut=20, split"), {"cut": 20, "split": 1})
        self.assertEqual(parse_fault(""), {})
        for text in ("cut", "cut=x", "hang=3", "nonsense"):
            error = self.assertRaises(UnknownFault, parse_fault, text)
            self.assertIn("expected", str(error))

    def test_armed(self) -> None:
        """So many, each so-many-th, then none."""
        faults = Faults()
        faults.arm("hang", count=2, every=2)
        self.assertEqual([faults.next() for _ in range(5)], [{}, {"hang": 1}, {}, {"hang": 1}, {}])
        faults.arm("split", count=9)
        faults.clear()
        self.assertEqual((faults.next(), faults.waiting()), ({}, []))


class FaultTests(EngineCase):
    """On the wire."""

    def raw(self, fault: str, document: object = CHAT) -> tuple[bytes, bool]:
        """What came, and whether the connection still stands."""
        engine = self.engine()
        connection, transport = self.client(engine)
        self.send(connection, "/v1/chat/completions", document, x_demo_fault=fault)
        self.clock.pump([0.01] * 3000 if "drip" in fault or "split" in fault else [0.0] * 3)
        return transport.value(), transport.connected

    def test_cuts(self) -> None:
        """So many bytes of body, framing counted, and the end; FIN or RST."""
        for fault in ("cut=100", "rst=100"):
            raw, stands = self.raw(fault, STREAM)
            self.assertEqual(len(raw.partition(b"\r\n\r\n")[2]), 100)
            self.assertFalse(stands)

    def test_around_the_last_chunk(self) -> None:
        """Before it, after it, twice."""
        for fault, last, stands in (
            ("close_before_last_chunk", 0, False),
            ("rst_before_last_chunk", 0, False),
            ("close_after_last_chunk", 1, False),
            ("rst_after_last_chunk", 1, False),
            ("duplicate_last_chunk", 2, True),
            ("idle_close", 1, False),
        ):
            raw, standing = self.raw(fault, STREAM)
            self.assertEqual((raw.count(b"0\r\n\r\n"), standing), (last, stands), fault)

    def test_heads(self) -> None:
        """Wrong in every way that the gateway must refuse, or bear."""
        for fault, part in (
            ("bad_head", b"HTTQ/1.1"), ("both_lengths", b"transfer-encoding: chunked\r\ncontent-length"),
            ("huge_head", b"x-padding-99"), ("interim_103", b"103 Early Hints"), ("http10", b"HTTP/1.0"),
            ("gzip_claim", b"content-encoding: gzip"), ("status=503", b"retry-after: 1"),
        ):  # fmt: skip
            self.assertIn(part, self.raw(fault)[0], fault)
        self.assertEqual(self.raw("two_heads")[0].count(b"HTTP/1.1 200"), 2)
        self.assertRaises(BadMessage, Heard, self.raw("bad_head")[0])

    def test_bodies(self) -> None:
        """Undecodable, empty, of a wrong length, followed by garbage."""
        self.assertRaises(orjson.JSONDecodeError, lambda: Heard(self.raw("malformed_json")[0]).json)
        self.assertEqual(Heard(self.raw("empty_body")[0]).body, b"")
        right = len(Heard(self.raw("")[0]).body)
        self.assertIn(b"content-length: %d\r\n" % (right + 7), self.raw("wrong_length=7")[0])
        self.assertTrue(self.raw("garbage_after")[0].endswith(b"garbage"))

    def test_events(self) -> None:
        """Missing, early, in error, merged, with other line ends."""
        self.assertNotIn(b"[DONE]", self.raw("no_done", STREAM)[0])
        self.assertNotIn(b'"length"', self.raw("early_done", STREAM)[0])
        self.assertIn(b'"error"', self.raw("error_event", STREAM)[0])
        plain = Heard(self.raw("", STREAM)[0]).body
        self.assertEqual(Heard(self.raw("crlf", STREAM)[0]).body, plain.replace(b"\n", b"\r\n"))
        self.assertEqual(Heard(self.raw("merge=3", STREAM)[0]).body, plain)
        self.assertRaises(BadMessage, Heard, self.raw("bad_chunk", STREAM)[0])
        count = plain.count(b"data: ")
        for fault, more in (("hollow", 3), ("fuse=3", -2), ("no_text", -4)):
            self.assertEqual(self.raw(fault, STREAM)[0].count(b"data: "), count + more, fault)

    def test_dead_from_then_on(self) -> None:
        """The process lives, the engine does not."""
        engine = self.engine()
        answer = self.ask(engine, "/v1/chat/completions", STREAM, x_demo_fault="dies")
        self.assertIn(b'"error"', answer.body)
        self.assertTrue(answer.complete)
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).status, 500)
        self.assertEqual(self.ask(engine, "/health", method="GET").status, 503)
        self.assertEqual(self.ask(engine, "/v1/models", method="GET").status, 200)

    def test_slow_ones(self) -> None:
        """Byte by byte, or in pieces by lot: the same bytes in the end."""
        plain, _ = self.raw("", STREAM)
        for fault in ("drip=1", "split"):
            self.assertEqual(self.raw(fault, STREAM)[0], plain, fault)

    def test_silence(self) -> None:
        """No head; nothing after some events; a close without a byte."""
        self.assertEqual(self.raw("hang"), (b"", True))
        raw, stands = self.raw("hang_after=2", STREAM)
        self.assertEqual((raw.count(b"data: "), stands), (2, True))
        self.assertEqual(self.raw("refuse_bytes"), (b"", False))

    def test_too_busy_for_probes(self) -> None:
        """Until the answer is over; who asked and left meanwhile is told nothing."""
        engine = self.engine(speed=Speed(prefill=0.0, decode=1.0))
        busy, _ = self.client(engine)
        self.send(busy, "/v1/chat/completions", STREAM, x_demo_fault="busy")
        asking = [self.client(engine) for _ in range(3)]
        for (connection, _), path in zip(asking, ("/health", "/v1/models", "/health"), strict=True):
            self.send(connection, path, method="GET")
        self.assertEqual([transport.value() for _, transport in asking], [b"", b"", b""])
        self.assertEqual(self.ask(engine, "/metrics", method="GET").status, 200)
        asking[0][1].loseConnection()
        self.clock.pump([1.0] * 10)
        self.assertEqual(asking[0][1].value(), b"")
        self.assertEqual([Heard(transport.value()).status for _, transport in asking[1:]], [200, 200])
        self.assertEqual(self.ask(engine, "/health", method="GET").status, 200)

    def test_by_request(self) -> None:
        """Armed, listed and cleared over the wire; a bad one is refused."""
        engine = self.engine()
        self.assertEqual(self.ask(engine, "/demo/faults", {"fault": "status=500", "count": 1}).status, 200)
        self.assertEqual(len(self.ask(engine, "/demo/faults", method="GET").json["armed"]), 1)
        self.assertEqual(self.ask(engine, "/v1/models", method="GET").status, 200)
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).status, 500)
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).status, 200)
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT, x_demo_fault="nonsense").status, 400)
        self.ask(engine, "/demo/faults", {"fault": "hang"})
        self.ask(engine, "/demo/faults", method="DELETE")
        self.assertEqual(self.ask(engine, "/v1/chat/completions", CHAT).status, 200)
        self.assertEqual(self.ask(engine, "/demo/faults", {"fault": "x"}).status, 400)
