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
class ReplicaTlsSettings:
    """C{[replica.tls]}: how a replica at an C{https://} URL is spoken to.  Files are in PEM.

    @ivar ca: the authorities that may vouch for it; empty: those that the system trusts.
    @ivar cert: the certificate that we show it, and after it those that lead to its authority; empty: none.
    @ivar key: that certificate's, without a passphrase.
    @ivar server_name: the name that it is asked for, and that its certificate has to be for; empty: the URL's host.
    @ivar insecure: its certificate is not verified, so that whoever stands between may read and change everything.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """C{[[replica]]}: one engine process.

    @ivar url: C{http[s]://host[:port][/prefix]}.
    @ivar name: unique; C{host:port} where empty.
    @ivar engine: where it is not set it is told by its C{/v1/models}.
    @ivar models: what it serves; empty: asked of it.
    @ivar weight: its share of the traffic beside others of the same model.
    @ivar max_in_flight: requests that it is given at once; 0: no bound.
    @ivar labels: for C{external-filter}, and for whoever reads the list of replicas.
    @ivar api_key_file: its first line is sent as a bearer token.
    @ivar forward_authorization: the client's own C{authorization} goes to it, where no key of ours does.
    @ivar on_client_gone: C{cancel} closes the engine's connection; C{drain} reads the answer to its end.
    @ivar force_usage: usage is asked for in streams whose client did not; not set: where its engine is
        known to understand that.
    @ivar tls: of an C{https://} URL; not set: by the defaults.
    """

    url: Name
    name: str = ""
    engine: Engine | None = None
    models: tuple[Name, ...] = ()
    weight: Annotated[float, Gt(0), Le(1000)] = 1.0
    max_in_flight: Annotated[int, Ge(0)] = 0
    labels: dict[str, str] = field(default_factory=dict)
    api_key_file: str = ""
    forward_authorization: bool = False
    on_client_gone: Literal["cancel", "drain"] = "cancel"
    force_usage: bool | None = None
    tls: ReplicaTlsSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """C{[model.profiles.NAME]}: how some requests for a model are routed: those whose C{config-profile} names it, or,
    where that is C{auto}, those that fit its bounds.

    @ivar policy: empty: as without a profile.
    @ivar prompt_tokens_gte: it is for prompts of so many tokens, of four bytes of text each, or more;
    @ivar prompt_tokens_lt: and of fewer than this.
    @ivar max_tokens_gte: and for answers that may have so many or more, as the request says;
    @ivar max_tokens_lt: and fewer than this.
    """

    policy: str = ""
    prompt_tokens_gte: Annotated[int, Ge(0)] | None = None
    prompt_tokens_lt: Annotated[int, Gt(0)] | None = None
    max_tokens_gte: Annotated[int, Ge(0)] | None = None
    max_tokens_lt: Annotated[int, Gt(0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SloSettings:
    """C{[model.slo]}: the objective of the C{slo} policies, in seconds; the first that is above 0 counts, in the order
    C{tpot} (with C{ttft} added), C{ttft}, C{tpat}, C{e2e}.

    @ivar tpot: for each token of an answer.
    @ivar ttft: to the first token.
    @ivar tpat: for each token of prompt and answer together.
    @ivar e2e: for the whole.
    """

    tpot: SecondsOrNone = 0.0
    ttft: SecondsOrNone = 0.0
    tpat: SecondsOrNone = 0.0
    e2e: SecondsOrNone = 0.0


Figures = tuple[Annotated[float, Ge(0)], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProfileSettings:
    """C{[[gpu_profile]]}: what replicas can do with a model, as it was measured; for the C{slo} policies.

    @ivar model: whose.
    @ivar replicas: which: a selector as in C{external-filter}; empty: all.
    @ivar output_tokens: ascending; a table has a row for each;
    @ivar prompt_tokens: ascending; and each row a figure for each.
    @ivar rates: requests a second that one replica does.
    @ivar e2e: seconds for a whole request.
    @ivar ttft: to its first token; empty: not known.
    """

    model: Name
    replicas: str = ""
    output_tokens: Annotated[Figures, MinLen(1)]
    prompt_tokens: Annotated[Figures, MinLen(1)]
    rates: tuple[Figures, ...]
    e2e: tuple[Figures, ...]
    ttft: tuple[Figures, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """C{[[model]]}: what is wanted of one model, whichever replicas serve it.

    @ivar name: as replicas serve it, or, with a C{split}, as clients call it.
    @ivar aliases: other names that clients may call it by.
    @ivar policy: how its replicas are chosen; empty: by the file's C{policy}.
    @ivar locked_policy: it is used whatever a request asks for; empty: requests may choose.
    @ivar profiles: by the names that C{config-profile} calls them.
    @ivar default_profile: of a request that names none; empty: the one called C{default}, where there is one.
    @ivar slo: of the C{slo} policies.
    @ivar fallbacks: models that are asked instead, in this order, while no replica of this one can serve.
    @ivar split: model to share; requests for this name are dealt out to those models by their shares.
    @ivar heal: as C{[heal] mode}, for this model; empty: that.
    @ivar ping: after so many seconds of waiting for a replica, and then as often, a client that asked for a stream is
        sent an SSE comment; its answer has then begun with status 200.  0: never.
    """

    name: Name
    aliases: tuple[Name, ...] = ()
    policy: str = ""
    locked_policy: str = ""
    profiles: dict[Name, ProfileSettings] = field(default_factory=dict)
    default_profile: str = ""
    slo: SloSettings | None = None
    fallbacks: tuple[Name, ...] = ()
    split: dict[Name, Annotated[float, Gt(0)]] = field(default_factory=dict)
    heal: Literal["", "auto", "exact", "text", "off"] = ""
    ping: SecondsOrNone = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """C{[timeouts]}: how long is waited for whom; met up to half a second late.

    @ivar connect: to a replica, for each address it has.
    @ivar first_byte: from the request's sending to the first byte of an answer's body.
    @ivar stall: between two reads of an answer, while the client takes it.
    @ivar total: of an exchange; 0: no bound.
    @ivar client_header: for a whole head, from its first byte; for the first one from when the client is there.
    @ivar client_body: for a whole body.
    @ivar client_body_idle: between two pieces of a body.
    @ivar client_stall: a client that takes nothing of its answer.
    @ivar keepalive: an idle client.
    @ivar keepalive_age: a client's connection that is older is closed after its answer.
    @ivar tls_handshake: a client's, from when it is there.
    @ivar drain: on SIGTERM, for what is under way.
    @ivar unready: of that time, for so long new connections are still taken while C{/readyz} says 503: for load
        balancers that ask it.
    """

    connect: Seconds = 5.0
    first_byte: Seconds = 600.0
    stall: Seconds = 120.0
    total: SecondsOrNone = 3600.0
    client_header: Seconds = 10.0
    client_body: Seconds = 60.0
    client_body_idle: Seconds = 15.0
    client_stall: Seconds = 60.0
    keepalive: Seconds = 75.0
    keepalive_age: Seconds = 3600.0
    tls_handshake: Seconds = 10.0
    drain: SecondsOrNone = 120.0
    unready: SecondsOrNone = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """C{[retry]}: a request is sent again, as long as nothing of an answer went to the client.

    @ivar attempts: in all; a refused connect is none.
    @ivar resend_reused: once more where a connection that had served before died unheard.
    @ivar budget: retries as a share of requests, over ten seconds; 64 are always allowed.
    @ivar backoff: before the first retry, doubled for each one after, with jitter; a refused connect needs none.
    @ivar backoff_max: and not longer than this.
    """

    attempts: Annotated[int, Ge(1), Le(100)] = 3
    resend_reused: bool = True
    budget: Annotated[float, Ge(0), Le(1)] = 0.2
    backoff: SecondsOrNone = 0.025
    backoff_max: SecondsOrNone = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """C{[health]}: is a replica there?

    @ivar probe_interval: 0: it is asked nothing but its models, once, and counts as up.
    @ivar probe_timeout: after which a probe has failed.
    @ivar fall: failed probes in a row that make it down.  A refused connect does so by itself.
    @ivar rise: good ones in a row that make it up again.
    @ivar slow_start: after a recovery its share of the traffic grows to the full one in this time; 0: at once.
    """

    probe_interval: SecondsOrNone = 5.0
    probe_timeout: Seconds = 2.0
    fall: Annotated[int, Ge(1), Le(100)] = 2
    rise: Annotated[int, Ge(1), Le(100)] = 1
    slow_start: SecondsOrNone = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """C{[breaker]}: does what is sent to a replica come back well?

    @ivar enabled: it may open.
    @ivar failures: in a row; more than half of the last 20 attempts open it, too.
    @ivar open: how long it stays open the first time; doubled, with jitter, each time that the one attempt which it
        then lets through fails.
    @ivar open_max: and not longer than this.
    """

    enabled: bool = True
    failures: Annotated[int, Ge(1), Le(10000)] = 5
    open: Seconds = 1.0
    open_max: Seconds = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSettings:
    """C{[hedge]}: a second attempt beside one that is late.  Streams only: nothing else shows when it is late.

    @ivar enabled: there are any.
    @ivar budget: as a share of requests, over ten seconds.
    """

    enabled: bool = False
    budget: Annotated[float, Ge(0), Le(1)] = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class HealSettings:
    """C{[heal]}: a stream whose replica failed after it had begun goes on from another one.

    @ivar mode: C{exact}: by tokens, which vLLM is asked to say with its events; C{text}: by the text that was
        delivered; C{auto}: exact where the engine can, else by text; C{off}: such a stream ends with an error.
    @ivar attempts: replicas that are asked to go on, for one stream.
    @ivar budget: streams that are continued, as a share of requests, over ten seconds; 256 are always allowed.
    @ivar max_bytes: kept of a stream; one that becomes longer is not continued.
    """

    mode: Literal["auto", "exact", "text", "off"] = "auto"
    attempts: Annotated[int, Ge(1), Le(100)] = 3
    budget: Annotated[float, Ge(0), Le(1)] = 0.05
    max_bytes: Annotated[int, Ge(0)] = 1048576


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """C{[queue]}: the waiting room, for requests that no replica can take now.

    @ivar wait_down: while no replica of the model is up; 0: never wait.
    @ivar wait_busy: while all that are up have as much as they may; 0: never wait.
    @ivar max_requests: that wait at once.
    @ivar max_bytes: of their bodies.
    @ivar engine_waiting: a replica has enough once this many requests wait inside its engine, as its own metrics say;
        0: these are not looked at.
    """

    wait_down: SecondsOrNone = 120.0
    wait_busy: SecondsOrNone = 10.0
    max_requests: Annotated[int, Ge(0)] = 1024
    max_bytes: Annotated[int, Ge(0)] = 268435456
    engine_waiting: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixCacheSettings:
    """C{[prefix_cache]}: what replicas are taken to have in their caches, for the policies that go by it.

    @ivar block_bytes: of a prompt's text; from the 1 025th block on they are twice as long, and so on.
    @ivar blocks: that are remembered for one model, each counted at each replica that has it.
    @ivar ttl: what was not used for so long is forgotten.
    @ivar imbalance: C{prefix-cache} looks only at the least loaded where loads differ by more than this.
    @ivar deviations: and at nobody whose load is above the mean by more than so many standard deviations.
    @ivar state_file: keeps what is known over a restart; empty: it is forgotten.
    """

    block_bytes: Annotated[int, Ge(4), Le(65536)] = 128
    blocks: Annotated[int, Ge(1), Le(100_000_000)] = 200_000
    ttl: Seconds = 1200.0
    imbalance: Annotated[float, Ge(0)] = 16.0
    deviations: Annotated[float, Ge(0)] = 2.0
    state_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightRecorderSettings:
    """C{[flight_recorder]}: what the last decisions of routing were made by, for C{aibrixctl explain}.

    @ivar size: decisions that are kept; 0: none.
    """

    size: Annotated[int, Ge(0), Le(1_000_000)] = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """C{[[discovery.dns]]}: a name whose records are replicas.

    @ivar name: a host's, whose every address is a replica; or a service's, such as C{_vllm._tcp.gpu.example.org}.
        In full: no search list is applied to it, and C{/etc/hosts} is not read.
    @ivar kind: which of the two.
    @ivar port: of a host's replicas; a service's records bring their own.
    @ivar servers: name servers, C{192.0.2.1:53} or C{[2001:db8::1]:53}; empty: those of C{/etc/resolv.conf}.
    @ivar min_ttl: it is asked again once what it said is over, but not sooner than this,
    @ivar max_ttl: and not later.
    @ivar engine: as in C{[[replica]]}, of each one that is found.
    @ivar models: likewise.
    @ivar labels: likewise.
    @ivar api_key_file: likewise.
    @ivar tls: not set: it is spoken to without TLS.  C{server_name} is the host's name where it is empty, or that of
        the service's target.
    """

    name: Name
    kind: Literal["host", "srv"] = "host"
    port: Annotated[int, Ge(1), Le(65535)] = 8000
    servers: tuple[Name, ...] = ()
    min_ttl: Seconds = 1.0
    max_ttl: Seconds = 300.0
    engine: Engine | None = None
    models: tuple[Name, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    api_key_file: str = ""
    tls: ReplicaTlsSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """C{[discovery]}: replicas that are not in this file.

    @ivar files: lists of replicas, watched; TOML or JSON by their names.
    @ivar dns: names whose records are replicas.
    @ivar state_file: keeps what the admin API added over a restart; empty: it is forgotten.
    """

    files: tuple[Name, ...] = ()
    dns: tuple[DnsSettings, ...] = ()
    state_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """C{[[tls.certificate]]}: files in PEM, read at the start and at each reload.

    @ivar cert: the certificate, and after it those that lead from it to its authority.
    @ivar key: its key, without a passphrase.
    @ivar chain: those that lead to its authority, where they are in a file of their own.
    """

    cert: Name
    key: Name
    chain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """C{[tls]}: towards clients, on the listeners named here, and on those of C{listen} and C{admin} that begin with
    C{ssl:}.

    @ivar listen: more endpoints, of any kind, on which TLS is spoken.
    @ivar certificate: the first is for clients that ask for no name, or for one that none of them has.
    @ivar min_version: of TLS.
    @ivar client_ca: authorities, in PEM, that may vouch for clients.
    @ivar client_auth: whether clients have to show a certificate; what they show is always verified.
    @ivar redirect: requests that come without TLS are sent to where it is spoken, but for C{/healthz} and C{/readyz}.
    @ivar redirect_port: there, as clients see it; 0: that of the first listener with TLS.
    @ivar hsts_max_age: seconds in which browsers are to come back with TLS only (RFC 6797); 0: they are told nothing.
    @ivar hsts_subdomains: that goes for names below ours, too.
    """

    listen: tuple[Name, ...] = ()
    certificate: tuple[CertificateSettings, ...] = ()
    min_version: Literal["1.2", "1.3"] = "1.2"
    client_ca: str = ""
    client_auth: Literal["none", "optional", "required"] = "none"
    redirect: bool = False
    redirect_port: Annotated[int, Ge(0), Le(65535)] = 0
    hsts_max_age: Annotated[int, Ge(0)] = 0
    hsts_subdomains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """C{[auth]}: who may ask.

    @ivar mode: C{none}: whoever reaches the listener may ask.
    @ivar trust_user_header: the C{user} header says whose a request is, for fairness in the waiting room.
    """

    mode: Literal["none"] = "none"
    trust_user_header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminAuthSettings:
    """C{[admin_auth]}: who may change something by the admin API.

    @ivar token_file: its first line is the bearer token that changes need where the admin listener can be reached from
        other hosts; empty: such changes are refused there.
    """

    token_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogSettings:
    """C{[access_log]}: a line of JSON for each exchange.

    @ivar path: C{-} is the standard output, empty is off; a file is opened anew at each reload.
    @ivar sample: the share that is logged of exchanges that went well and were not slow; all others always are.
    @ivar slow: to the first byte of an answer, from its request read whole; or until its end where there is none.
        What takes longer is slow; 0: nothing is.
    """

    path: str = "-"
    sample: Annotated[float, Ge(0), Le(1)] = 1.0
    slow: SecondsOrNone = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """C{[metrics]}: what C{/metrics} says beyond the usual.

    @ivar genai: those of OpenTelemetry's conventions for generative AI, too, beside ours: C{gen_ai_*}.
    """

    genai: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """C{[tracing]}: spans of exchanges, as OpenTelemetry has them.

    @ivar endpoint: of an OTLP/HTTP receiver, C{http[s]://host[:port][/path]}; without a path, C{/v1/traces}.  Empty is
        off.
    @ivar sample: share of the exchanges whose client says nothing of a trace; a C{traceparent} is believed instead.
    """

    endpoint: str = ""
    sample: Annotated[float, Ge(0), Le(1)] = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """C{[limits]}: what is refused, and how much is held at once.

    @ivar header_bytes: of a whole head.
    @ivar header_line_bytes: of each of its lines; the request line may have 8192.
    @ivar headers: lines of a head.
    @ivar body_bytes: of a request.
    @ivar json_depth: levels of a request's document.
    @ivar json_names: of members, in all objects of it together.
    @ivar json_number: characters of a number in it.
    @ivar choices: answers that one prompt may ask for (C{n}, C{best_of}).
    @ivar stops: members of C{stop}.
    @ivar grammar_bytes: of a regular expression or a grammar that an answer has to match.
    @ivar template_kwargs: C{chat_template_kwargs} and C{chat_template} are passed on, else refused.
    @ivar template_names: arguments that C{chat_template_kwargs} may have nevertheless, such as C{enable_thinking}, if
        each is true, false, a number, or a text of up to 64 characters.
    @ivar answer_bytes: up to which an answer that is no stream is gathered before its head goes out.
    @ivar connections: clients at once; never more than 0.45 of the process's file descriptors.
    @ivar connections_per_address: of these; 0: no bound.
    @ivar keepalive_requests: on one connection; it is closed after the last one's answer.
    @ivar in_flight: exchanges at once; 0: as many as there are connections.
    @ivar client_min_rate: bytes per second of a request's body, after 5 s of grace.
    @ivar client_read_rate: bytes per second at which a client has to take its answer, while there is more for it;
        0: as slowly as it likes.
    @ivar client_read_time: a client that was slower than that for so many seconds is too slow.
    @ivar slow_client: what becomes of it: it is cut off, or the rest of its answer goes into a file, out of which it is
        fed, so that the engine is freed.
    @ivar spool_bytes: of one such file.
    @ivar spool_total_bytes: of all of them together.  Whose answer is larger is cut off.
    @ivar spool_dir: where the files are, which have no names: on a disk, for what is in memory is none the freer.
    @ivar reactor_lag: seconds that turns of the reactor may be late before new requests are refused; 0: any.
    @ivar memory_bytes: of all buffers together; 0: a quarter of the machine's memory.
    """

    header_bytes: Annotated[int, Ge(1024), Le(1 << 20)] = 32768
    header_line_bytes: Annotated[int, Ge(256), Le(1 << 20)] = 16384
    headers: Annotated[int, Ge(8), Le(10000)] = 100
    body_bytes: Annotated[int, Ge(1024)] = 33554432
    json_depth: Annotated[int, Ge(1), Le(500)] = 64
    json_names: Annotated[int, Ge(1)] = 10_000
    json_number: Annotated[int, Ge(32), Le(4000)] = 64
    choices: Annotated[int, Ge(1)] = 16
    stops: Annotated[int, Ge(0)] = 16
    grammar_bytes: Annotated[int, Ge(0)] = 4096
    template_kwargs: bool = False
    template_names: tuple[Name, ...] = ()
    answer_bytes: Annotated[int, Ge(0)] = 8388608
    connections: Annotated[int, Ge(1)] = 20000
    connections_per_address: Annotated[int, Ge(0)] = 0
    keepalive_requests: Annotated[int, Ge(1)] = 1000
    in_flight: Annotated[int, Ge(0)] = 8192
    client_min_rate: Annotated[int, Ge(0)] = 240
    client_read_rate: Annotated[int, Ge(0)] = 0
    client_read_time: Seconds = 30.0
    slow_client: Literal["cut", "spool"] = "cut"
    spool_bytes: Annotated[int, Ge(65536)] = 67108864
    spool_total_bytes: Annotated[int, Ge(65536)] = 1073741824
    spool_dir: Name = "/var/tmp"
    reactor_lag: SecondsOrNone = 0.25
    memory_bytes: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file.

    @ivar listen: where clients connect: Twisted endpoint strings; may be empty where C{[tls]} has some.
    @ivar admin: where metrics, health and the admin API are: one too, or C{none}.
    @ivar policy: how replicas are chosen, where neither the request nor its model says.
    @ivar store: where shared state is kept; C{memory:} is the only one yet.
    """

    #: For the reader: nothing unknown, nothing taken for something else.  It holds for the sections, too.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    listen: tuple[Name, ...] = ("tcp:8080",)
    admin: Name = "tcp:9090:interface=127.0.0.1"
    policy: Name = "least-request"
    store: Literal["memory:"] = "memory:"
    replica: tuple[ReplicaSettings, ...] = ()
    model: tuple[ModelSettings, ...] = ()
    gpu_profile: tuple[GpuProfileSettings, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    health: HealthSettings = field(default_factory=HealthSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retry: Retry = field(default_factory=Retry)
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    heal: HealSettings = field(default_factory=HealSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    prefix_cache: PrefixCacheSettings = field(default_factory=PrefixCacheSettings)
    flight_recorder: FlightRecorderSettings = field(default_factory=FlightRecorderSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    admin_auth: AdminAuthSettings = field(default_factory=AdminAuthSettings)
    access_log: AccessLogSettings = field(default_factory=AccessLogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    limits: Limits = field(default_factory=Limits)
