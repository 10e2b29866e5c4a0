"""A line of the access log, and what is said of it in docs/."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.settings import Retry, Settings
from aibrix_twisted.domain.timing import PHASES
from aibrix_twisted.errors import Fault
from aibrix_twisted.service.telemetry.record import line_of
from tests.fakes import STREAM_HEAD, Bench, answer, chunk, post
from tests.service.telemetry.test_access_log import an_exchange

DOCS = Path(__file__).resolve().parents[3] / "docs"
SCHEMA: dict[str, Any] = orjson.loads((DOCS / "access-log.schema.json").read_bytes())
CHECK = Draft202012Validator(SCHEMA)


def record_of(exchange: Exchange, *, slow: bool = False) -> dict[str, Any]:
    """The line, which is one and is as the schema says."""
    line = line_of(exchange, 1700000000.5, 1.0, slow=slow)
    assert line.index(b"\n") == len(line) - 1
    record: dict[str, Any] = orjson.loads(line)
    CHECK.validate(record)
    return record


def tried(replica: str, outcome: Outcome, **more: Any) -> AttemptRecord:
    """An attempt that is over."""
    record = AttemptRecord(replica, "m", Kind.FIRST, 1.01, 1.02, Histogram([1.0]))
    record.outcome, record.ended = outcome, 1.1
    for name, value in more.items():
        setattr(record, name, value)
    return record


def served() -> Exchange:
    """A stream that went well."""
    exchange = an_exchange()
    stamps = exchange.stamps
    stamps.read, stamps.admitted, stamps.first_byte, stamps.ended = 1.001, 1.0015, 1.2, 1.5
    record = tried("gpu0", Outcome.COMPLETE, sent=1.03, head=1.1, first=1.19, ended=1.45, status=200)
    for at in (1.19, 1.4):
        record.beats.beat(at)
    exchange.tries.append(record)
    exchange.served = record
    exchange.attempts, exchange.stream, exchange.status = 1, True, 200
    exchange.events, exchange.output_tokens = 12, 8
    return exchange


class LineTests(SynchronousTestCase):
    """One JSON object."""

    def test_times(self) -> None:
        """Seconds, in microseconds; the phases that took any add up to the duration."""
        record = record_of(served(), slow=True)
        self.assertEqual(record["time"], "2023-11-14T22:13:20.500Z")
        self.assertEqual((record["duration_s"], record["ttft_s"], record["tpot_s"]), (0.5, 0.199, 0.03))
        self.assertEqual(
            record["phases"],
            {"receive": 0.001, "admit": 0.0005, "retry": 0.0085, "route": 0.01, "connect": 0.01, "engine": 0.16,
             "begin": 0.01, "stream": 0.25, "finish": 0.05},
        )  # fmt: skip
        self.assertEqual((record["slow"], record["sample"], record["tries"]), (True, 1.0, None))

    def test_tokens(self) -> None:
        """What their number is told by."""
        exchange = served()
        self.assertEqual(record_of(exchange)["tokens_by"], "usage")
        exchange.output_tokens = None
        self.assertEqual(record_of(exchange)["tokens_by"], "events")
        exchange.events = 0
        self.assertIsNone(record_of(exchange)["tokens_by"])

    def test_tries(self) -> None:
        """Each attempt, where there was more to it than one that went well."""
        exchange = served()
        failed = tried("gpu1", Outcome.BROKEN, fault="connection refused")
        exchange.tries.insert(0, failed)
        first, second = record_of(exchange)["tries"]
        self.assertEqual(
            first,
            {"replica": "gpu1", "model": "m", "kind": "first", "outcome": "broken", "status": 0,
             "fault": "connection refused", "started_s": 0.02, "sent_s": None, "head_s": None, "first_s": None,
             "ended_s": 0.1},
        )  # fmt: skip
        self.assertEqual((second["replica"], second["first_s"], second["ended_s"]), ("gpu0", 0.19, 0.45))
        exchange.tries.pop()
        self.assertEqual(len(record_of(exchange)["tries"]), 1)

    def test_whatever_a_client_sends(self) -> None:
        """Its words cannot begin another line, or steer a terminal."""
        exchange = an_exchange()
        exchange.path = "/\x1b[31m\xff\u2028\n"
        exchange.reason = 'x"\r\n{"id":"y"}'
        line = line_of(exchange, 1.0, 1.0, slow=False)
        self.assertEqual(line.count(b"\n"), 1)
        self.assertNotIn(b"\x1b", line)
        self.assertEqual(orjson.loads(line)["path"], exchange.path)

    def test_a_file(self) -> None:
        """What became of an answer there, and how long its client took."""
        exchange = served()
        exchange.spooled, exchange.spooled_bytes, exchange.stamps.taken = Spooled.TAKEN, 7, 1.48
        record = record_of(exchange)
        self.assertEqual(record["spooled"], {"outcome": "taken", "bytes": 7})
        self.assertEqual((record["phases"]["spool"], record["phases"]["finish"]), (0.03, 0.02))


class SchemaTests(SynchronousTestCase):
    """docs/access-log.schema.json, and the tables of docs/access-log.md."""

    def test_it_is_one(self) -> None:
        """By its own schema."""
        Draft202012Validator.check_schema(SCHEMA)

    def test_every_member(self) -> None:
        """A line has those that are described, in that order, and no others."""
        exchange = served()
        exchange.tries.insert(0, tried("gpu1", Outcome.BROKEN))
        record = record_of(exchange)
        described = SCHEMA["properties"]
        self.assertEqual(list(record), list(described))
        self.assertEqual(SCHEMA["required"], list(described))
        self.assertEqual(list(record["tries"][0]), list(described["tries"]["items"]["properties"]))
        self.assertEqual(list(described["phases"]["properties"]), list(PHASES))

    def test_every_word(self) -> None:
        """The closed lists are the code's."""
        described = SCHEMA["properties"]
        a_try = described["tries"]["items"]["properties"]
        self.assertEqual(described["outcome"]["enum"], [*Outcome, "refused"])
        self.assertEqual(described["cause"]["enum"], [*Cause, None])
        self.assertEqual(a_try["outcome"]["enum"], [*Outcome, None])
        self.assertEqual(a_try["kind"]["enum"], list(Kind))
        self.assertEqual(described["spooled"]["properties"]["outcome"]["enum"], list(Spooled))
        self.assertIn("|".join(fault.value for fault in Fault), described["error"]["pattern"])

    def test_the_document(self) -> None:
        """Each member has its row: what it is, and whether it may be null."""
        described = SCHEMA["properties"]
        a_try, a_phase = described["tries"]["items"]["properties"], described["phases"]["properties"]
        a_spool = described["spooled"]["properties"]
        rows = re.findall(
            r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", (DOCS / "access-log.md").read_text("utf-8"), re.MULTILINE
        )
        expected = [
            (name, _may_be_null(member), member["description"])
            for name, member in (*described.items(), *a_phase.items(), *a_spool.items(), *a_try.items())
        ]
        self.assertEqual([(name, "or null" in unit, text) for name, unit, text in rows], expected)


def _may_be_null(member: dict[str, Any]) -> bool:
    return None in member.get("enum", ()) or "null" in member.get("type", ())


class SecretTests(SynchronousTestCase):
    """Prompts, answers and keys, whatever becomes of the exchange."""

    def test_none_is_in_a_line(self) -> None:
        """Nor in what is said of a request or an answer that is at fault."""
        keys = (b"authorization: Bearer s3cret", b"x-api-key: s3cret", b"cookie: a=s3cret", b"user: s3cret")
        path = b"/v1/chat/completions?api_key=s3cret"
        prompt = b'"messages":[{"role":"user","content":"s3cret"}]'
        whole = b'{"id":"c","choices":[{"message":{"content":"s3cret"}}]}'
        answers = (
            answer(whole),
            answer(whole[:-1]),
            answer(whole, status=b"500 s3cret"),
            answer(whole)[:-10],
            STREAM_HEAD + b"s3cret\r\n",
            STREAM_HEAD + chunk(b'data: {"error":{"message":"s3cret"}}\n\n') + b"0\r\n\r\n",
            b"s3cret",
            b"HTTP/1.1 200 OK\r\ns3cret\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: s3cret\r\n\r\n",
        )
        bodies = (
            b'{"model":"m",%b}' % prompt,
            b'{"model":"m","stream":true,%b}' % prompt,
            b'{"model":"m",%b' % prompt,
            b'{"model":"m","stream":"s3cret",%b}' % prompt,
            b'{"model":["s3cret"]}',
            b'"s3cret"',
            b"s3cret",
        )
        lines = []
        for head in (b"authorization Bearer s3cret\r\n", b"host: s3cret,\r\n", b"content-length: s3cret\r\n"):
            bench = Bench()
            bench.client()[0].dataReceived(b"POST /v1/completions?key=s3cret HTTP/1.1\r\n" + head + b"\r\n")
            lines += [line_of(exchange, 1.0, 1.0, slow=False) for exchange in bench.log.seen]
        for start in (b"GET http://a/?key=s3cret HTTP/1.1\r\nhost: b", b"s3cret /", b"GET s3cret HTTP/1.1\r\nhost: b"):
            bench = Bench()
            bench.client()[0].dataReceived(start + b"\r\n\r\n")
            lines += [line_of(exchange, 1.0, 1.0, slow=False) for exchange in bench.log.seen]
        self.assertEqual(len(lines), 6)
        for body, raw in product(bodies, answers):
            bench = Bench(Settings(retry=Retry(attempts=1)))
            client, _ = bench.client()
            client.dataReceived(post(body, path, *keys))
            if bench.reactor.connects:
                engine, wire = bench.upstream()
                engine.dataReceived(raw)
                wire.lose()
            lines += [line_of(exchange, 1.0, 1.0, slow=False) for exchange in bench.log.seen]
        self.assertEqual(len(lines), 6 + len(bodies) * len(answers))
        self.assertEqual({line for line in lines if b"s3cret" in line}, set())
