"""Every setting there is, with its default.  One frozen dataclass a section of the configuration file.

Seconds and bytes, unless a name says otherwise.  The constraints are read by L{aibrix_twisted.service.config.load}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, MinLen

Seconds = Annotated[float, Gt(0), Le(86400 * 365)]
SecondsOrNone = Annotated[float, Ge(0), Le(86400 * 365)]
Name = Annotated[str, MinLen(1)]

Engine = Literal["vllm", "sglang", "trtllm", "llamacpp", "openai"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """C{[[replica]]}: one engine process.

    @ivar url: C{http://host[:port][/prefix]}.
    @ivar name: unique; C{host:port} where empty.
    @ivar engine: C{None}: told by its C{/v1/models}.
    @ivar models: what it serves; empty: asked of it.
    @ivar api_key_file: its first line is sent as a bearer token.
    @ivar forward_authorization: the client's own C{authorization} goes to it, where no key of ours does.
    @ivar on_client_gone: C{cancel} closes the engine's connection; C{drain} reads the answer to its end.
    @ivar force_usage: usage is asked for in streams whose client did not; C{None}: by engine.
    """

    url: Name
    name: str = ""
    engine: Engine | None = None
    models: tuple[Name, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    api_key_file: str = ""
    forward_authorization: bool = False
    on_client_gone: Literal["cancel", "drain"] = "cancel"
    force_usage: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """C{[[model]]}: what is wanted of one model, whichever replicas serve it.

    @ivar policy: empty: the default one.
    """

    name: Name
    aliases: tuple[Name, ...] = ()
    policy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """C{[timeouts]}, met up to half a second late.

    @ivar connect: to a replica, for each address it has.
    @ivar first_byte: from the request's sending to the first byte of an answer's body.
    @ivar stall: between two reads of an answer, while the client takes it.
    @ivar total: of an exchange; 0: no bound.
    @ivar client_header: for a whole head.
    @ivar client_body: for a whole body.
    @ivar client_stall: a client that takes nothing of its answer.
    @ivar keepalive: an idle client.
    @ivar drain: on SIGTERM, for what is under way.
    """

    connect: Seconds = 5.0
    first_byte: Seconds = 600.0
    stall: Seconds = 120.0
    total: SecondsOrNone = 3600.0
    client_header: Seconds = 10.0
    client_body: Seconds = 60.0
    client_stall: Seconds = 60.0
    keepalive: Seconds = 75.0
    drain: SecondsOrNone = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """C{[retry]}: before anything of an answer went to the client.

    @ivar attempts: in all; a refused connect is none.
    @ivar resend_reused: once more where a connection that had served before died unheard.
    @ivar budget: retries as a share of requests, over ten seconds; 64 are always allowed.
    """

    attempts: Annotated[int, Ge(1), Le(100)] = 3
    resend_reused: bool = True
    budget: Annotated[float, Ge(0), Le(1)] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogSettings:
    """C{[access_log]}.

    @ivar path: C{-} is the standard output, empty is off.
    """

    path: str = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """C{[limits]}.

    @ivar header_bytes: of a whole head.
    @ivar headers: lines of a head.
    @ivar body_bytes: of a request.
    @ivar answer_bytes: up to which an answer that is no stream is gathered before its head goes out.
    @ivar connections: clients at once; never more than 0.45 of the process's file descriptors.
    @ivar connections_per_address: 0: no bound.
    @ivar client_min_rate: bytes per second of a request's body, after 5 s of grace.
    """

    header_bytes: Annotated[int, Ge(1024), Le(1 << 20)] = 32768
    headers: Annotated[int, Ge(8), Le(10000)] = 100
    body_bytes: Annotated[int, Ge(1024)] = 33554432
    answer_bytes: Annotated[int, Ge(0)] = 8388608
    connections: Annotated[int, Ge(1)] = 20000
    connections_per_address: Annotated[int, Ge(0)] = 0
    client_min_rate: Annotated[int, Ge(0)] = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file.

    @ivar listen: Twisted endpoint strings.
    @ivar admin: one too, or C{none}.
    @ivar policy: the default one.
    @ivar store: C{memory:} is the only one yet.
    """

    #: For the reader: nothing unknown, nothing taken for something else.  It holds for the sections, too.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    listen: Annotated[tuple[Name, ...], MinLen(1)] = ("tcp:8080",)
    admin: Name = "tcp:9090:interface=127.0.0.1"
    policy: Name = "least-request"
    store: Literal["memory:"] = "memory:"
    replica: tuple[ReplicaSettings, ...] = ()
    model: tuple[ModelSettings, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: Retry = field(default_factory=Retry)
    access_log: AccessLogSettings = field(default_factory=AccessLogSettings)
    limits: Limits = field(default_factory=Limits)
