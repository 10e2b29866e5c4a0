"""Streams that break, and how they go on: whole exchanges in memory."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.memory import Pressure
from aibrix_twisted.domain.settings import HealSettings, ModelSettings, Settings, Timeouts
from tests.fakes import STREAM_HEAD, answer, chunk
from tests.service.exchange.healed import CHAT, COMPLETION, DONE, USAGE, Engine, Healed

ERROR = b'data: {"error":{"message":"EngineCore is dead.","code":500}}\n\n'

BREAKS = ("close", "reset", "error event", "early done", "early done and last chunk", "half an event", "bad chunk")


def break_off(healed: Healed, engine: Engine, how: str) -> None:
    """It does."""
    if how in ("close", "reset"):
        engine.wire.lose(clean=how == "close")
    elif how == "error event":
        engine.say(ERROR, DONE, end=True)
    elif how == "early done":
        engine.say(DONE)
    elif how == "early done and last chunk":
        engine.connection.dataReceived(chunk(DONE) + b"0\r\n\r\n")
    elif how == "half an event":
        engine.say(b'data: {"choices":[{"index":0,"del')
        engine.wire.lose()
    elif how == "bad chunk":
        engine.connection.dataReceived(b"zz\r\n")
    elif how == "stall":
        healed.bench.advance(130.0)
    else:
        raise AssertionError(how)


def mode(name: str, **more: Any) -> Settings:
    """So continued."""
    return Settings(heal=HealSettings(mode=name, **more))  # type: ignore[arg-type]


class GoesOnTests(SynchronousTestCase):
    """It goes on, and the client sees one stream."""

    def test_each_break_everywhere(self) -> None:
        """By tokens and by text, chat and completions, with usage and without, after each event."""
        for how, asked, usage, way in itertools.product(
            (*BREAKS, "stall"), (CHAT, COMPLETION), ({}, USAGE), ("auto", "exact", "text")
        ):
            for position in range(1, 12 if how == "close" else 6):
                context = (how, position, "messages" in asked, bool(usage), way)
                healed = Healed({**asked, **usage}, settings=mode(way))
                first = healed.next()
                if position >= len(first.events):
                    continue
                first.say(*first.events[:position], head=True)
                break_off(healed, first, how)
                if healed.waiting:  # else it lacked nothing but its end
                    second = healed.next()
                    second.say(*second.events, head=True, end=True)
                else:
                    self.assertGreater(position, 8, context)
                self.assertEqual(healed.check(self, context), "complete", context)
                self.assertEqual(healed.exchange.heal, "healed", context)
                if len(healed.engines) > 1:
                    exact = way != "text" and (position > 1 or "prompt" in asked)
                    self.assertEqual(isinstance(second.asked.get("prompt"), list), exact, context)

    def test_it_breaks_again_and_again(self) -> None:
        """Each continuation breaks, after each event of it; the text is that of one undisturbed stream."""
        for asked, way, first_said, second_said in itertools.product(
            (CHAT, COMPLETION), ("auto", "text"), range(1, 5), range(5)
        ):
            for more in ({}, {"hollow": True}, {"fuse": 2})[: 3 if asked is COMPLETION else 2]:
                healed = Healed(asked, ("vllm",) * 4, mode(way), **more)
                for said in (first_said, second_said, 1):
                    if not healed.waiting:  # all was said that was asked for
                        break
                    engine = healed.next()
                    engine.say(*engine.events[:said], head=True)
                    engine.wire.lose(clean=False)
                if healed.waiting:
                    last = healed.next()
                    last.say(*last.events, head=True, end=True)
                    self.assertEqual(healed.exchange.attempts, 4)
                self.assertEqual(healed.check(self, (asked, way, first_said, second_said, more)), "complete")
                self.assertEqual(healed.exchange.heal, "healed")

    def test_what_the_client_asked_for_itself(self) -> None:
        """Tokens, and usage with each event, go on."""
        asked = {**CHAT, "return_token_ids": True}
        for position in range(1, 9):
            healed = Healed(asked)
            first = healed.next()
            first.say(*first.events[:position], head=True)
            first.wire.lose()
            second = healed.next()
            second.say(*second.events, head=True, end=True)
            self.assertEqual(healed.check(self), "complete")
            ids = [i for e in healed.events if e for c in e["choices"] for i in c.get("token_ids") or ()]
            self.assertEqual(len(ids), 9)
            self.assertNotIn("return_token_ids", healed.exchange.edited)

    def test_tokens_that_the_client_says_it_does_not_want(self) -> None:
        """They are asked for all the same, and withheld: it goes on by them."""
        for said in (False, None):
            healed = Healed({**CHAT, "return_token_ids": said, "max_tokens": 9})
            first = healed.next()
            self.assertIs(first.asked["return_token_ids"], True)
            first.say(*first.events[:4], head=True)
            first.wire.lose()
            second = healed.next()
            self.assertEqual(second.path, b"/v1/completions")
            second.say(*second.events, head=True, end=True)
            self.assertEqual(healed.check(self), "complete")
            self.assertNotIn(b'token_ids":[', healed.body)
            self.assertIn("return_token_ids", healed.exchange.edited)

    def test_one_way_after_the_other(self) -> None:
        """By tokens, the last of which were to be made anew, and when nothing, or a part of that, came of it, by text:
        what the client has is counted whole."""
        for again in (0, 1):
            healed = Healed(CHAT, ("vllm", "vllm", "sglang"), Settings(policy="round-robin"), fuse=2)
            first = healed.next()
            first.say(*first.events[:3], head=True)
            first.wire.lose()
            second = healed.next()
            if again:
                second.say(*second.events[:1], head=True)
                second.wire.lose()
            else:
                second.connection.dataReceived(answer(status=b"429 Busy"))
            third = healed.next()
            self.assertEqual(third.asked["max_tokens"], 5)
            self.assertEqual(third.asked["messages"][-1]["role"], "assistant")
            third.say(*third.events, head=True, end=True)
            self.assertEqual(healed.check(self, again), "complete")

    def test_who_failed_with_the_request_before(self) -> None:
        """May go on with the stream that another one broke, and did not say so in vain."""
        healed = Healed(CHAT)
        healed.next().connection.dataReceived(answer(status=b"500 Failed"))
        healed.bench.advance(1)
        second = healed.next()
        second.say(*second.events[:4], ERROR, DONE, head=True)
        third = healed.next()
        third.say(*third.events, head=True, end=True)
        self.assertEqual(healed.check(self), "complete")
        self.assertEqual([each.replica for each in healed.exchange.tries], ["gpu0", "gpu1", "gpu0"])

    def test_engines_of_other_kinds(self) -> None:
        """Completions go on by text anywhere; one that never ends with C{[DONE]} is believed without."""
        for kinds in (("vllm", "llamacpp"), ("llamacpp", "vllm"), ("llamacpp", "llamacpp"), ("sglang", "sglang")):
            for position in range(1, 9):
                healed = Healed({**COMPLETION, **USAGE}, kinds)
                first = healed.next()
                first.say(*first.events[:position], head=True)
                first.wire.lose(clean=False)
                second = healed.next()
                second.say(*second.events, head=True, end=True)
                self.assertEqual(healed.check(self, (kinds, position)), "complete")

    def test_whichever_can(self) -> None:
        """A replica that could not go on with it is passed over."""
        for _ in range(6):
            healed = Healed(CHAT, ("vllm", "llamacpp", "llamacpp", "vllm"))
            if healed.replicas[1].load.in_flight or healed.replicas[2].load.in_flight:
                continue
            first = healed.next()
            first.say(*first.events[:3], head=True)
            first.wire.lose()
            second = healed.next()
            second.say(*second.events, head=True, end=True)
            self.assertEqual(healed.check(self), "complete")

    def test_the_rest_in_any_pieces(self) -> None:
        """However a continuation is cut."""
        whole = b"".join(map(chunk, _second(Healed(CHAT)).events)) + b"0\r\n\r\n"
        for cut in range(1, len(whole), 7):
            healed = Healed(CHAT)
            second = _second(healed)
            second.connection.dataReceived(STREAM_HEAD + whole[:cut])
            second.connection.dataReceived(whole[cut:])
            self.assertEqual(healed.check(self, cut), "complete")

    def test_the_clients_bytes(self) -> None:
        """Undisturbed, they are those of an engine that was not asked for tokens; the answer says what was edited."""
        streams = []
        for way in ("auto", "off"):
            healed = Healed(CHAT, settings=mode(way))
            engine = healed.next()
            engine.say(*engine.events, head=True, end=True)
            self.assertEqual(healed.check(self), "complete")
            streams.append(healed.body)
            said = b"stream_options,return_token_ids" if way == "auto" else b"stream_options"
            self.assertIn(b"x-aibrix-edited: " + said + b"\r\n", healed.wire.written)
            self.assertEqual((healed.exchange.heal, healed.exchange.heal_reason), (None, ""))
        self.assertEqual(streams[0], streams[1])

    def test_per_model(self) -> None:
        """A model's own way counts."""
        settings = Settings(heal=HealSettings(mode="off"), model=(ModelSettings(name="m", heal="text"),))
        healed = Healed(CHAT, settings=settings)
        second = _second(healed)
        self.assertIn("continue_final_message", second.asked)
        healed = Healed(CHAT, settings=Settings(model=(ModelSettings(name="m", heal="off"),)))
        first = healed.next()
        first.say(*first.events[:3], head=True)
        first.wire.lose()
        self.assertEqual((healed.check(self), healed.exchange.heal), ("truncated", None))

    def test_nothing_said_yet(self) -> None:
        """Then whatever was asked for may come, from elsewhere."""
        asked = {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"}
        healed = Healed(asked)
        first = healed.next()
        first.say(first.events[0], head=True)
        first.wire.lose()
        second = healed.next()
        self.assertEqual(second.asked["tools"], asked["tools"])
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.exchange.heal, "healed")
        calls = [e["choices"][0]["delta"]["tool_calls"] for e in healed.events if e and "'tool_calls':" in str(e)]
        self.assertEqual(len(calls), 2)
        self.assertEqual(healed.body.count(b'"role"'), 1)
        healed = Healed(asked)
        first = healed.next()
        first.say(*first.events[:2], head=True)
        first.wire.lose()
        self.assertEqual((healed.exchange.heal, healed.waiting), ("refused", False))
        self.assertIn("something else than text", healed.exchange.heal_reason)

    def test_an_error_before_anything_else(self) -> None:
        """Is a retry: the client has nothing yet."""
        for break_event in (ERROR, DONE):
            healed = Healed(CHAT)
            healed.next().say(break_event, head=True)
            healed.bench.advance(0.2)
            second = healed.next()
            self.assertEqual(second.asked["messages"], CHAT["messages"])
            second.say(*second.events, head=True, end=True)
            self.assertEqual(
                (healed.check(self), healed.exchange.heal, healed.exchange.attempts), ("complete", None, 2)
            )


def _second(healed: Healed, said: int = 3) -> Engine:
    """The one that is to go on."""
    first = healed.next()
    first.say(*first.events[:said], head=True)
    first.wire.lose()
    return healed.next()


class EndsTests(SynchronousTestCase):
    """It does not go on, and the client sees that."""

    def test_nobody_else(self) -> None:
        """An engine's own word passes as it came; all else is an error event and a cut."""
        for how in BREAKS:
            healed = Healed(CHAT, ("vllm",))
            first = healed.next()
            first.say(*first.events[:3], head=True)
            break_off(healed, first, how)
            if how == "error event":
                self.assertTrue(healed.body.endswith(ERROR + DONE))
            elif how == "early done":
                self.assertTrue(healed.body.endswith(DONE))
                first.wire.lose()
            if how == "early done and last chunk":
                self.assertTrue(healed.wire.written.endswith(b"\r\n0\r\n\r\n"))
                self.assertEqual(healed.exchange.outcome, "malformed")
            elif how not in ("error event", "early done"):
                self.assertIn(healed.check(self, how), ("truncated", "broken"))
            self.assertEqual(healed.exchange.heal, "no_replica", how)
        healed = Healed(CHAT, ("vllm",))
        first = healed.next()
        first.say(*first.events[:3], head=True)
        healed.bench.advance(130.0)
        self.assertEqual((healed.check(self), healed.exchange.heal), ("timed_out", "no_replica"))

    def test_a_word_that_was_passed(self) -> None:
        """A client that has read C{[DONE]}, or of an error, is told nothing more: though there is somebody by then."""
        for word in (DONE, ERROR):
            healed = Healed(CHAT, ("vllm",))
            first = healed.next()
            first.say(*first.events[:3], word, head=True)
            healed.bench.replicas += (Healed(CHAT).replicas[1],)
            healed.bench.publish()
            first.say(end=True)
            self.assertEqual((healed.waiting, len(healed.bench.log.seen)), (False, 1))

    def test_all_that_the_other_may_answer(self) -> None:
        """After each of them a third goes on; with no third, it ends."""
        answers = {
            "400": answer(b'{"error":{}}', status=b"400 Bad Request"),
            "429": answer(b'{"error":{}}', status=b"429 Too Many Requests"),
            "500": answer(b'{"error":{}}', status=b"500 Internal Server Error"),
            "503": answer(b"", status=b"503 Service Unavailable"),
            "json": answer(b"{}"),
            "error event": STREAM_HEAD + chunk(ERROR) + chunk(DONE) + b"0\r\n\r\n",
            "early done": STREAM_HEAD + chunk(DONE) + b"0\r\n\r\n",
            "nothing": STREAM_HEAD + b"0\r\n\r\n",
            "no JSON": STREAM_HEAD + chunk(b"data: x\n\n"),
            "reasoning": STREAM_HEAD + chunk(b'data: {"choices":[{"index":0,"delta":{"reasoning":"x"}}]}\n\n'),
            "garbage": b"\0\0",
            "refused": b"",
            "stall": STREAM_HEAD,
        }
        for name, said in answers.items():
            for third in (False, True):
                healed = Healed(CHAT, ("vllm",) * (3 if third else 2), settings=mode("exact"))
                first = healed.next()
                first.say(*first.events[:3], head=True)
                first.wire.lose()
                if name == "refused":
                    healed.bench.reactor.connects[-1].refused()
                    healed.bench.reactor.connects.remove(healed.bench.reactor.connects[1])
                else:
                    second = healed.next()
                    second.connection.dataReceived(said)
                    if name == "stall":
                        healed.bench.advance(700.0)
                if third:
                    engine = healed.next()
                    engine.say(*engine.events, head=True, end=True)
                self.assertEqual(healed.check(self, name) == "complete", third, name)
                self.assertEqual(healed.exchange.heal, "healed" if third else "failed", name)

    def test_it_says_something_else(self) -> None:
        """Text that was delivered is not said again: nothing of that goes to the client."""
        for fuse in (2, 3):
            healed = Healed(CHAT, ("vllm",) * 2, fuse=fuse)
            second = _second(healed)
            second.say(b'data: {"choices":[{"index":0,"text":" other","token_ids":[1]}]}\n\n', head=True)
            self.assertEqual((healed.check(self), healed.exchange.heal), ("truncated", "failed"))
            self.assertNotIn(b"other", healed.body)
            self.assertEqual(healed.replicas[1].health.breaker.allows(0.0), True)

    def test_bounds(self) -> None:
        """Of continuations, of the budget, of what is kept; connects that are refused are not counted."""
        healed = Healed(CHAT, ("vllm",) * 5, settings=mode("auto", attempts=2))
        for _ in range(3):
            engine = healed.next()
            engine.say(*engine.events[:2], head=True)
            engine.wire.lose()
        self.assertEqual(
            (healed.exchange.heal, healed.exchange.heal_reason), ("failed", "2 continuations came to nothing")
        )
        healed.check(self)
        healed = Healed(CHAT)
        healed.bench.exchanges.heal_budget._floor = 0
        first = healed.next()
        first.say(*first.events[:3], head=True)
        first.wire.lose()
        self.assertEqual(healed.exchange.heal, "over_budget")
        healed.check(self)
        healed = Healed(CHAT, settings=mode("auto", max_bytes=100))
        first = healed.next()
        first.say(*first.events[:3], head=True)
        first.wire.lose()
        self.assertEqual(healed.exchange.heal_reason, "the stream had more than may be kept of it")
        healed.check(self)

    def test_memory_is_short(self) -> None:
        """What is kept goes before requests are refused; such a stream is passed on to its end, but is not healed."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        memory = healed.bench.exchanges.memory
        memory.share().set(0, 0, 0, 1 << 50)
        self.assertIs(memory.pressure, Pressure.FULL)
        healed.bench.advance(1.0)
        self.assertEqual(memory.by_kind["kept"], 0)
        first.say(first.events[3])
        first.wire.lose()
        self.assertEqual(healed.exchange.heal_reason, "the stream had more than may be kept of it")
        healed.check(self)

    def test_counted(self) -> None:
        """By what became of it."""
        healed = Healed(CHAT)
        second = _second(healed)
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.bench.metrics.heals["healed"], 1)
        self.assertEqual(sum(healed.bench.metrics.heals.values()), 1)
        exchange = healed.exchange
        self.assertEqual((exchange.output_tokens, exchange.replica), (9, exchange.tries[1].replica))
        self.assertEqual([record.kind.value for record in exchange.tries], ["first", "heal"])


class LeavesTests(SynchronousTestCase):
    """The client, time, and people, meanwhile."""

    def at_each_step(self) -> list[tuple[str, Healed]]:
        found = []
        for step in ("connecting", "sent", "head", "begun"):
            healed = Healed(CHAT, settings=Settings(timeouts=Timeouts(total=50.0)))
            first = healed.next()
            first.say(*first.events[:3], head=True)
            first.wire.lose()
            if step != "connecting":
                second = healed.next()
                if step != "sent":
                    second.say(*(second.events[:2] if step == "begun" else ()), head=True)
            found.append((step, healed))
        return found

    def test_the_client_leaves(self) -> None:
        """The continuation is cancelled, or read on where the replica wants that."""
        for drains in (False, True):
            for step, healed in self.at_each_step():
                for each in healed.replicas:
                    each.drains = drains
                healed.wire.lose()
                if drains and step != "connecting":
                    second = healed.engines[-1]
                    head = step == "sent"
                    second.say(*(second.events[2:] if step == "begun" else second.events), head=head, end=True)
                self.assertEqual((healed.check(self, step), healed.exchange.heal), ("abandoned", "abandoned"), step)

    def test_it_leaves_beneath_a_write(self) -> None:
        """One ending."""
        for step, healed in self.at_each_step()[1:]:
            healed.wire.beneath_write = healed.wire.lose
            second = healed.engines[-1]
            second.say(*(second.events[2:] if step == "begun" else second.events), head=step == "sent", end=True)
            self.assertEqual(healed.check(self, step), "abandoned")
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:-1], head=True)
        healed.wire.beneath_write = healed.wire.lose
        first.wire.lose()
        self.assertEqual(len(healed.bench.log.seen), 1)

    def test_its_time_is_over(self) -> None:
        """Whatever it was at."""
        for step, healed in self.at_each_step():
            healed.bench.advance(60.0)
            self.assertEqual(healed.check(self, step), "timed_out")
            self.assertEqual((healed.exchange.heal, healed.exchange.heal_reason), ("failed", "its time was over"), step)

    def test_the_gateway_stops(self) -> None:
        """Whatever it was at."""
        for step, healed in self.at_each_step():
            for connection in tuple(healed.bench.exchanges.live):
                connection.expire("stopping") if hasattr(connection, "expire") else connection._work.expire("stopping")
            self.assertEqual((healed.check(self, step), healed.exchange.heal), ("timed_out", "failed"), step)

    def test_a_client_that_does_not_keep_up(self) -> None:
        """The continuation is not read faster than it takes it."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        healed.client.pauseProducing()
        first.wire.lose()
        second = healed.next()
        self.assertTrue(second.wire.paused)
        healed.client.resumeProducing()
        self.assertFalse(second.wire.paused)
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.check(self), "complete")

    def test_reload_between(self) -> None:
        """It goes on as it began."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        healed.bench.exchanges.configure(mode("off"))
        first.wire.lose()
        second = healed.next()
        second.say(*second.events, head=True, end=True)
        self.assertEqual(healed.check(self), "complete")

    def test_the_model_is_gone(self) -> None:
        """By the fleet as it is now."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        healed.bench.replicas = healed.replicas[:0]
        healed.bench.publish()
        first.wire.lose()
        self.assertEqual((healed.check(self), healed.exchange.heal), ("truncated", "no_replica"))

    def test_a_defect(self) -> None:
        """Of healing itself: the exchange ends, and is counted as what it is."""
        healed = Healed(CHAT)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        healed.bench.exchanges.heal_budget = None  # type: ignore[assignment]
        first.wire.lose()
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertEqual((healed.exchange.heal, healed.exchange.error), ("failed", "gateway_internal"))
        self.assertEqual(healed.bench.exchanges.under_way, 0)


class BusyTests(SynchronousTestCase):
    """Others are up, and busy."""

    def busy(self, **more: Any) -> tuple[Healed, Engine]:
        healed = Healed(CHAT, **more)
        first = healed.next()
        first.say(*first.events[:3], head=True)
        for each in healed.replicas:
            each.max_in_flight = 1
        other = next(each for each in healed.replicas if not each.load.in_flight)
        self.lease = other.load.lease("m")
        return healed, first

    def test_it_waits(self) -> None:
        """Until there is room; that is part of the healing, not of the queue."""
        healed, first = self.busy()
        first.wire.lose()
        self.assertEqual((healed.waiting, healed.bench.exchanges.waiting.room.count), (False, 1))
        healed.bench.advance(2.0)
        self.lease.release()
        healed.bench.exchanges.left(healed.replicas[0])
        healed.bench.advance(0.2)
        second = healed.next()
        second.say(*second.events, head=True, end=True)
        self.assertEqual((healed.check(self), healed.exchange.heal), ("complete", "healed"))
        self.assertEqual(healed.exchange.queued_s, 0.0)

    def test_it_waits_in_vain(self) -> None:
        """Not for longer than anybody; not where nobody may wait; not once the client left."""
        healed, first = self.busy()
        first.wire.lose()
        healed.bench.advance(12.0)
        self.lease.release()
        self.assertEqual((healed.check(self), healed.exchange.heal), ("truncated", "no_replica"))
        healed, first = self.busy()
        first.wire.lose()
        healed.wire.lose()
        self.lease.release()
        self.assertEqual((healed.check(self), healed.exchange.heal), ("abandoned", "abandoned"))
        self.assertEqual(healed.bench.exchanges.waiting.room.count, 0)
        healed, first = self.busy(settings=Settings(timeouts=Timeouts(total=5.0)))
        first.wire.lose()
        healed.bench.advance(6.0)
        self.lease.release()
        self.assertEqual((healed.check(self), healed.exchange.heal), ("timed_out", "failed"))
