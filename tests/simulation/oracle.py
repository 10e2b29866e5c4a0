"""What must hold after a run, whatever happened in it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import orjson

from tests.simulation.clients import Call, Client
from tests.simulation.healed import faults_of, is_continuation, unasked, wrong_continuation
from tests.simulation.responses import NotHttp
from tests.simulation.scenario import GOOD
from tests.simulation.served import Served
from tests.simulation.spelling import text_in, with_its_end
from tests.simulation.world import World

#: What a stream that waits is sent.
PING: Final = b": waiting for a replica\n\n"

#: Why a stream may be cut that could have been continued: there is nothing to continue, and nobody knows what it took.
NOT_KNOWN: Final = "the stream had ended but for its usage, which is not known"

#: How exchanges end for a client that has the whole of what it was given, and for one that sees that something is missing.
WHOLE: Final = frozenset({"complete", "malformed", "broken", "refused", "timed_out", "truncated"})
CUT: Final = frozenset({"truncated", "broken", "timed_out", "refused", "abandoned"})

Line = dict[str, Any]


def judge(world: World) -> list[str]:
    """All that is wrong."""
    return world.wrong + _Judge(world).all()


class _Judge:
    def __init__(self, world: World) -> None:
        self.world = world
        self.wrong: list[str] = []
        self.lines: dict[str, list[Line]] = {}
        for line in world.lines:
            self.lines.setdefault(line["id"], []).append(line)
        self.served: dict[str, list[Served]] = {}
        for engine in world.engines.values():
            for served in engine.served:
                self.served.setdefault(served.id, []).append(served)
        self.ids = {call.id for client in world.clients for call in client.calls}
        self.settings = world.scenario.settings
        temper = world.scenario.temper
        #: What things take at the most between their happening and the gateway's knowing, or an engine's.
        self.slack = 1.0 + 4 * temper.latency[1] + 4 * temper.busy[1] + world.skew

    def all(self) -> list[str]:
        if self.world.halted:
            return self.wrong
        self.counted()
        for client in self.world.clients:
            self.wrong += client.problems
            before, cut = 0.0, False
            for call in client.calls:
                self.call(client, call, before)
                if self.world.scenario.theme in (*GOOD, "restart") and call.began_at is not None and not cut:
                    self.good(client, call)
                before = call.over_at or before
                cut = cut or call.ended != "whole"
        return self.wrong

    def say(self, call: Call, what: str) -> None:
        self.wrong.append(f"{call.id or call.path}: {what}")

    # -- counts ----------------------------------------------------------------------------------------------

    def counted(self) -> None:
        """The metrics, the log and the engines agree."""
        metrics, lines = self.world.gateway.metrics, self.world.lines
        if metrics.access_log_dropped:
            self.wrong.append(f"{metrics.access_log_dropped} lines of the access log are lost")
        self.same(
            "requests",
            metrics.requests,
            ((_model(line), line["route"], line["status"], line["outcome"]) for line in lines),
        )
        self.same("heals", metrics.heals, (line["heal"] for line in lines if line["heal"]))
        self.same("spooled", metrics.spooled, (line["spooled"]["outcome"] for line in lines if line["spooled"]))
        self.same("errors", metrics.errors, ((line["error"],) for line in lines if line["error"]))
        logged: Counter[Any] = Counter()
        for line in lines:
            for kind in ("input", "output", "cached"):
                logged[_model(line), kind] += line[f"{kind}_tokens"] or 0
            if line["tokens_by"] == "events":
                logged[_model(line), "output_events"] += line["events"]
        counted = {
            (name, kind): count for name, meters in metrics.models.items() for kind, count in meters.tokens.items()
        }
        self.same("tokens", counted, logged.elements())
        attempts, sent = sum(metrics.attempts.values()), sum(line["attempts"] for line in lines)
        asked = sum(map(len, self.served.values()))
        if attempts < sent or attempts < asked:
            self.wrong.append(f"{attempts} attempts are counted, {sent} are in the log, and engines had {asked}")
        for line in lines:
            took, whole = line["phases"], line["duration_s"]
            if min(took.values(), default=0.0) < 0 or not -1e-4 < whole - sum(took.values()) < 1e-4:
                self.wrong.append(f"{line['id']}: its phases {took} are not the {whole:g} s that it took")
        for id, found in self.lines.items():
            if len(found) > 1:
                self.wrong.append(f"{id}: {len(found)} lines in the log: {found}")

    def same(self, name: str, counted: Any, logged: Any) -> None:
        one, other = Counter({key: count for key, count in counted.items() if count}), Counter(logged)
        if one != other:
            self.wrong.append(f"{name}: counted {dict(one - other)} that are not logged, logged {dict(other - one)}")

    # -- one request -----------------------------------------------------------------------------------------

    def call(self, client: Client, call: Call, before: float) -> None:
        line = next(iter(self.lines.get(call.id, ())), None)
        if line is None and call.seen is not None:
            id = call.seen.header("x-request-id") or ""
            if id not in self.ids:  # else its head was not read, and it was given one of ours
                line = next(iter(self.lines.get(id, ())), None)
        served = self.served.get(call.id, [])
        try:
            self.seen(client, call, line, served)
        except NotHttp as wrong:
            self.say(call, str(wrong))
        for each in served:
            self.asked(call, each)
        self.repeated(call, line, served)
        self.left(client, call, served)
        self.in_time(client, call, before)

    def seen(self, client: Client, call: Call, line: Line | None, served: list[Served]) -> None:
        """What the client saw is what was logged, and what an engine said."""
        seen = call.seen
        if seen is None:
            if line is not None and call.ended == "closed" and line["status"] != 499 and client.left_at is None:
                self.say(call, f"logged as answered with {line['status']}, and nothing came")
            return
        if line is None:
            self.say(call, f"was answered with {seen.status}, and is not in the log")
            return
        if call.expected and seen.status not in call.expected:
            self.say(call, f"was answered with {seen.status}, expected one of {call.expected}")
        if line["status"] != seen.status and not (line["status"] == 499 and call.ended != "whole"):
            self.say(call, f"was answered with {seen.status}, and logged with {line['status']}")
        if (line["outcome"] == "abandoned") != (line["status"] == 499):
            self.say(call, f"is logged as {line['outcome']}, with {line['status']}")
        if call.ended == "whole" and line["bytes_out"] != len(seen.body):
            self.say(call, f"{len(seen.body)} bytes came, and {line['bytes_out']} are logged")
        if seen.header("x-request-id") != line["id"]:
            self.say(call, f"got the answer of {seen.header('x-request-id')}")
        outcomes = WHOLE if call.ended == "whole" else CUT
        if client.left_at is not None or (client.end == "reset" and self.may_be_cut(client, call)):
            outcomes = CUT | WHOLE
        if line["outcome"] not in outcomes:
            self.say(call, f"ended {call.ended}, and is logged as {line['outcome']}")
        if call.ended == "whole" and call.asked is not None:
            self.looks_whole(call, line)
        self.exact(call, line, served)

    def may_be_cut(self, client: Client, call: Call) -> bool:
        """It may lose the rest of an answer: the gateway stops, or it took nothing for so long that it was not waited
        for, or it asked for more than would be answered, which is thrown away when the connection is closed."""
        timeouts, naps = self.settings.timeouts, client.manner.naps
        jumps = any(act.what == "jump" for act in self.world.scenario.acts)  # a short nap seems to be a long one then
        slept = naps is not None and (jumps or naps[1] >= min(timeouts.client_stall, timeouts.keepalive))
        later = client.calls[client.calls.index(call) + 1 :]
        return self.world.stopped or slept or any(one.began_at is not None for one in later)

    def looks_whole(self, call: Call, line: Line) -> None:
        """What looks whole is all that an undisturbed engine would have said."""
        asked, seen = call.asked, call.seen
        assert asked is not None and seen is not None
        if seen.status != 200:
            return
        for choice in range(asked.choices):
            text = _text(call, choice)
            if text is not None and text != asked.text(choice):
                self.say(call, f"looks whole, and is not: {text!r}, expected {asked.text(choice)!r}")
        garbled = any(each.fault == "bad_json" for each in self.served.get(call.id, ()))
        if line["outcome"] == "complete" and _text(call, 0) is None and not (garbled and asked.stream):
            self.say(call, f"is logged as complete, and is not: ...{bytes(seen.body[-200:])!r}")

    def exact(self, call: Call, line: Line, served: list[Served]) -> None:
        """Its bytes are an engine's."""
        seen = call.seen
        assert seen is not None
        name = seen.header("x-aibrix-replica")
        if name is None and seen.status == 200 and call.asked is not None and seen.body.startswith(PING):
            name = line["replica"]  # begun before anybody knew
        elif name is None:
            return
        body, own = bytes(seen.body).replace(PING, b""), b""
        streamed = call.asked is not None and call.asked.stream and seen.status == 200
        if streamed and (call.ended != "whole" or seen.framing == "close"):
            body, own = _without_own_error(body, reset=call.ended == "reset")
            last = body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
            told = own or last.startswith(b'data: {"error"')  # or the engine's own, with which it broke
            if call.ended == "closed" and not told and line["outcome"] != "abandoned":
                self.say(call, f"its stream just ends: ...{bytes(seen.body[-100:])!r}")
        if call.asked is not None and _went_on(line):
            whole = call.ended == "whole" and not own  # to an HTTP/1.0 client a cut looks whole, but for the error
            faults = faults_of(call.asked, body, whole=whole, counted=not self.ended_early(call))
            self.wrong += [f"{call.id}: {wrong}" for wrong in faults]
            self.usage(call, line)
            return
        edited = "stream_options" in (seen.header("x-aibrix-edited") or "") or "stream_options" in line["edited"]
        hidden = edited and call.asked is not None and not call.asked.include_usage
        said = []
        bare = "return_token_ids" in line["edited"]
        for each in served:
            theirs = each.engine == (name or "").removeprefix("extra-") and each.begun and each.status == seen.status
            if theirs and (each.finished or call.ended != "whole" or own or seen.framing == "close"):
                pieces = b"".join(piece.data for piece in each.said if not (hidden and piece.kind == "usage"))
                said.append(unasked(pieces) if bare else pieces)
        if call.ended == "whole" and not own:
            if edited or call.asked is None or not call.asked.stream or call.asked.include_usage:
                self.usage(call, line)
            if with_its_end(body) not in said:
                self.say(call, f"its body is nothing that {name} said: {body[:200]!r} ... {body[-100:]!r}")
        elif not any(each.startswith(body) for each in said) and not _begins(body, said):
            self.say(call, f"it does not begin as {name} said it: {body[-200:]!r}")

    def usage(self, call: Call, line: Line) -> None:
        """What it took is what the engine said."""
        asked, seen = call.asked, call.seen
        if asked is None or seen is None or line["outcome"] != "complete" or seen.status != 200:
            return
        if self.ended_early(call):
            return
        took = line["input_tokens"], line["output_tokens"]
        said = (len(asked.prompt), asked.count * asked.choices)
        if line["heal"] and took[1] is None:
            return  # neither engine said so
        if asked.path != "/v1/embeddings" and took != said:
            self.say(call, f"took {said} tokens, and is logged with {took}")

    def ended_early(self, call: Call) -> bool:
        """An engine did, before it said what it took."""
        return any(each.fault == "early_done" for each in self.served.get(call.id, ()))

    def asked(self, call: Call, served: Served) -> None:
        """What an engine got is what the client sent, but for edits."""
        asked = call.asked
        if asked is None:
            self.say(call, f"an engine was asked {served.path}")
            return
        if served.headers.get("transfer-encoding") or "connection" in served.headers:
            self.say(call, f"was sent on with {served.headers}")
        if served.body == call.body:
            return
        if is_continuation(asked, served):
            wrong = wrong_continuation(asked, served)
            if wrong:
                self.say(call, f"was to go on at {served.engine}: {wrong}: {served.path} {served.body!r}")
            return
        got = orjson.loads(served.body)
        if asked.document["model"] == "alias":
            asked_for = {**asked.document, "model": "m"}
        else:
            asked_for = dict(asked.document)
        if got.get("stream_options") != asked.document.get("stream_options"):
            asked_for["stream_options"] = {"include_usage": True}
        if got.get("return_token_ids") and asked.stream:
            asked_for["return_token_ids"] = True
        if got != asked_for or served.path != call.path:
            self.say(call, f"was sent on as {served.path} {served.body!r}")

    def repeated(self, call: Call, line: Line | None, served: list[Served]) -> None:
        """Not once its answer has begun, nor more often than may be, nor at all where the engine may keep something."""
        if line is None:
            return
        if call.stateful and len(served) > 1:
            self.say(call, f"may be kept by engines, and was sent {len(served)} times")
        healed = any(each["kind"] == "heal" for each in line["tries"] or ())
        bound = 2 * max(1, self.settings.retry.attempts) + self.settings.hedge.enabled
        bound += healed * self.settings.heal.attempts
        if len(served) > bound:
            self.say(call, f"was sent {len(served)} times")
        if (
            healed
            or call.first_at is None
            or self.settings.hedge.enabled
            or (call.seen and call.seen.body.startswith(PING))
        ):
            return
        if any(act.what == "stall" for act in self.world.scenario.acts):
            return
        late = [each for each in served if each.at > call.first_at + 2 * self.world.scenario.temper.latency[1]]
        if late:
            self.say(call, f"was sent on at {late[0].at:.4f}, and its answer had begun at {call.first_at:.4f}")

    def left(self, client: Client, call: Call, served: list[Served]) -> None:
        """An engine does not go on for somebody who left."""
        if client.left_at is None or any(act.what == "stall" for act in self.world.scenario.acts):
            return
        drains = {one.name for one in self.settings.replica if one.on_client_gone == "drain"}
        known = client.left_at + self.slack
        for each in served:
            if each.at > known:
                self.say(call, f"{each.engine} was asked at {each.at:.2f}, and its client left at {client.left_at:.2f}")
            over = each.over_at or each.gone_at
            reloads = any(act.what in ("reload", "add", "register") for act in self.world.scenario.acts)
            if each.engine not in drains and not reloads and (over is None or over > known):
                self.say(call, f"{each.engine} worked until {over}, and its client left at {client.left_at:.2f}")

    def in_time(self, client: Client, call: Call, before: float) -> None:
        """Nothing takes longer than it may."""
        total = min(filter(None, (self.settings.timeouts.total, call.patience)), default=0.0)
        manner = client.manner
        if (
            not total
            or call.expected
            or call.sent_at is None
            or call.over_at is None
            or manner.slow
            or manner.naps
            or manner.cut
        ):
            return
        took = call.over_at - max(call.sent_at, before)
        if took > total + self.slack and client.left_at is None:
            self.say(call, f"took {took:.2f} s of {total:g} s")

    def good(self, client: Client, call: Call) -> None:
        """Where nothing happens that could not be hidden, nothing is seen."""
        served = self.served.get(call.id, [])
        if call.asked is None or client.left_at is not None:
            return
        restart = self.world.scenario.theme == "restart"
        if restart and (call.asked.stream and any(each.said for each in served)):
            return
        if any(line["heal_reason"] == NOT_KNOWN for line in self.lines.get(call.id, ())):
            return
        if call.ended != "whole" or call.seen is None or call.seen.status != 200:
            status = call.seen.status if call.seen is not None else 0
            self.say(
                call, f"{self.world.scenario.theme}: {call.ended or 'never ended'}, {status}, {self.lines.get(call.id)}"
            )
        elif any(_text(call, choice) is None for choice in range(call.asked.choices)):
            self.say(call, f"{self.world.scenario.theme}: not whole: {bytes(call.seen.body)!r}")


def _went_on(line: Line) -> bool:
    """It was healed, or some of it came from a second engine."""
    tries = line["tries"] or ()
    return line["heal"] == "healed" or any(each["kind"] == "heal" and each["first_s"] is not None for each in tries)


def _model(line: Line) -> str:
    return line["model"] or "other"


def _text(call: Call, choice: int) -> str | None:
    assert call.asked is not None and call.seen is not None
    try:
        return text_in(call.asked, bytes(call.seen.body), choice)
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return None


def _without_own_error(body: bytes, *, reset: bool) -> tuple[bytes, bytes]:
    """The stream, and the error that the gateway ended it with; of which there may be less where its process ended."""
    at = body.rfind(b'data: {"error"')
    if at < 0 or b"EngineCore" in body[at:]:
        return body, b""
    whole = body.endswith(b"\n\n") and body.count(b"\n\n", at) == 1
    if not whole and not (reset and body.find(b"\n\n", at) < 0):
        return body, b""
    return body[:at], body[at:]


def _begins(body: bytes, said: list[bytes]) -> bool:
    """A body that is no stream may be cut anywhere; one that was never begun is empty."""
    return not body and not said
