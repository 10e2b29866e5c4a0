"""What happens in a run: everything follows from its seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, TypeVar

import orjson

from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.domain.settings import (
    BreakerSettings,
    HealSettings,
    HealthSettings,
    HedgeSettings,
    Limits,
    ModelSettings,
    QueueSettings,
    ReplicaSettings,
    Retry,
    Settings,
    Timeouts,
)
from aibrix_twisted.policy import POLICIES
from tests.simulation.clients import Call, Manner
from tests.simulation.engines import BREAKS, FAULTS, FRAMING, HIDEABLE, OTHER, STREAM_ENDS, Habits
from tests.simulation.language import SCRIPT, WORDS
from tests.simulation.network import Temper
from tests.simulation.spelling import Question, stream_of

Item = TypeVar("Item")

#: Kinds of runs, and how often each comes.  C{calm} and C{hidden}: every client that stays gets all that it asked for,
#: whatever happens behind the gateway; of C{clients}, some become C{slow}, and then it does, too.  C{heal}: engines break
#: streams, but for one that can go on with all of them.  C{restart}: it does, but for what was cut amid its answer.
THEMES: Final = {
    "calm": 2, "hidden": 4, "heal": 4, "restart": 3, "engines": 5, "clients": 4, "drain": 3, "reload": 3, "time": 2, "storm": 4,
}  # fmt: skip

#: Themes in which no answer may fail.
GOOD: Final = frozenset({"calm", "hidden", "heal", "slow"})

#: Of the runs about clients, so many are about those who read slowly.
_SLOW: Final = 0.25

#: In so many runs clients that are slow are not waited for, but spooled.
_SPOOLED: Final = 0.4


@dataclass
class Act:
    """Something that is done to the gateway or to an engine.

    @ivar what: one of L{aibrix_twisted}'s operator's ways, or an engine's: see C{World}.
    """

    at: float
    what: str
    whom: str = ""
    more: Any = None


@dataclass
class Scenario:
    """All of it.

    @ivar full_disk: bytes that may be written to files of answers, before there is no more room; C{None}: any.
    """

    seed: int
    theme: str
    temper: Temper
    settings: Settings
    habits: dict[str, Habits]
    clients: list[tuple[list[Call], Manner]]
    acts: list[Act] = field(default_factory=list)
    slow_disk: float = 0.0
    full_disk: int | None = None

    @property
    def named(self) -> str:
        """In a line."""
        engines = ", ".join(f"{name} ({habits.profile})" for name, habits in self.habits.items())
        return f"seed {self.seed}: {self.theme}; {len(self.clients)} clients; {engines}"


def scenario_of(seed: int) -> Scenario:
    """The run of this seed."""
    return _Maker(seed).scenario()


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = rng = Random(seed)
        self.theme = rng.choices(list(THEMES), list(THEMES.values()))[0]
        self.long = self.theme in ("restart",)
        self.asked = 0
        self.only_vllm = False

    def one(self, items: Sequence[Item]) -> Item:
        return self.rng.choice(items)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def scenario(self) -> Scenario:
        habits = self.habits()
        settings = self.settings(habits)
        for one in settings.replica:
            if one.engine is None:  # while the gateway does not know which it is, it takes an event for a token
                habits[one.name].fuse = 1
                self.only_vllm = False
        scenario = Scenario(self.seed, self.theme, self.temper(), settings, habits, self.clients(settings))
        scenario.slow_disk = self.one((0.0, 0.0, 0.0, 1.5))
        getattr(self, f"acts_{self.theme}", lambda scenario: None)(scenario)
        scenario.acts.sort(key=lambda act: act.at)
        if self.theme == "clients" and Random(f"slow {self.seed}").random() < _SLOW:
            self.make_slow(scenario)
        self.spool(scenario, Random(f"spool {self.seed}"))
        return scenario

    @staticmethod
    def spool(scenario: Scenario, rng: Random) -> None:
        """In some runs who is slow has its answer from a file; where nothing may fail, it is large enough.  Then lines
        hold little, and many clients sleep."""
        if rng.random() >= _SPOOLED:
            return
        temper = scenario.temper
        scenario.temper = Temper(temper.latency, temper.piece, 1500, rng.choice((100, 500)), temper.busy)
        for _, manner in scenario.clients:
            if manner.slow is None and manner.naps is None and rng.random() < 0.6:
                sleep = rng.choice((1.2, 1.2, 2.5, 4.0))
                patient = (
                    sleep < scenario.settings.timeouts.client_stall
                )  # else it is given up, and that is another story
                manner.naps = (rng.randint(1, 3000), sleep if patient else 1.2)
        good = scenario.theme in GOOD or scenario.theme == "restart"
        limits = dataclasses.replace(
            scenario.settings.limits,
            slow_client="spool",
            client_read_rate=rng.choice((2_000, 1 << 30)),
            client_read_time=rng.choice((0.1, 0.5)),
            spool_bytes=1 << 24 if good else rng.choice((1_000, 20_000, 1 << 24)),
            spool_total_bytes=1 << 24 if good else rng.choice((2_000, 40_000, 1 << 24)),
        )
        scenario.settings = dataclasses.replace(scenario.settings, limits=limits)
        for act in scenario.acts:
            if isinstance(act.more, Settings):
                act.more = dataclasses.replace(act.more, limits=limits)
        if not good and rng.random() < 0.2:
            scenario.full_disk = rng.choice((0, 3_000, 30_000))

    def make_slow(self, scenario: Scenario) -> None:
        """Long streams for clients who sleep amid them for longer than an engine may, on lines that hold little."""
        scenario.theme = "slow"
        scenario.temper = Temper(scenario.temper.latency, (0, 0), 1500, 500)
        for habits in scenario.habits.values():
            habits.faults, habits.gap, habits.fuse = {}, (0.0, 0.001), 1
        settings = scenario.settings
        scenario.settings = dataclasses.replace(
            settings,
            replica=tuple(dataclasses.replace(one, max_in_flight=0, models=("m",)) for one in settings.replica),
            timeouts=dataclasses.replace(settings.timeouts, first_byte=30.0, stall=1.5, total=90.0, client_stall=5.0),
            queue=QueueSettings(),
        )
        scenario.clients = [self.slow_client(f"{self.seed}-{index}", index) for index in range(len(scenario.clients))]

    @staticmethod
    def slow_client(id: str, index: int) -> tuple[list[Call], Manner]:
        """Every second one sleeps at the very end of a stream that is ended by a close."""
        path, version = "/v1/completions", 1 - index % 2
        document = {"model": "m", "prompt": f"{id} ready", "max_tokens": 400, "stream": True}
        body = orjson.dumps(document)
        asked = Question(path, document)
        at = 2000 * (index + 1)
        if not version:
            at = sum(len(piece.data) for piece in stream_of(asked, PROFILES["vllm"], f"cmpl-{id}-e0"))
        lines = f"host: gw\r\nx-request-id: {id}\r\ncontent-length: {len(body)}\r\n\r\n"
        wire = f"POST {path} HTTP/1.{version}\r\n{lines}".encode() + body
        return [Call(id, wire, path, asked, body)], Manner(starts_at=0.5, naps=(at, 3.0))

    def temper(self) -> Temper:
        rng = self.rng
        latency = self.one(((0.0001, 0.0005), (0.0002, 0.002), (0.001, 0.03)))
        piece = self.one(((0, 0), (0, 0), (1, 2000), (1, 60), (1, 9)))
        window = self.one((65536, 65536, 8192, 1500))
        busy = self.one(((0.0, 0.0), (0.0, 0.0), (0.2, 0.01), (0.05, 0.3)))
        if rng.random() < 0.1:
            latency = (0.0, 0.0)
        return Temper(latency, piece, window, self.one((32768, 32768, 2048, 500)), busy)

    # -- engines, settings -----------------------------------------------------------------------------------

    def habits(self) -> dict[str, Habits]:
        rng, theme = self.rng, self.theme
        count = 1 if theme == "restart" and self.chance(0.6) else self.one((1, 2, 2, 3))
        if theme in ("hidden", "heal"):
            count = self.one((2, 2, 3) if theme == "hidden" else (2, 3, 3))
        made = {}
        for index in range(count):
            habits = Habits(
                profile=self.one(("vllm", "vllm", "sglang", "llamacpp")),
                models=("m",) if index == 0 or self.chance(0.7) else ("m", "n"),
                prefill=self.one(((0.0, 0.0), (0.005, 0.05), (0.05, 0.5))),
                gap=self.one(((0.0, 0.0), (0.001, 0.02), (0.01, 0.1))),
                idle_s=self.one((5.0, 5.0, 60.0, 0.3, 0.05)),
                metrics=self.chance(0.2),
            )
            if theme in ("engines", "storm"):
                habits.faults = self.faults(FAULTS, rng.choice((0.2, 0.5, 0.9)))
            elif theme == "heal" and index:
                habits.faults = self.faults((*BREAKS, *HIDEABLE), rng.choice((0.5, 1.0)))
            elif theme == "hidden" and index:
                habits.faults = self.faults(HIDEABLE, rng.choice((0.3, 1.0)))
            elif theme in ("clients", "drain", "reload", "time") and self.chance(0.3):
                habits.faults = self.faults(self.one((HIDEABLE, STREAM_ENDS, FRAMING, OTHER)), 0.2)
            if habits.profile == "vllm":
                habits.fuse = self.one((1, 1, 2, 3))
            elif theme == "heal" and not index:
                habits.profile = "sglang"  # another one continues no chat
            made[f"e{index}"] = habits
        self.only_vllm = all(habits.profile == "vllm" for habits in made.values())
        return made

    def faults(self, names: Sequence[str], share: float) -> dict[str, float]:
        some = self.rng.sample(names, min(len(names), self.rng.randint(1, 6)))
        return dict.fromkeys(some, share / len(some))

    def settings(self, habits: dict[str, Habits]) -> Settings:
        theme = self.theme
        good = theme in GOOD
        patient = good or theme == "restart"
        probe = self.one((1.0, 2.0, 5.0)) if patient or self.chance(0.8) else 0.0
        wait = 60.0 if patient else self.one((0.0, 1.0, 8.0))
        timeouts = Timeouts(
            connect=self.one((0.5, 2.0)),
            first_byte=30.0 if patient else self.one((2.0, 5.0)),
            stall=1.5 if theme == "heal" else 20.0 if patient else self.one((1.5, 4.0)),
            total=90.0 if patient else self.one((6.0, 12.0, 0.0)),
            client_header=max(
                self.one((2.0, 5.0)), 30.0 if patient else 0.0
            ),  # it bounds silence before the first, too
            client_body=self.one((3.0, 6.0)),
            client_stall=self.one((2.0, 5.0)) if not good else 30.0,
            keepalive=self.one((1.0, 3.0)) if not patient else 30.0,
            drain=self.one((0.0, 0.5, 5.0)),
        )
        replicas = tuple(self.replica(name, index, known=habits[name], good=good) for index, name in enumerate(habits))
        return Settings(
            listen=("tcp:8080",),
            admin="none",
            policy=Random(f"policy {self.seed}").choice(sorted(POLICIES)),
            replica=replicas,
            model=(ModelSettings(name="m", aliases=("alias",), ping=self.one((0.0, 0.3, 0.5))),),
            timeouts=timeouts,
            health=HealthSettings(probe_interval=probe, probe_timeout=1.0, slow_start=self.one((0.0, 2.0))),
            breaker=BreakerSettings(enabled=self.chance(0.8), failures=self.one((2, 5)), open=1.0, open_max=4.0),
            retry=Retry(
                attempts=10 if patient else self.one((1, 2, 3)),
                backoff=self.one((0.0, 0.025, 0.2)),
                resend_reused=patient or self.chance(0.8),
            ),
            queue=QueueSettings(
                wait_down=wait, wait_busy=wait, max_requests=1024 if patient else self.one((0, 2, 1024, 1024))
            ),
            hedge=HedgeSettings(enabled=self.chance(0.15), budget=1.0),
            limits=Limits(reactor_lag=0.0),  # the simulated clock leaps
            heal=HealSettings(mode=self.heal_mode()),
        )

    def heal_mode(self) -> Literal["exact", "text", "auto", "off"]:
        """Where streams have to be healed, in a way that can be."""
        if self.theme == "heal":
            return self.one(("auto", "auto", "text", "exact" if self.only_vllm else "text"))
        return self.one(("auto", "auto", "text", "exact", "off"))

    def replica(self, name: str, index: int, *, known: Habits, good: bool) -> ReplicaSettings:
        host = f"{name}.test" if self.chance(0.15) else f"10.0.0.{index + 1}"
        return ReplicaSettings(
            url=f"http://{host}:8000",
            name=name,
            engine=known.profile if self.chance(0.3) or self.theme == "heal" else None,  # type: ignore[arg-type]
            models=known.models if (good and not index) or self.chance(0.3) else (),
            max_in_flight=0 if good and index == 0 else self.one((0, 0, 1, 3)),
            on_client_gone=self.one(("cancel", "cancel", "drain")),
        )

    # -- clients ---------------------------------------------------------------------------------------------

    def clients(self, settings: Settings) -> list[tuple[list[Call], Manner]]:
        count = self.one((2, 3, 5, 8))
        return [self.client(settings) for _ in range(count)]

    def client(self, settings: Settings) -> tuple[list[Call], Manner]:
        rng, theme = self.rng, self.theme
        manner = Manner(starts_at=rng.uniform(0.0, 1.5))
        odd = theme in ("clients", "storm") or (theme in ("drain", "time", "reload") and self.chance(0.3))
        calls = [self.call(odd=odd) for _ in range(self.one((1, 2, 4)))]
        if self.chance(0.3):
            manner.pipelined = 3
        if odd or self.chance(0.2):
            manner.cut, manner.drip = self.one(((0, 0.0), (7, 0.0), (300, 0.002), (40, 0.0005)))
        if odd:
            how = self.one(("stays", "leaves", "leaves", "reads", "reads", "naps", "cut", "stops"))
            if how == "leaves":
                manner.leaves_after, manner.leaves_at = self.one(
                    ((rng.uniform(0.0, 0.5), None), (rng.uniform(0.5, 3.0), None), (None, rng.randint(1, 3000)))
                )
                manner.rudely = self.chance(0.4)
            elif how == "reads":
                manner.slow = self.one(((100, 0.01), (1000, 0.1), (10, 0.05)))
                if any(call.asked is not None and call.asked.count > 100 for call in calls):
                    manner.slow = (1000, 0.1)
            elif how == "naps":
                manner.naps = (rng.randint(1, 2000), self.one((0.5, 3.0, 10.0)))
            elif how == "cut":
                manner.cut_after = rng.uniform(0.0, 3.0)
            elif how == "stops":
                self.stops_asking(calls, manner)
        return calls, manner

    def stops_asking(self, calls: list[Call], manner: Manner) -> None:
        """The last request never comes whole, or so slowly that it is not waited for."""
        last = calls[-1]
        last.wire = last.wire[: self.rng.randrange(1, len(last.wire))]
        last.expected = (*last.expected, 408, 503)
        manner.leaves_after = 20.0

    def call(self, *, odd: bool) -> Call:
        self.asked += 1
        id = f"{self.seed}-{self.asked}"
        if odd and self.chance(0.2):
            return self.odd_call(id)
        path = self.rng.choices(
            ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"),
            (6, 3, self.theme != "heal", self.theme != "heal"),
        )[0]
        document = self.document(path)
        body = orjson.dumps(document)
        version = "1.0" if odd and self.chance(0.1) else "1.1"
        lines = [f"POST {path} HTTP/{version}", "host: gw", "content-type: application/json", f"x-request-id: {id}"]
        patience = 0.0
        if odd and self.chance(0.1):
            patience = self.one((0.5, 2.0))
            lines.append(f"x-request-timeout: {patience}")
        if odd and self.chance(0.1):
            lines.append("x-aibrix-priority: low")
        chunked = odd and version == "1.1" and self.chance(0.15)
        if chunked:
            lines.append("transfer-encoding: chunked")
            half = len(body) // 2
            sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
        else:
            lines.append(f"content-length: {len(body)}")
            sent = body
        wire = ("\r\n".join(lines) + "\r\n\r\n").encode() + sent
        stateful = path == "/v1/responses" and document.get("store") is not False
        asked = Question(path, document)
        gap = self.one((0.0, 0.0, self.rng.uniform(0.0, 1.0), self.rng.uniform(0.0, 4.5)))
        return Call(id, wire, path, asked, body, gap=gap, stateful=stateful, patience=patience)

    def document(self, path: str) -> dict[str, Any]:
        rng = self.rng
        chosen = rng.choices(WORDS, k=rng.choice((1, 4, 20)))
        if self.only_vllm and self.chance(0.5):
            chosen[0] = SCRIPT
        elif chosen[0] == SCRIPT:  # engines that do not say which tokens they made are believed an event to be one
            chosen[0] = WORDS[0]
        words = " ".join(chosen)
        document: dict[str, Any] = {"model": self.one(("m", "m", "m", "alias"))}
        if path == "/v1/chat/completions":
            document["messages"] = [{"role": "user", "content": words}]
        else:
            document["prompt" if path == "/v1/completions" else "input"] = words
        if path != "/v1/embeddings":
            document["max_tokens"] = rng.choices(
                (1, 4, 12, 30, 400), (2, 6, 6, 3, 1 if self.theme != "restart" else 0)
            )[0]
            if self.theme == "heal" or self.chance(0.6):  # else what hangs amid an answer is not hidden
                document["stream"] = True
                if self.chance(0.4) and path != "/v1/responses":
                    document["stream_options"] = {"include_usage": True}
            if self.chance(0.1) and path != "/v1/responses" and self.theme != "heal":
                document["n"] = 2
            if self.chance(0.5):
                document["temperature"] = 0
            if self.chance(0.1) and path != "/v1/responses":
                document["return_token_ids"] = False
        if path == "/v1/responses" and (self.theme in GOOD or self.theme == "restart"):
            document["store"] = False
        return document

    def odd_call(self, id: str) -> Call:
        """What no engine is asked."""
        kind, path, expected = self.one(
            (
                ("GET", "/v1/models", 200), ("GET", "/healthz", 200), ("GET", "/nowhere", 404), ("OPTIONS", "/v1/models", 204),
                ("DELETE", "/v1/completions", 405), ("POST", "unknown model", 404), ("POST", "bad json", 400),
                ("POST", "gzip", 415), ("POST", "no method", 400),
            )
        )  # fmt: skip
        lines, body = [f"x-request-id: {id}", "host: gw"], b""
        if path == "unknown model":
            body = b'{"model":"nobody","messages":[]}'
        elif path == "bad json":
            body = b'{"model":'
        elif path == "gzip":
            body, lines = b"\x1f\x8b", [*lines, "content-encoding: gzip"]
        if path == "no method":
            return Call("", b"\x16\x03\x01 hello\r\n\r\n", path, expected=(400,))
        target = "/v1/chat/completions" if kind == "POST" else path
        lines.append(f"content-length: {len(body)}")
        wire = f"{kind} {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        # while some replica has yet to say what it serves, a name that nobody knows may be one of its models
        more = (429, 503, 504) if path == "unknown model" else (503,)
        return Call(id, wire.encode() + body, target, expected=(expected, *more), gap=self.rng.uniform(0.0, 0.5))

    # -- acts ------------------------------------------------------------------------------------------------

    def acts_restart(self, scenario: Scenario) -> None:
        """Engines die, one after the other, and come back."""
        at = 0.5
        for _ in range(self.one((1, 2, 3))):
            at += self.rng.uniform(0.1, 1.5)
            whom = self.one(list(scenario.habits))
            if self.chance(0.4):
                scenario.acts.append(Act(at, "engine", whom, "stopping"))
                at += self.rng.uniform(0.05, 0.6)
            scenario.acts.append(Act(at, "engine", whom, "down"))
            at += self.rng.uniform(0.3, 6.0)
            scenario.acts.append(Act(at, "engine", whom, "up"))

    def acts_engines(self, scenario: Scenario) -> None:
        """One of them may be away for a while, in any way."""
        for whom in scenario.habits:
            if self.chance(0.5):
                at = self.rng.uniform(0.2, 3.0)
                mode = self.one(("down", "deaf", "hung", "stopping"))
                scenario.acts.append(Act(at, "engine", whom, mode))
                scenario.acts.append(Act(at + self.rng.uniform(0.2, 8.0), "engine", whom, "up"))
        for _ in range(self.one((0, 2, 5))):
            scenario.acts.append(Act(self.rng.uniform(0.2, 5.0), self.one(("cut", "stall", "stall"))))

    def acts_drain(self, scenario: Scenario) -> None:
        """SIGTERM amid it all; some people send it twice."""
        at = self.rng.uniform(0.1, 4.0)
        scenario.acts.append(Act(at, "terminate"))
        if self.chance(0.15):
            scenario.acts.append(Act(at + self.rng.uniform(0.01, 1.0), "terminate"))

    def acts_reload(self, scenario: Scenario) -> None:
        """The settings change, the fleet too, by the file and by hand."""
        settings, at = scenario.settings, 0.0
        for _ in range(self.one((1, 3, 6))):
            at += self.rng.uniform(0.1, 1.2)
            how = self.one(("file", "file", "bad file", "drain", "eject", "add", "register", "remove"))
            whom = self.one(list(scenario.habits))
            if how == "file":
                scenario.acts.append(Act(at, "reload", more=self.changed(settings)))
            elif how == "bad file":
                scenario.acts.append(Act(at, "bad reload"))
            elif how in ("drain", "eject"):
                scenario.acts.append(Act(at, how, whom, True))
                scenario.acts.append(Act(at + self.rng.uniform(0.1, 3.0), how, whom, False))
            else:
                scenario.acts.append(Act(at, how, f"extra-{whom}", f"http://10.0.0.{int(whom[1:]) + 1}:8000"))
        scenario.acts.append(Act(at + 3.0, "reload", more=settings))

    def changed(self, settings: Settings) -> Settings:
        rng = self.rng
        replicas = [
            dataclasses.replace(one, weight=rng.choice((1.0, 2.0)), max_in_flight=rng.choice((0, 1, 4)))
            for one in settings.replica
            if self.chance(0.8)
        ]
        return dataclasses.replace(
            settings,
            replica=tuple(replicas),
            policy=self.one(("least-request", "round-robin", "random")),
            queue=dataclasses.replace(settings.queue, max_requests=self.one((0, 1, 1024))),
            timeouts=dataclasses.replace(settings.timeouts, keepalive=self.one((0.5, 3.0))),
        )

    def acts_time(self, scenario: Scenario) -> None:
        """The machine stands still, or its clock jumps."""
        for _ in range(self.one((1, 2, 4))):
            seconds = self.one((0.3, 2.0, 20.0))
            scenario.acts.append(Act(self.rng.uniform(0.1, 5.0), self.one(("freeze", "jump")), more=seconds))
        if self.chance(0.3):
            scenario.acts.append(Act(self.rng.uniform(0.1, 5.0), "set clock", more=self.one((-3600.0, 3600.0))))

    def acts_storm(self, scenario: Scenario) -> None:
        """All at once."""
        self.acts_engines(scenario)
        if self.chance(0.5):
            self.acts_reload(scenario)
        if self.chance(0.3):
            self.acts_time(scenario)
        if self.chance(0.3):
            self.acts_drain(scenario)
