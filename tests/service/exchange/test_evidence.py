"""What each ending of an attempt says of its replica: every outcome, status and stage of it."""

from __future__ import annotations

import random
from itertools import product
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause, Ending, Outcome
from aibrix_twisted.domain.health import Health, State
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings, Retry, Settings
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.policy.retry import Progress
from aibrix_twisted.service.exchange.evidence import MAX_RETRY_AFTER_S, weigh
from tests.fakes import STREAM_HEAD, Bench, answer, chunk, post, replica

NOW = 100.0

_CAUSES = {
    Outcome.COMPLETE: Cause.FINAL_CHUNK,
    Outcome.MALFORMED: Cause.FINAL_CHUNK,
    Outcome.TRUNCATED: Cause.UPSTREAM_CLOSED,
    Outcome.BROKEN: Cause.UPSTREAM_BROKE,
    Outcome.ABANDONED: Cause.CLIENT_GONE,
    Outcome.TIMED_OUT: Cause.DEADLINE,
}


class Told:
    """In a replica's health's place: what it was told, in short."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def succeeded(self, now: float, sent: float | None) -> None:
        self.told.append("succeeded")

    def forgot(self) -> None:
        self.told.append("forgot")

    def failed(self, why: str, now: float, rng: Any, *, broke: bool) -> None:
        self.told.append(f"{'broke' if broke else 'failed'}: {why}")

    def refused(self, why: str, now: float, rng: Any) -> None:
        self.told.append(f"refused: {why}")

    def busy_until(self, at: float) -> None:
        self.told.append(f"busy for {at - NOW:g} s")


class TableTests(SynchronousTestCase):
    """Without a network."""

    def told(
        self,
        outcome: Outcome,
        status: int = 200,
        *,
        payload: Payload | None = Payload.WHOLE,
        progress: Progress = Progress.RECEIVED,
        refused: bool = False,
        reused: bool = False,
        defect: bool = False,
        fault: str = "",
        retry_after_s: float = 0.0,
    ) -> list[str]:
        """What the health is told."""
        health = Told()
        attempt: Any = SimpleNamespace(
            health=health,
            status=status,
            progress=progress,
            refused=refused,
            reused=reused,
            defect=defect,
            answer=None,
            fault=fault,
            retry_after_s=retry_after_s,
            sent=NOW,
        )
        weigh(attempt, Ending(_CAUSES[outcome], outcome, payload, 0), NOW, random.Random(1))
        return health.told

    def test_whole_answers(self) -> None:
        """Of every status: what a client did wrong is a success; what the engine cannot do is none; what it will not do
        now says nothing of its health.  That the payload is odd makes no difference."""
        for outcome in (Outcome.COMPLETE, Outcome.MALFORMED):
            for status in (200, 201, 204, 301, 400, 401, 403, 404, 408, 413, 422, 499, 501, 505, 529):
                self.assertEqual(self.told(outcome, status), ["succeeded"], status)
            for status in (502, 504):
                self.assertEqual(self.told(outcome, status), [f"failed: it answered with status {status}"])
            self.assertEqual(self.told(outcome, 500), ["broke: it answered with status 500"], "it may be about to go")
            for status in (429, 503):
                self.assertEqual(self.told(outcome, status), ["forgot"])

    def test_retry_after(self) -> None:
        """Is believed, to a bound, of those who decline; of others it is not asked."""
        for status in (429, 503):
            self.assertEqual(self.told(Outcome.COMPLETE, status, retry_after_s=7.0), ["forgot", "busy for 7 s"])
            told = self.told(Outcome.COMPLETE, status, retry_after_s=1e6)
            self.assertEqual(told, ["forgot", f"busy for {MAX_RETRY_AFTER_S:g} s"])
        self.assertEqual(self.told(Outcome.COMPLETE, 200, retry_after_s=7.0), ["succeeded"])

    def test_our_own_defect(self) -> None:
        """Whatever it looks like from the engine's side."""
        for outcome in Outcome:
            self.assertEqual(self.told(outcome, defect=True, fault="a defect of the gateway"), ["forgot"])

    def test_the_client_left(self) -> None:
        """Nothing, whatever had come by then."""
        for status, progress, fault in product((0, 200, 429, 500), Progress, ("", "it broke")):
            self.assertEqual(self.told(Outcome.ABANDONED, status, progress=progress, fault=fault), ["forgot"])

    def test_deadlines(self) -> None:
        """Only one that was the replica's to keep; its connection did not break."""
        for status, progress in product((0, 200, 500), Progress):
            self.assertEqual(self.told(Outcome.TIMED_OUT, status, progress=progress), ["forgot"])
            told = self.told(Outcome.TIMED_OUT, status, progress=progress, fault="nothing came for 9 s")
            self.assertEqual(told, ["failed: nothing came for 9 s"])

    def test_it_ended_early(self) -> None:
        """Every way of that: refused, slow to connect, idle and closed just then, or broken."""
        for outcome in (Outcome.TRUNCATED, Outcome.BROKEN):
            for progress, refused, reused, status in product(
                Progress, (False, True), (False, True), (0, 200, 429, 503, 500)
            ):
                told = self.told(
                    outcome, status, payload=None, progress=progress, refused=refused, reused=reused, fault="why"
                )
                if refused and progress is Progress.NOTHING_SENT:
                    expected = "refused: why"
                elif reused and progress is Progress.NOTHING_RECEIVED:
                    expected = "forgot"
                else:
                    expected = "broke: why"
                self.assertEqual(told, [expected], (outcome, progress, refused, reused, status))
            self.assertEqual(self.told(outcome, payload=Payload.CUT), [f"broke: {outcome.value}"])

    def test_what_the_engine_itself_reported(self) -> None:
        """An error event counts against it, but its connection is well: nothing has to be asked."""
        self.assertEqual(self.told(Outcome.BROKEN, payload=Payload.BROKEN), ["failed: broken"])

    def test_there_is_always_a_word(self) -> None:
        """Exactly one, so that a breaker's one trial is never lost."""
        for outcome, status, payload, progress, refused, reused, fault in product(
            Outcome, (0, 200, 500, 503), (None, *Payload), Progress, (False, True), (False, True), ("", "why")
        ):
            told = self.told(
                outcome, status, payload=payload, progress=progress, refused=refused, reused=reused, fault=fault
            )
            self.assertEqual(len(told), 1)


class WholeTests(SynchronousTestCase):
    """On a gateway without a network: what really comes of what a client and an engine do."""

    def setUp(self) -> None:
        self.health = Health(HealthSettings(), BreakerSettings(failures=2))
        self.bench = Bench(Settings(retry=Retry(attempts=1)), (replica("gpu0", health=self.health),))
        self.client, self.wire = self.bench.client()

    def ask(self, body: bytes = b'{"model":"m"}') -> tuple[Any, Any]:
        """A request, and the engine's side of it."""
        self.client.dataReceived(post(body))
        return self.bench.upstream()

    @property
    def state(self) -> State:
        """As people are told."""
        return self.health.state(known=True)

    def test_answers_that_say_that_it_is_not_well(self) -> None:
        """So many in a row open the breaker; one that is well between them does not let it come to that."""
        for status, state in (
            (b"500 Oh", State.UP),
            (b"200 OK", State.UP),
            (b"502 Oh", State.UP),
            (b"400 No", State.UP),
            (b"504 Oh", State.UP),
            (b"500 Oh", State.EJECTED),
        ):
            up, _ = self.ask()
            up.dataReceived(answer(b'{"error":{}}', b"connection: close", status=status))
            up.transport.lose()
            self.assertIs(self.state, state, status)
        self.assertEqual(self.health.reason, "it answered with status 500")

    def test_refused(self) -> None:
        """It is down at once."""
        self.client.dataReceived(post())
        self.bench.reactor.connects[-1].refused()
        self.assertIs(self.state, State.DOWN)

    def test_slow_to_connect(self) -> None:
        """It is not: perhaps it is only slow; but it is to be asked."""
        self.client.dataReceived(post())
        self.bench.reactor.connects[-1].refused(late=True)
        self.assertEqual((self.state, self.health.suspect), (State.UP, True))

    def test_an_idle_connection_that_was_closed(self) -> None:
        """Says nothing, also where it breaks; the second one, which is new, does."""
        up, wire = self.ask()
        up.dataReceived(answer())
        self.assertEqual(self.wire.take()[:12], b"HTTP/1.1 200")
        self.client.dataReceived(post())
        wire.lose(clean=False)
        self.assertFalse(self.health.suspect)
        _, wire = self.bench.upstream()
        wire.lose(clean=False)
        self.assertTrue(self.health.suspect)

    def test_an_error_event(self) -> None:
        """Counts, but nobody is asked whether it is there."""
        for _ in range(2):
            up, wire = self.ask(b'{"model":"m","stream":true}')
            up.dataReceived(
                STREAM_HEAD + chunk(b'data: {"error": {"message": "died"}}\n\ndata: [DONE]\n\n') + b"0\r\n\r\n"
            )
            wire.lose()
            self.client, self.wire = self.bench.client()
        self.assertEqual((self.state, self.health.suspect), (State.EJECTED, False))

    def test_the_client_leaves(self) -> None:
        """However often: nothing is held against the replica."""
        for _ in range(10):
            self.ask()
            self.wire.lose()
            self.client, self.wire = self.bench.client()
        self.assertTrue(self.health.plain)
