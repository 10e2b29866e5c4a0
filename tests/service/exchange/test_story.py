"""Whole exchanges in memory: every transcript of the corpus, cut everywhere, ended by every cause."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.settings import Retry, Settings
from aibrix_twisted.wire.head import parse_response_head
from tests.fakes import STREAM_HEAD, Bench, answer, chunk, post, replica
from tests.wire.streams import DONE, STREAMS, _chat

CORPUS = Path(__file__).parents[2] / "corpus"
ONCE = Settings(retry=Retry(attempts=1))

#: STRESS=1: every byte is a place to cut at, and not only those of a sample and of the end.
EVERY = os.environ.get("STRESS") == "1"

ENGINES = {"vllm": "vllm", "llama": "llamacpp", "transformers": "openai"}


def transcripts() -> list[tuple[str, str, bytes]]:
    """Name, engine, and the raw response: those that real engines gave, and those that are written out."""
    found = [
        (path.stem, ENGINES[path.stem.partition("_")[0]], path.read_bytes()) for path in sorted(CORPUS.glob("*.http"))
    ]
    for name, (text, done, _, _) in STREAMS.items():
        raw = STREAM_HEAD + b"".join(chunk(part) for part in _events(text.encode())) + b"0\r\n\r\n"
        found.append((f"written_{name}", "vllm" if done else "openai", raw))
    found.append(("written_json", "vllm", answer(b'{"choices":[{"index":0,"finish_reason":"stop"}]}')))
    return found


def _events(stream: bytes) -> list[bytes]:
    half = len(stream) // 2
    return [stream[:half], stream[half:]]


class Seen:
    """What became of one exchange."""

    def __init__(self, engine: str, raw: bytes) -> None:
        self.bench = Bench(ONCE, (replica("gpu0", engine=engine),))
        self.client, self.wire = self.bench.client()
        stream = (
            b'"stream":true,"stream_options":{"include_usage":true}' if b"event-stream" in raw else b'"stream":false'
        )
        self.client.dataReceived(post(b'{"model":"m",' + stream + b"}"))
        self.up, self.upwire = self.bench.upstream()

    def feed(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.up.dataReceived(piece)

    def check(self, test: SynchronousTestCase, context: object) -> tuple[bytes, str]:
        """Exactly one ending, everything given back.

        @return: what the client got, and the outcome.
        """
        test.assertEqual(len(self.bench.log.seen), 1, context)
        test.assertEqual(self.bench.exchanges.under_way, 0, context)
        test.assertEqual(self.bench.replicas[0].load.in_flight, 0, context)
        test.assertLessEqual(sum(self.bench.metrics.attempts.values()), 1, context)
        outcome = self.bench.log.seen[0].outcome
        return self.wire.written, outcome.value if outcome is not None else ""


class CorpusTests(SynchronousTestCase):
    """The story that the project began with, over everything that engines were seen to send."""

    def test_there_is_a_corpus(self) -> None:
        """Of three real engines, streamed and not."""
        names = {path.stem for path in CORPUS.glob("*.http")}
        for engine in ENGINES:
            self.assertIn(f"{engine}_chat", names)
            self.assertIn(f"{engine}_chat_stream", names)

    def test_final_chunk_then_every_other_end(self) -> None:
        """The last chunk, then a clean close, a reset, a second last chunk, in one read or in two: one ending."""
        for name, engine, raw in transcripts():
            seen_bodies = set()
            for pieces in ([raw], [raw[:-5], raw[-5:]], [raw[:-1], raw[-1:]]):
                for after in ("nothing", "close", "reset", "again", "garbage", "garbage in the same read"):
                    seen = Seen(engine, raw)
                    if after == "garbage in the same read":
                        seen.feed([*pieces[:-1], pieces[-1] + b"0\r\n\r\n"])
                    else:
                        seen.feed(pieces)
                    if after in ("again", "garbage"):
                        seen.up.dataReceived(b"0\r\n\r\n" if after == "again" else b"\0")
                    elif after in ("close", "reset"):
                        seen.upwire.lose(clean=after == "close")
                    got, outcome = seen.check(self, (name, after))
                    self.assertEqual(outcome, "complete", (name, after))
                    seen_bodies.add(_body(got))
            self.assertEqual(seen_bodies, {_body(raw)}, name)

    def test_every_cut_by_every_cause(self) -> None:
        """Cut at every byte, by a close, a reset, the client's leaving, a deadline: no truncated answer looks whole."""
        for name, engine, raw in transcripts():
            step = 1 if EVERY else max(1, len(raw) // 150)
            head_end = raw.index(b"\r\n\r\n") + 4
            by_close = parse_response_head(raw[:head_end], max_headers=100).framing.value == "close"
            cuts = sorted({*range(0, len(raw), step), *range(max(0, len(raw) - 40), len(raw)), head_end - 1, head_end})
            for cut in cuts:
                for cause in ("close", "reset", "gone", "deadline"):
                    seen = Seen(engine, raw)
                    if cut:
                        seen.feed([raw[:cut]])
                    if cause == "gone":
                        seen.wire.lose()
                    elif cause == "deadline":
                        seen.bench.advance(601.0)
                    else:
                        seen.upwire.lose(clean=cause == "close")
                    got, outcome = seen.check(self, (name, cut, cause))
                    if cause == "gone":
                        self.assertEqual(outcome, "abandoned")
                        continue
                    if seen.bench.log.seen[0].heal == "healed":  # it lacked nothing but its end
                        self.assertTrue(got.endswith(b"\r\n0\r\n\r\n"), (name, cut, cause))
                        whole = _body(raw).partition(b"data: [DONE]")[0]
                        self.assertEqual(_body(got).replace(b"\r", b""), whole.replace(b"\r", b"") + DONE.encode())
                    elif not (by_close and cause == "close" and outcome == "complete"):
                        self.assertIn(outcome, ("truncated", "broken", "timed_out"), (name, cut, cause))
                        self.assert_visibly_failed(got, raw, (name, cut, cause))

    def assert_visibly_failed(self, got: bytes, raw: bytes, context: object) -> None:
        """An error status; or a stream that ends with an error event and without its last chunk."""
        if got.startswith(b"HTTP/1.1 200"):
            self.assertFalse(got.endswith(b"\r\n0\r\n\r\n"), context)
            last = got.rstrip(b"\r\n").rsplit(b"data: ", 1)[1]
            self.assertTrue(last.startswith(b'{"error":{'), (context, last[:80]))
            body = _body(got + b"0\r\n\r\n")
            whole_events = body[: body.rindex(b"data: ")]
            self.assertTrue(_body(raw).startswith(whole_events), context)
        else:
            self.assertRegex(got[:12].decode(), r"HTTP/1.1 50[24]", context)

    def test_client_lost_beneath_every_write(self) -> None:
        """The client goes while a write to it is under way, at any cut: one ending, and the engine is told."""
        for name, engine, raw in transcripts():
            for cut in range(1, len(raw), max(1, len(raw) // 40)):
                seen = Seen(engine, raw)
                seen.wire.beneath_write = seen.wire.lose
                seen.feed([raw[:cut], raw[cut:]])
                if seen.wire.protocol is not None:
                    continue  # nothing was written to it
                _, outcome = seen.check(self, (name, cut))
                self.assertIn(outcome, ("abandoned", "complete"), (name, cut))

    def test_late_events_are_counted_and_change_nothing(self) -> None:
        """What a torn-down connection still delivers is nobody's."""
        bench = Bench(ONCE)
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m","stream":true}'))
        up, _upwire = bench.upstream()
        up.dataReceived(STREAM_HEAD + chunk(_chat('{"content":"a"}').encode()))
        wire.lose()
        up.dataReceived(chunk(_chat('{"content":"b"}').encode()))
        up.dataReceived(b"0\r\n\r\n")
        self.assertEqual(len(bench.log.seen), 1)
        self.assertEqual(bench.replicas[0].load.in_flight, 0)


class RelayTests(SynchronousTestCase):
    """What is sent, and what comes back."""

    def test_request_bytes(self) -> None:
        """The body bit for bit; hop-by-hop headers and ours replaced; the rest as it was spelled."""
        body = b'{ "model" : "m",\t"x":1.0e5 }'
        bench = Bench()
        client, _ = bench.client()
        client.dataReceived(
            post(body, b"/v1/chat/completions?a=b", b"X-Kept: v", b"Authorization: Bearer secret", b"TE: x",
                 b"X-Forwarded-For: 6.6.6.6", b"Connection: X-Gone", b"X-Gone: 1", b"Accept-Encoding: gzip")
        )  # fmt: skip
        _, upwire = bench.upstream()
        sent = upwire.take()
        head, _, sent_body = sent.partition(b"\r\n\r\n")
        self.assertEqual(sent_body, body)
        self.assertTrue(head.startswith(b"POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: x:1\r\n"))
        self.assertIn(b"X-Kept: v\r\n", head)
        self.assertIn(b"x-forwarded-for: 192.0.2.7\r\n", head)
        self.assertIn(b"via: 1.1 aibrix-gateway", head)
        for absent in (b"secret", b"6.6.6.6", b"X-Gone", b"TE:", b"gzip"):
            self.assertNotIn(absent, head)

    def test_keys(self) -> None:
        """The replica's own key is sent; the client's only where that is wanted."""
        for more, expected in (
            ({"authorization": b"Bearer own"}, b"authorization: Bearer own"),
            ({"forward_authorization": True}, b"authorization: Bearer theirs"),
        ):
            bench = Bench(replicas=(replica("gpu0", **more),))
            bench.client()[0].dataReceived(post(b'{"model":"m"}', b"/v1/completions", b"authorization: Bearer theirs"))
            self.assertIn(expected, bench.upstream()[1].take())

    def test_alias(self) -> None:
        """The name is spliced, said in a header, and nothing else changes."""
        bench = Bench()
        bench.publish(gpt="m")
        client, wire = bench.client()
        client.dataReceived(post(b'{"a":1.0, "model": "gpt" }'))
        up, upwire = bench.upstream()
        self.assertTrue(upwire.take().endswith(b'{"a":1.0, "model": "m" }'))
        up.dataReceived(answer())
        self.assertIn(b"x-aibrix-edited: model\r\n", wire.take())

    def test_forced_usage_is_withheld(self) -> None:
        """Asked of an engine that knows it; its event is counted, and is not the client's."""
        bench = Bench(replicas=(replica("gpu0", engine="vllm"),))
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m","stream":true}'))
        up, upwire = bench.upstream()
        self.assertIn(b'"stream_options":{"include_usage":true}', upwire.take())
        text = STREAMS["vllm_usage"][0].encode()
        up.dataReceived(STREAM_HEAD + chunk(text) + b"0\r\n\r\n")
        got = wire.take()
        self.assertIn(b"x-aibrix-edited: stream_options", got)
        self.assertNotIn(b'"usage":{', got)
        self.assertTrue(_body(got).endswith(DONE.encode()))
        self.assertEqual(bench.log.seen[0].output_tokens, 2)
        self.assertEqual(bench.metrics.models["m"].tokens["output"], 2)

    def test_beyond_the_bound_an_answer_passes_through(self) -> None:
        """With its length; a cut then is a cut for the client, too."""
        from aibrix_twisted.domain.settings import Limits

        for whole in (True, False):
            bench = Bench(Settings(limits=Limits(answer_bytes=10), retry=Retry(attempts=1)))
            client, wire = bench.client()
            client.dataReceived(post())
            up, upwire = bench.upstream()
            raw = answer(b'"' + b"x" * 98 + b'"')
            up.dataReceived(raw[:-50])
            self.assertIn(b"content-length: 100\r\n", wire.written)
            if whole:
                up.dataReceived(raw[-50:])
                self.assertEqual(_body(wire.take()), b'"' + b"x" * 98 + b'"')
                self.assertFalse(wire.closing)
            else:
                upwire.lose()
                self.assertTrue(wire.closing)
                self.assertIs(bench.log.seen[0].outcome, Outcome.TRUNCATED)

    def test_backpressure(self) -> None:
        """A client that is slow pauses its engine, and whoever uses the connection next finds it reading."""
        bench = Bench()
        client, _wire = bench.client()
        client.dataReceived(post(b'{"model":"m","stream":true}'))
        up, upwire = bench.upstream()
        up.dataReceived(STREAM_HEAD + chunk(_chat('{"content":"a"}').encode()))
        client.pauseProducing()
        self.assertTrue(upwire.paused)
        client.resumeProducing()
        self.assertFalse(upwire.paused)
        client.pauseProducing()
        up.dataReceived(chunk((_chat("{}", '"stop"') + DONE).encode()) + b"0\r\n\r\n")
        self.assertFalse(upwire.paused)
        self.assertEqual(bench.pool.idle, 1)

    def test_deadlines(self) -> None:
        """First byte, stall, total: each with its sentence, met within half a second."""
        from aibrix_twisted.domain.settings import Timeouts

        settings = Settings(timeouts=Timeouts(first_byte=3.0, stall=2.0, total=6.0))
        for drip, status, words, at in (
            (0, b"504", b"no answer began within 3 s", 3.6),
            (1, b"200", b"nothing came for 2 s", 2.6),
            (9, b"200", b"was not whole within 6 s", 6.6),
        ):
            bench = Bench(settings)
            client, wire = bench.client()
            client.dataReceived(post(b'{"model":"m","stream":true}'))
            up, upwire = bench.upstream()
            if drip:
                up.dataReceived(STREAM_HEAD)
            passed = 0.0
            while passed < at:
                if drip > passed:
                    up.dataReceived(chunk(_chat('{"content":"a"}').encode()))
                bench.advance(0.5 if drip != 1 else at)
                passed += 0.5 if drip != 1 else at
            got = wire.take()
            self.assertTrue(got.startswith(b"HTTP/1.1 " + status), (drip, got[:60]))
            self.assertIn(words, got)
            self.assertTrue(upwire.aborted)

    def test_request_timeout_header(self) -> None:
        """Seconds that the client itself gives; what is no number is refused."""
        bench = Bench()
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m"}', b"/v1/completions", b"x-request-timeout: 1.5"))
        bench.upstream()
        bench.advance(2.1)
        self.assertIn(b"504", wire.take()[:13])
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m"}', b"/v1/completions", b"x-request-timeout: soon"))
        self.assertIn(b"expected a number of seconds", wire.take())

    def test_strategies(self) -> None:
        """By header, by model, by default; an unknown one is refused with AIBrix's header."""
        bench = Bench()
        for line, name in ((b"routing-strategy: random", b"random"), (b"a: b", b"least-request")):
            client, wire = bench.client()
            client.dataReceived(post(b'{"model":"m"}', b"/v1/completions", line))
            if len(bench.reactor.connects) == 1 and bench.pool.open == 0:
                up, _ = bench.upstream()
            up.dataReceived(answer())
            self.assertIn(b"routing-strategy: " + name, wire.take())
        client, wire = bench.client()
        client.dataReceived(post(b'{"model":"m"}', b"/v1/completions", b"routing-strategy: wishful"))
        got = wire.take()
        self.assertIn(b"400", got[:13])
        self.assertIn(b"x-error-routing: true", got)

    def test_unknown_models(self) -> None:
        """404 once every replica has answered; 503 where one did not for as long as a request may wait."""
        for models, status in ((("m",), b"404"), (None, b"503")):
            bench = Bench(replicas=(replica("a"), replica("b", models)))
            client, wire = bench.client()
            client.dataReceived(post(b'{"model":"nobody"}'))
            bench.advance(200)
            got = wire.take()
            self.assertEqual(got[9:12], status)
            self.assertIn(b"x-error-no-model-backends: nobody", got)


def _body(raw: bytes) -> bytes:
    """The body of one response, framing taken off."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    body = b""
    while rest and not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body
