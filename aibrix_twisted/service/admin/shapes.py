"""The documents of the admin API, as their readers may rely on them.

These declarations type the code that makes the documents, and C{/api/openapi.json} is made of them: each C{@ivar} is a
property's description there.  Seconds, unless a name says otherwise; C{None} (JSON: null) is for what is not known or
did not happen.  Nothing of a prompt, an answer or a key is in any of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import WithJsonSchema
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.attempt import Kind
from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.health import State
from aibrix_twisted.domain.live import LiveState

#: When something was, by the wall clock.
Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]

_STATES = [*(state.value for state in State), "leaving"]
ReplicaState = Annotated[str, WithJsonSchema({"type": "string", "enum": _STATES})]
Breaker = Annotated[str, WithJsonSchema({"type": "string", "enum": [state.value for state in BreakerState]})]
OutcomeLabel = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Outcome, "refused"]})]


class ErrorObject(TypedDict):
    """OpenAI's error object.

    @ivar message: a sentence for people.
    @ivar type: by the status.
    @ivar param: what of the request is at fault, where one thing is.
    @ivar code: for programs.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class _ErrorBase(TypedDict):
    error: ErrorObject


class Error(_ErrorBase, total=False):
    """What was asked is not done.

    @ivar problems: one line for each fault, where there can be several.
    """

    problems: list[str]


class Load(TypedDict):
    """What an engine says of itself.

    @ivar running: requests that it computes.
    @ivar waiting: requests that wait inside it.
    @ivar kv_usage: of its key-value cache, 0 to 1.
    @ivar age_s: how long ago it said so.
    """

    running: float | None
    waiting: float | None
    kv_usage: float | None
    age_s: float


class Replica(TypedDict):
    """One engine process, as the gateway knows it.

    @ivar engine: its software; null while not yet detected.
    @ivar models: what it serves; null while not yet known.
    @ivar reason: why it is not up; empty where it is.
    @ivar since_s: for how long its state has been what it is.
    @ivar tls: how its certificate is taken, where TLS is spoken there: verified against authorities, or as it comes.
    @ivar source: who says that it is there.
    @ivar expires_in_s: until its lease is over, where it is registered under one.
    @ivar weight: its share of the traffic beside others.
    @ivar max_in_flight: attempts that it is given at once; 0: no bound.
    @ivar in_flight: attempts under way there, by the gateway's count.
    @ivar leased: attempts since the start.
    @ivar load: by the engine's own word.
    @ivar load_problem: why that is not read.
    @ivar last_error: the newest failure.
    """

    name: str
    url: str
    tls: Literal["verified", "insecure"] | None
    engine: str | None
    models: list[str] | tuple[str, ...] | None
    state: ReplicaState
    reason: str
    since_s: float
    breaker: Breaker
    source: str
    expires_in_s: float | None
    weight: float
    max_in_flight: int
    labels: dict[str, str]
    in_flight: int
    leased: int
    load: Load | None
    load_problem: str | None
    last_error: str | None


class Replicas(TypedDict):
    """All of them, those too that are leaving.

    @ivar problems: what is wrong with whoever names them.
    """

    replicas: list[Replica]
    problems: list[str]


class Model(TypedDict):
    """One model that is served or configured.

    @ivar fallbacks: models asked instead while no replica of it can serve.
    @ivar split: models that its requests are dealt out to, and their shares.
    @ivar policy: empty: the default one.
    @ivar replicas: those that serve it.
    @ivar up: how many of them are up.
    """

    name: str
    aliases: list[str]
    fallbacks: list[str]
    split: dict[str, float]
    policy: str
    replicas: list[str]
    up: int


class Models(TypedDict):
    """All of them."""

    models: list[Model]


class Reloaded(TypedDict):
    """The configuration was read again, and taken.

    @ivar replicas: how many there are now.
    """

    status: Literal["reloaded"]
    replicas: int


class Request(TypedDict):
    """One exchange: a client's request, from its first byte to the end of its answer.

    @ivar id: the client's x-request-id where it is fit, else the gateway's own.
    @ivar state: where it is now.
    @ivar client: the address that it came from.
    @ivar model: the name behind what was asked for; empty while not resolved.
    @ivar replica: the one that has it, or had it last; empty where none did.
    @ivar policy: that chose the replica.
    @ivar stream: whether the client asked for one.
    @ivar attempts: that reached a replica.
    @ivar accepted_at: when its first byte came.
    @ivar duration_s: from then to its end, or to now.
    @ivar queued_s: in the waiting room; without what it waits there now.
    @ivar ttft_s: from the request read whole to the first byte of the answer's body.
    @ivar status: that the client was given, 499 where it left before; null while under way.
    @ivar outcome: how it ended; null while under way.
    @ivar error: an error type; empty where nothing went wrong.
    @ivar reason: the error's sentence.
    @ivar bytes_in: of the request's body.
    @ivar bytes_out: to the client; counted at the end.
    @ivar events: of a stream; counted at the end.
    @ivar input_tokens: by the engine's own count, as the next two.
    """

    id: str
    state: LiveState
    client: str
    method: str
    path: str
    route: str
    model: str
    replica: str
    policy: str
    stream: bool
    attempts: int
    accepted_at: Timestamp
    duration_s: float
    queued_s: float
    ttft_s: float | None
    status: int | None
    outcome: OutcomeLabel | None
    error: str
    reason: str
    bytes_in: int
    bytes_out: int
    events: int
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None


class Requests(TypedDict):
    """Those that were asked for, newest first.

    @ivar now: asked for again with C{since} at this, nothing is missed that has ended meanwhile.
    @ivar under_way: how many are, whatever was asked for.
    @ivar ended: how many have ended since the start.
    @ivar kept: how many of those can still be asked for.
    @ivar matched: how many are what was asked for; more than are listed where C{limit} was less.
    """

    now: Timestamp
    under_way: int
    ended: int
    kept: int
    matched: int
    requests: list[Request]


class RequestStamps(TypedDict):
    """When things happened, in seconds after the request's first byte.

    @ivar head: its head was there whole.
    @ivar read: all of it was.
    @ivar admitted: what it asks was known.
    @ivar first_byte: of the answer's body, to the client.
    @ivar ended: it was over.
    """

    accepted: float
    head: float | None
    read: float | None
    admitted: float | None
    first_byte: float | None
    ended: float | None


class Attempt(TypedDict):
    """One try at one replica.  Times are seconds after the request's first byte.

    @ivar model: asked of it.
    @ivar kind: why it was made.
    @ivar ready: a replica was about to be chosen.
    @ivar started: what is sent was made; a connection was taken or opened.
    @ivar sent: the request was on its way.
    @ivar head: the engine's head came.
    @ivar first: the first of the body came.
    @ivar last: the client last got something of a stream.
    @ivar ended: it was over.
    @ivar status: the engine's; null while no head came.
    @ivar outcome: null while it is under way.
    @ivar fault: what went wrong.
    @ivar ttft_s: from sent to first.
    """

    replica: str
    model: str
    kind: Kind
    ready: float
    started: float
    sent: float | None
    head: float | None
    first: float | None
    last: float | None
    ended: float | None
    status: int | None
    outcome: Outcome | None
    fault: str
    ttft_s: float | None


class Timeline(Request):
    """One exchange with all that is known of when.

    @ivar trace_id: of the trace that its spans are in; empty where it is not traced.
    @ivar cause: what ended its last attempt.
    @ivar edited: edits made to the request's body.
    @ivar phases: how long each took, in their order; they add up to the whole; null while it is under way.
    @ivar own_s: what of it the gateway itself took.
    @ivar tpot_s: per output token after the first.
    @ivar tries: all attempts, oldest first; those too that reached no replica.
    """

    trace_id: str
    cause: Cause | None
    edited: list[str] | tuple[str, ...]
    stamps: RequestStamps
    phases: dict[str, float] | None
    own_s: float | None
    tpot_s: float | None
    tries: list[Attempt]
