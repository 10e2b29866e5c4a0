"""The response assembly: one ending, whatever comes, in whatever order, from beneath whichever frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from aibrix_twisted.domain.assembly import (
    TRANSITIONS,
    Cause,
    Ending,
    Outcome,
    OutOfTurn,
    Phase,
    ResponseAssembly,
    outcome_of,
)
from aibrix_twisted.interfaces import IBodyConsumer, Payload

HEAD = object()


class Late(dict[str, int]):
    """Counts of late events."""

    def __init__(self) -> None:
        super().__init__(head=0, body=0, end=0)


@implementer(IBodyConsumer)
class Recorder:
    """A consumer that remembers, and does what it is told to beneath its frames."""

    def __init__(self, verdict: Payload = Payload.WHOLE) -> None:
        self.calls: list[str] = []
        self.fed = b""
        self.judged: list[bytes] = []
        self.endings: list[Ending] = []
        self.verdict = verdict
        self.beneath: dict[str, Callable[[], object]] = {}

    def headReceived(self, head: object) -> None:
        self._called("head")

    def bodyReceived(self, data: bytes) -> None:
        assert data, "an empty piece of body"
        self.fed += data
        self._called("body")

    def payloadJudged(self) -> Payload:
        self.judged.append(self.fed)
        self._called("judge")
        return self.verdict

    def ended(self, ending: Ending) -> None:
        self.endings.append(ending)
        self._called("ended")

    def _called(self, frame: str) -> None:
        self.calls.append(frame)
        action = self.beneath.pop(frame, None)
        if action is not None:
            action()


def tell(assembly: ResponseAssembly, event: str, cause: Cause = Cause.FINAL_CHUNK) -> None:
    """One input."""
    if event == "head":
        assembly.head(HEAD, close_delimited=False)
    elif event == "body":
        assembly.body(b"x")
    else:
        assembly.end(cause)


class TableTests(SynchronousTestCase):
    """The machine is its table."""

    def test_every_sequence_agrees_with_the_table(self) -> None:
        """Over all sequences of up to six inputs: phase, calls, late counts and refusals are the table's."""
        for length in range(1, 7):
            for sequence in itertools.product(("head", "body", "end"), repeat=length):
                recorder, late = Recorder(), Late()
                assembly = ResponseAssembly(recorder, late)
                phase, expected_late, calls = Phase.AWAITING_HEAD, Late(), []
                for event in sequence:
                    following = TRANSITIONS[phase].get(event)
                    if following is None:
                        self.assertRaises(OutOfTurn, tell, assembly, event)
                        continue
                    tell(assembly, event)
                    if phase is Phase.ENDED:
                        expected_late[event] += 1
                    elif event == "end":
                        calls += ["judge", "ended"] if phase is Phase.STREAMING else ["ended"]
                    else:
                        calls.append(event)
                    phase = following
                    self.assertIs(assembly.phase, phase, sequence)
                self.assertEqual((recorder.calls, late), (calls, expected_late), sequence)

    def test_the_last_phase_absorbs(self) -> None:
        """What follows the end leads nowhere else."""
        self.assertEqual(set(TRANSITIONS[Phase.ENDED].values()), {Phase.ENDED})
        self.assertEqual(set(TRANSITIONS), set(Phase))

    def test_recorder_is_a_consumer(self) -> None:
        """The fake has the interface's methods, so that what it shows holds for others."""
        verifyObject(IBodyConsumer, Recorder())


class OneEndingTests(SynchronousTestCase):
    """The story that the project began with."""

    def test_every_order_of_ends(self) -> None:
        """Final chunk, connection lost, client gone, deadline, in every order and number: one ending, one judgement."""
        for count in range(1, 5):
            for causes in itertools.permutations(Cause, count):
                for before in ([], ["head"], ["head", "body"]):
                    recorder, late = Recorder(), Late()
                    assembly = ResponseAssembly(recorder, late)
                    for event in before:
                        tell(assembly, event)
                    ended = [assembly.end(cause) for cause in causes]
                    self.assertEqual(ended, [True] + [False] * (count - 1))
                    self.assertEqual([ending.cause for ending in recorder.endings], [causes[0]])
                    self.assertEqual(len(recorder.judged), 1 if before else 0)
                    self.assertEqual(late["end"], count - 1)

    def test_second_end_beneath_every_frame(self) -> None:
        """An end from beneath any call to the consumer, followed by the one that was under way: one ending."""
        for frame, inner, outer in itertools.product(("head", "body", "judge", "ended"), Cause, Cause):
            recorder, late = Recorder(), Late()
            assembly = ResponseAssembly(recorder, late)
            recorder.beneath[frame] = lambda a=assembly, c=inner: a.end(c)
            tell(assembly, "head")
            tell(assembly, "body")
            assembly.end(outer)
            first = inner if frame in ("head", "body") else outer
            self.assertEqual([ending.cause for ending in recorder.endings], [first], (frame, inner, outer))
            self.assertEqual(len(recorder.judged), 1)
            self.assertEqual(recorder.calls[-1], "ended", "nothing follows the ending")
            self.assertEqual(late["end"], 1)

    def test_body_and_head_beneath_the_ending_are_late(self) -> None:
        """What comes while the ending is told changes nothing, and is counted."""
        recorder, late = Recorder(), Late()
        assembly = ResponseAssembly(recorder, late)
        recorder.beneath["ended"] = lambda: (tell(assembly, "body"), tell(assembly, "head"))
        tell(assembly, "head")
        assembly.end(Cause.FINAL_CHUNK)
        self.assertEqual(late, {"head": 1, "body": 1, "end": 0})
        self.assertEqual(recorder.calls, ["head", "judge", "ended"])

    def test_ended_once_where_the_consumer_raises(self) -> None:
        """A consumer that fails beneath any frame is still told of one ending at most, and ends stay ended."""
        for frame in ("head", "body", "judge", "ended"):
            recorder, late = Recorder(), Late()
            assembly = ResponseAssembly(recorder, late)

            def fail() -> None:
                raise RuntimeError("a defect")

            recorder.beneath[frame] = fail
            for event in ("head", "body", "end", "end", "end"):
                try:
                    tell(assembly, event)
                except RuntimeError:
                    tell(assembly, "end", Cause.UPSTREAM_BROKE)
            self.assertLessEqual(len(recorder.endings), 1, frame)
            self.assertLessEqual(len(recorder.judged), 1, frame)
            self.assertIs(assembly.phase, Phase.ENDED)

    def test_received_counts_the_body(self) -> None:
        """The ending says how many bytes of body there were."""
        recorder = Recorder()
        assembly = ResponseAssembly(recorder, Late())
        tell(assembly, "head")
        assembly.body(b"abc")
        assembly.body(b"de")
        assembly.end(Cause.FINAL_CHUNK)
        self.assertEqual(recorder.endings[0].received, 5)


class OutcomeTests(SynchronousTestCase):
    """Framing and payload, judged together."""

    def test_whole_table(self) -> None:
        """Every cause, every payload, every framing: the outcome of the design's table."""
        payloads = [*Payload, None]
        for cause, payload, by_close in itertools.product(Cause, payloads, (False, True)):
            outcome = outcome_of(cause, payload, close_delimited=by_close)
            if cause is Cause.CLIENT_GONE:
                expected = Outcome.ABANDONED
            elif cause is Cause.DEADLINE:
                expected = Outcome.TIMED_OUT
            elif cause is Cause.UPSTREAM_BROKE or payload is Payload.BROKEN:
                expected = Outcome.BROKEN
            elif cause is Cause.FINAL_CHUNK:
                expected = Outcome.MALFORMED if payload is Payload.CUT else Outcome.COMPLETE
            else:
                whole = by_close and payload in (Payload.WHOLE, Payload.OPAQUE)
                expected = Outcome.COMPLETE if whole else Outcome.TRUNCATED
            self.assertIs(outcome, expected, (cause, payload, by_close))

    def test_a_close_that_anyone_may_have_made(self) -> None:
        """TLS was not told of it: it ends no body, whatever the payload looks like; where the framing ended, it is late."""
        for by_close, unsigned, outcome in (
            (True, False, Outcome.COMPLETE),
            (True, True, Outcome.TRUNCATED),
            (False, True, Outcome.TRUNCATED),
        ):
            recorder = Recorder()
            assembly = ResponseAssembly(recorder, dict.fromkeys(("head", "body", "end"), 0))
            assembly.head(HEAD, close_delimited=by_close)
            assembly.body(b"whole")
            self.assertTrue(assembly.end(Cause.UPSTREAM_CLOSED, unsigned=unsigned))
            self.assertEqual([ending.outcome for ending in recorder.endings], [outcome])
            self.assertFalse(assembly.end(Cause.UPSTREAM_CLOSED, unsigned=True))

    def test_a_clean_end_is_given_only_for_one(self) -> None:
        """A client gets a last chunk where the engine framed one, or where its close was one; never else."""
        for cause, payload, by_close in itertools.product(Cause, [*Payload, None], (False, True)):
            ending = Ending(cause, outcome_of(cause, payload, close_delimited=by_close), payload, 0)
            whole = cause is Cause.FINAL_CHUNK or (
                cause is Cause.UPSTREAM_CLOSED and by_close and payload in (Payload.WHOLE, Payload.OPAQUE)
            )
            self.assertEqual(ending.framed_whole, whole, (cause, payload, by_close))
            self.assertEqual(ending.headless, payload is None)
