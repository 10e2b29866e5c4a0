"""A replica: one running engine process at one URL, what is asked of it, and the right to count there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.engine_trend import EngineTrend
from aibrix_twisted.domain.health import Health
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings, ReplicaTlsSettings


class LeaseReleased(Exception):
    """A lease was released a second time: a defect of ours, for the count would be wrong from then on."""


class Cell(Protocol):
    """A place for one number, number 0."""

    def __setitem__(self, at: int, value: int, /) -> None:
        """Put it there."""
        ...


class ReplicaLoad:
    """What is under way at a replica: by our own counts, and by its engine's.

    @ivar in_flight: attempts of this process that hold a lease now.
    @ivar elsewhere: those of its peers, as of the last look at what they say; 0 where it has none.
    @ivar cell: where its peers look: a place for one number.
    @ivar by_model: the same by model, never below 0.
    @ivar leased: leases given since the start.
    @ivar engine: what the engine said last, however long ago.
    @ivar trend: what its counters did of late.
    @ivar restarts: how often the engine's counters have begun anew: what it had in its cache is gone.
    """

    __slots__ = (
        "_leased_then",
        "_stale_s",
        "by_model",
        "cell",
        "elsewhere",
        "engine",
        "in_flight",
        "leased",
        "restarts",
        "trend",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.elsewhere = 0
        self.cell: Cell | None = None
        self.by_model: dict[str, int] = {}
        self.leased = 0
        self.engine: EngineLoad | None = None
        self.trend = EngineTrend()
        self.restarts = 0
        self._stale_s = 0.0
        self._leased_then = 0

    def read(self, engine: EngineLoad, stale_s: float) -> None:
        """The engine said something.

        @param stale_s: for how long that counts.
        """
        self.engine = engine
        self.trend.read(engine)
        self.restarts = self.trend.restarts
        self._stale_s = stale_s
        self._leased_then = self.leased

    def fresh_engine(self, now: float) -> EngineLoad | None:
        """What the engine said, where that is not too long ago."""
        engine = self.engine
        return engine if engine is not None and now - engine.at <= self._stale_s else None

    @property
    def since_read(self) -> int:
        """Leases given since the engine said something: it cannot have counted them."""
        return self.leased - self._leased_then

    def strangers(self, now: float) -> int:
        """Requests that the engine says it has, and that are not ours: other clients', or work that it has not let go
        of though its client is gone.  0 where nothing fresh is known."""
        engine = self.fresh_engine(now)
        if engine is None or engine.running is None:
            return 0
        extra = int(engine.running + (engine.waiting or 0)) - self.in_flight - self.elsewhere
        return extra if extra > 0 else 0

    def recount(self, by_model: Mapping[str, int]) -> None:
        """Take these for the attempts that are under way: they were found to be, and were counted otherwise."""
        self.by_model = {**dict.fromkeys(self.by_model, 0), **by_model}
        self.in_flight = sum(by_model.values())
        self.show()

    def show(self) -> None:
        """To the peers."""
        if self.cell is not None:
            self.cell[0] = self.in_flight

    def lease(self, model: str) -> Lease:
        """Count one attempt from now, before it is sent, until the lease is released."""
        self.in_flight += 1
        if self.cell is not None:
            self.cell[0] = self.in_flight
        self.leased += 1
        self.by_model[model] = self.by_model.get(model, 0) + 1
        return Lease(self, model)


class Lease:
    """The right to count as in flight on a replica.  Released once, by C{settle}."""

    __slots__ = ("_load", "_model")

    def __init__(self, load: ReplicaLoad, model: str) -> None:
        self._load: ReplicaLoad | None = load
        self._model = model

    def release(self) -> None:
        """Give it back.

        @raise LeaseReleased: it already was.
        """
        load, self._load = self._load, None
        if load is None:
            raise LeaseReleased(self._model)
        load.in_flight -= 1
        if load.cell is not None:
            load.cell[0] = load.in_flight
        load.by_model[self._model] -= 1


def _new_health() -> Health:
    return Health(HealthSettings(), BreakerSettings())


@dataclass(slots=True, eq=False)
class Replica:
    """One engine process, as the gateway knows it.  It lives as long as its URL is configured.

    @ivar name: unique; said in C{x-aibrix-replica}.
    @ivar host: a name or an address, IPv6 without brackets.
    @ivar prefix: the URL's path without a trailing slash, put before each request's own.
    @ivar authority: the C{Host} it is spoken to with.
    @ivar engine: C{vllm}, C{sglang}, C{trtllm}, C{llamacpp}, C{openai}, or C{""} while not yet detected.
    @ivar weight: its share of the traffic beside others of the same model.
    @ivar max_in_flight: attempts that it is given at once; 0: no bound.
    @ivar source: who says that it is there.
    @ivar models: served model names; C{None} while not yet known.
    @ivar authorization: the C{Authorization} value sent to it, if it has a key.
    @ivar drains: a request whose client left is read to its end instead of cancelled.
    @ivar force_usage: C{None}: by engine.
    @ivar tls: how it is spoken to; C{None}: without TLS.
    @ivar seen_done: it has ended a stream with C{[DONE]} before, so that one without is not whole.
    @ivar last_error: the newest failure, for people.
    """

    name: str
    url: str
    host: str
    port: int
    authority: bytes
    prefix: bytes = b""
    engine: str = ""
    weight: float = 1.0
    max_in_flight: int = 0
    source: str = "static"
    models: tuple[str, ...] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    authorization: bytes | None = None
    forward_authorization: bool = False
    drains: bool = False
    force_usage: bool | None = None
    tls: ReplicaTlsSettings | None = None
    seen_done: bool = False
    last_error: str = ""
    load: ReplicaLoad = field(default_factory=ReplicaLoad)
    health: Health = field(default_factory=_new_health)

    @property
    def up(self) -> bool:
        """Requests may be sent to it: its models are known, and it is neither down nor draining."""
        return self.models is not None and self.health.standing

    def has_room(self, now: float, engine_waiting: int) -> bool:
        """It may be given one more.

        @param engine_waiting: how many may wait inside its engine; 0: as many as there are.
        """
        if self.max_in_flight and self.load.in_flight + self.load.elsewhere >= self.max_in_flight:
            return False
        if not self.health.is_free(now):
            return False
        if engine_waiting:
            engine = self.load.fresh_engine(now)
            if engine is not None and engine.waiting is not None:
                return engine.waiting + self.load.since_read < engine_waiting
        return True

    @property
    def done_required(self) -> bool:
        """A stream of this engine is whole only with its C{[DONE]}."""
        return self.seen_done or self.engine in ENDS_WITH_DONE

    @property
    def says_ids(self) -> bool:
        """It can be asked which tokens the events of a stream stand for."""
        return self.engine == "vllm"

    @property
    def forces_usage(self) -> bool:
        """C{stream_options.include_usage} is asked of it for clients that did not."""
        return self.engine in ENDS_WITH_DONE if self.force_usage is None else self.force_usage


#: Engines whose servers end each OpenAI stream with C{[DONE]} and know C{stream_options}.  Others may be anything.
ENDS_WITH_DONE = frozenset({"vllm", "sglang", "trtllm", "llamacpp"})
