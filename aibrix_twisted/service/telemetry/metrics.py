"""What is counted.  Plain numbers that the data path adds to; L{exposition} reads them when Prometheus asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.exchange import Exchange, Heal, Spooled
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.timing import OWN, PHASES, phases
from aibrix_twisted.policy.choice import Fallback
from aibrix_twisted.service.telemetry.buckets import DURATION_S, ITL_S, OWN_S, TTFT_S
from aibrix_twisted.service.telemetry.genai import GenaiMeters

#: The model of a request whose model nobody serves: a client's own word is not made a label.  And of whatever comes
#: beyond the bound below.
OTHER: Final = "other"

#: Models that have numbers of their own; all others share theirs.  Fleets whose models and replicas come and go under
#: ever new names would grow them without end.
MAX_LABELS: Final = 1000

#: So many pairs of a model and a replica have, too, and so many rows has a counter of several labels.
MAX_ROWS: Final = 10_000

#: So many exchanges are counted together at the latest.
AT_ONCE: Final = 64

_OWN: Final = tuple(PHASES.index(name) for name in OWN)


class PairMeters:
    """Of one model at one replica.

    @ivar itl: gaps between reads of a stream.
    """

    __slots__ = ("itl", "ttft")

    def __init__(self) -> None:
        self.ttft = Histogram(TTFT_S)
        self.itl = Histogram(ITL_S)


class ModelMeters:
    """Of one model."""

    __slots__ = ("durations", "name", "tokens", "tpot", "ttft", "waits")

    def __init__(self, name: str) -> None:
        self.name = name
        self.durations: defaultdict[str, Histogram] = defaultdict(_duration)
        self.ttft = Histogram(TTFT_S)
        self.tpot = Histogram(ITL_S)
        self.waits = Histogram(TTFT_S)
        self.tokens = {"input": 0, "output": 0, "cached": 0, "output_events": 0}


#: What an audit may find to disagree.
REPAIRED: Final = ("lease", "exchange", "stuck", "deadline", "connection", "waiting", "address", "spool", "clock")

#: How a client's TLS handshake may end.
HANDSHAKES: Final = ("complete", "failed", "late", "gone")


#: Why a client's connection is closed without an answer.
DROPPED: Final = ("evicted", "flood", "silent", "slow")


class Metrics:
    """Counters by tuples of label values, in the order of the label names in L{families}.

    The data path only puts down which exchanges have ended.  They are counted when someone looks, or when there are
    many, one after the other, and while they are in the processor's caches.

    @ivar attempts: that are over, by replica and outcome.
    @ivar pairs: by model and replica.
    @ivar hedges: what became of second attempts.
    @ivar repairs: what the audits put right, by its kind.
    @ivar clients_dropped: connections of clients that were closed without an answer, by why.
    @ivar spooled: what became of answers that were put into a file.
    @ivar spool_bytes: what these files have now.
    @ivar late_events: what came for a response that had ended.
    @ivar genai: the same by OpenTelemetry's names, where these are wanted.
    @ivar spans_dropped: why spans did not reach the receiver.
    """

    def __init__(self) -> None:
        self._ended: list[Exchange] = []
        self._models: dict[str, ModelMeters] = {}
        self.pairs: dict[tuple[str, str], PairMeters] = {}
        self._requests: defaultdict[tuple[str, str, int, str], int] = defaultdict(int)
        self._own = {name: Histogram(OWN_S) for name in (*OWN, "total")}
        self._errors: defaultdict[tuple[str], int] = defaultdict(int)
        self.attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.genai: GenaiMeters | None = None
        self.reloads: defaultdict[tuple[str], int] = defaultdict(int)
        self.policy_fallbacks: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.hedges = {"won": 0, "lost": 0}
        self._heals: dict[str, int] = dict.fromkeys(Heal, 0)
        self.spooled: dict[str, int] = dict.fromkeys(Spooled, 0)
        self.spool_bytes = 0
        self.late_events: dict[str, int] = {"head": 0, "body": 0, "end": 0}
        self.clients_dropped = dict.fromkeys(DROPPED, 0)
        self.handshakes = dict.fromkeys(HANDSHAKES, 0)
        self.certificate_expires: float | None = None
        self.access_log_dropped = 0
        self.repairs = dict.fromkeys(REPAIRED, 0)
        self.spans_exported = 0
        self.spans_dropped = {"full": 0, "failed": 0, "stopped": 0}

    # -- written ---------------------------------------------------------------------------------------------

    def configure(self, *, genai: bool) -> None:
        """Whether there are OpenTelemetry's names, too.  They begin at zero when they are turned on."""
        self.settle()
        self.genai = (self.genai or GenaiMeters()) if genai else None

    def fell_back(self, fallback: Fallback) -> None:
        """A policy had to do without what it goes by."""
        self.policy_fallbacks[fallback] += 1

    def gaps_of(self, model: str, replica: str) -> Histogram:
        """Where the gaps of a stream are counted."""
        return self.pair(model, replica).itl

    def count_attempt(self, record: AttemptRecord, *, streamed: bool) -> None:
        """An attempt is over."""
        assert record.outcome is not None
        key = record.replica, record.outcome
        attempts = self.attempts
        attempts[key if key in attempts or len(attempts) < MAX_ROWS else (OTHER, record.outcome)] += 1
        if streamed:
            ttft_s = record.ttft_s
            if ttft_s is not None:
                self.pair(record.model, record.replica).ttft.observe(ttft_s)

    def count(self, exchange: Exchange) -> None:
        """An exchange is over."""
        ended = self._ended
        ended.append(exchange)
        if len(ended) >= AT_ONCE:
            self.settle()

    # -- read ------------------------------------------------------------------------------------------------

    @property
    def heals(self) -> Mapping[str, int]:
        """What became of streams that broke."""
        self.settle()
        return self._heals

    @property
    def requests(self) -> Mapping[tuple[str, str, int, str], int]:
        """Exchanges that are over, by model, route, status, and outcome."""
        self.settle()
        return self._requests

    @property
    def errors(self) -> Mapping[tuple[str], int]:
        """Those that ended with an error, by its type."""
        self.settle()
        return self._errors

    @property
    def own(self) -> Mapping[str, Histogram]:
        """What the gateway itself took, by phase; C{total} is all of it."""
        self.settle()
        return self._own

    @property
    def models(self) -> Mapping[str, ModelMeters]:
        """By model."""
        self.settle()
        return self._models

    def model(self, name: str) -> ModelMeters:
        """Of this model, or of all others."""
        meters = self._models.get(name)
        if meters is None:
            name = name if len(self._models) < MAX_LABELS else OTHER
            meters = self._models.setdefault(name, ModelMeters(name))
        return meters

    def pair(self, model: str, replica: str) -> PairMeters:
        """Of this model at this replica, or of all other pairs."""
        meters = self.pairs.get((model, replica))
        if meters is None:
            key = (model, replica) if len(self.pairs) < MAX_ROWS else (OTHER, OTHER)
            meters = self.pairs.setdefault(key, PairMeters())
        return meters

    # -- counted ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Count what was put down."""
        if self._ended:
            ended, self._ended = self._ended, []
            self._settle_exchanges(ended)

    def _settle_exchanges(self, ended: list[Exchange]) -> None:
        requests, own = self._requests, list(self._own.values())
        for exchange in ended:
            name = exchange.model or OTHER
            key = name, exchange.route, exchange.status, exchange.outcome or outcome_label(exchange)
            if len(requests) >= MAX_ROWS and key not in requests:
                key = OTHER, key[1], key[2], key[3]
            requests[key] += 1
            if exchange.error:
                self._errors[exchange.error,] += 1
            served = exchange.served
            if served is None and not (exchange.queued_s or exchange.attempts):
                continue
            if exchange.heal is not None:
                self._heals[exchange.heal] += 1
            meters = self.model(name)
            if exchange.queued_s:
                meters.waits.observe(exchange.queued_s)
            if exchange.attempts:
                meters.durations[exchange.route].observe(exchange.stamps.duration_s)
                if self.genai is not None:
                    self.genai.count(exchange, meters.name)
            if served is None:
                continue
            _count_own(phases(exchange), own)
            _count_tokens(exchange, meters)


def _count_own(took: list[float], own: list[Histogram]) -> None:
    """What the gateway itself took: its phases, and all of them together."""
    total = 0.0
    for place in range(len(own) - 1):
        one = took[_OWN[place]]
        total += one
        own[place].observe(one)
    own[-1].observe(total)


def _count_tokens(exchange: Exchange, meters: ModelMeters) -> None:
    tokens, output = meters.tokens, exchange.output_tokens
    if exchange.input_tokens:
        tokens["input"] += exchange.input_tokens
    if exchange.cached_tokens:
        tokens["cached"] += exchange.cached_tokens
    if output:
        tokens["output"] += output
    if not exchange.stream:
        return
    ttft_s = exchange.stamps.ttft_s
    if ttft_s is not None:
        meters.ttft.observe(ttft_s)
    if output is None:
        tokens["output_events"] += exchange.events
        return
    tpot_s = exchange.tpot_s
    if tpot_s is not None:
        meters.tpot.observe(tpot_s)


def outcome_label(exchange: Exchange) -> str:
    """The assembly's outcome; where no attempt was concluded: C{refused} with an error, else C{complete}."""
    if exchange.outcome is not None:
        return exchange.outcome
    return "refused" if exchange.error else "complete"


def _duration() -> Histogram:
    return Histogram(DURATION_S)
