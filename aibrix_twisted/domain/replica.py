"""A replica: one running engine process at one URL, what is asked of it, and the right to count there."""

from __future__ import annotations

from dataclasses import dataclass, field


class LeaseReleased(Exception):
    """A lease was released a second time: a defect of ours, for the count would be wrong from then on."""


class ReplicaLoad:
    """What we ourselves have under way at a replica.

    @ivar in_flight: attempts that hold a lease now.
    @ivar by_model: the same by model, never below 0.
    @ivar leased: leases given since the start.
    """

    __slots__ = ("by_model", "in_flight", "leased")

    def __init__(self) -> None:
        self.in_flight = 0
        self.by_model: dict[str, int] = {}
        self.leased = 0

    def lease(self, model: str) -> Lease:
        """Count one attempt from now, before it is sent, until the lease is released."""
        self.in_flight += 1
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
        load.by_model[self._model] -= 1


@dataclass(slots=True, eq=False)
class Replica:
    """One engine process, as the gateway knows it.  It lives as long as its URL is configured.

    @ivar name: unique; said in C{x-aibrix-replica}.
    @ivar host: a name or an address, IPv6 without brackets.
    @ivar prefix: the URL's path without a trailing slash, put before each request's own.
    @ivar authority: the C{Host} it is spoken to with.
    @ivar engine: C{vllm}, C{sglang}, C{trtllm}, C{llamacpp}, C{openai}, or C{""} while not yet detected.
    @ivar models: served model names; C{None} while not yet known.
    @ivar authorization: the C{Authorization} value sent to it, if it has a key.
    @ivar drains: a request whose client left is read to its end instead of cancelled.
    @ivar force_usage: C{None}: by engine.
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
    models: tuple[str, ...] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    authorization: bytes | None = None
    forward_authorization: bool = False
    drains: bool = False
    force_usage: bool | None = None
    seen_done: bool = False
    last_error: str = ""
    load: ReplicaLoad = field(default_factory=ReplicaLoad)

    @property
    def up(self) -> bool:
        """It answered, or its models are configured, so that requests may be sent to it."""
        return self.models is not None

    @property
    def done_required(self) -> bool:
        """A stream of this engine is whole only with its C{[DONE]}."""
        return self.seen_done or self.engine in ENDS_WITH_DONE

    @property
    def forces_usage(self) -> bool:
        """C{stream_options.include_usage} is asked of it for clients that did not."""
        return self.engine in ENDS_WITH_DONE if self.force_usage is None else self.force_usage


#: Engines whose servers end each OpenAI stream with C{[DONE]} and know C{stream_options}.  Others may be anything.
ENDS_WITH_DONE = frozenset({"vllm", "sglang", "trtllm", "llamacpp"})
