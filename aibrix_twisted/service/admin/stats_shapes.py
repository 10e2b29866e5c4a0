"""The documents of figures: what is said of them in L{shapes} holds for these, too."""

from __future__ import annotations

from typing_extensions import TypedDict

from aibrix_twisted.service.admin.shapes import Model, Replica, Timestamp


class Quantiles(TypedDict):
    """Of a distribution in buckets: exact to the width of a bucket.

    @ivar count: of observations.
    """

    count: int
    p50: float
    p90: float
    p99: float


class ReplicaRates(TypedDict):
    """Of one replica, over the last seconds.

    @ivar seconds: the time that was looked at.
    @ivar attempts_per_s: that ended.
    @ivar failed_per_s: of them, those that neither were complete nor were given up by the client.
    @ivar ttft_s: from sending to the first of a streamed answer.
    @ivar itl_s: between two reads of a stream.
    """

    seconds: float
    attempts_per_s: float
    failed_per_s: float
    ttft_s: Quantiles | None
    itl_s: Quantiles | None


class Rates(TypedDict):
    """Over the last seconds; of exchanges when they ended.

    @ivar seconds: the time that was looked at.
    @ivar outcomes_per_s: requests by how they ended.
    @ivar statuses_per_s: and by the status that the client was given.
    @ivar input_tokens_per_s: by the engines' own count, when an answer was over; so is what follows.
    @ivar ttft_s: time to first token as clients have it.
    @ivar itl_s: between two reads of a stream.
    @ivar tpot_s: per output token after the first.
    @ivar duration_s: of whole requests.
    @ivar queued_s: of those that waited.
    """

    seconds: float
    requests_per_s: float
    outcomes_per_s: dict[str, float]
    statuses_per_s: dict[str, float]
    input_tokens_per_s: float
    output_tokens_per_s: float
    ttft_s: Quantiles | None
    itl_s: Quantiles | None
    tpot_s: Quantiles | None
    duration_s: Quantiles | None
    queued_s: Quantiles | None


class AllRates(Rates):
    """Of the whole gateway.

    @ivar errors_per_s: by error type.
    @ivar own_s: the gateway's own time for a request.
    """

    errors_per_s: dict[str, float]
    own_s: Quantiles | None


class ModelStats(TypedDict):
    """Of one model; those that nobody serves are C{other} together."""

    name: str
    last_10s: Rates
    last_60s: Rates


class Connections(TypedDict):
    """That are open.

    @ivar clients: to clients.
    @ivar upstream_idle: to replicas, kept for the next request.
    @ivar upstream_busy: to replicas, with a request.
    """

    clients: int
    upstream_idle: int
    upstream_busy: int


class Facts(TypedDict):
    """How it is.

    @ivar under_way: exchanges that are not over.
    @ivar states: the same by where they are.
    @ivar in_flight: attempts at replicas.
    @ivar waiting: exchanges in the waiting room, by model.
    @ivar ended: exchanges that are over, since the start.
    @ivar rss_bytes: resident memory; null where the system does not say.
    """

    under_way: int
    states: dict[str, int]
    in_flight: int
    waiting: dict[str, int]
    ended: int
    connections: Connections
    rss_bytes: int | None


class Stats(Facts):
    """The gateway now, and over the last seconds.

    @ivar ready: whether requests can be served.
    @ivar draining: it takes no new work.
    """

    version: str
    now: Timestamp
    uptime_s: float
    ready: bool
    draining: bool
    last_10s: AllRates
    last_60s: AllRates
    models: list[ModelStats]


class LiveReplica(Replica):
    """A replica, and what has come of it lately."""

    last_10s: ReplicaRates


class LiveModel(Model):
    """A model, and what is under way.

    @ivar in_flight: attempts at its replicas.
    @ivar waiting: exchanges in the waiting room.
    """

    in_flight: int
    waiting: int


class FleetNow(TypedDict):
    """Replicas and models with their load.

    @ivar problems: what is wrong with whoever names replicas.
    """

    now: Timestamp
    replicas: list[LiveReplica]
    models: list[LiveModel]
    problems: list[str]
