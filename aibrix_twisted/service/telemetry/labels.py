"""Which values the labels of the metrics may have, where these are a closed set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aibrix_twisted import errors
from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.exchange import Heal, Spooled
from aibrix_twisted.domain.memory import KINDS
from aibrix_twisted.domain.timing import OWN
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.choice import Missing
from aibrix_twisted.service.telemetry.families import Family
from aibrix_twisted.service.telemetry.gc_pauses import GENERATIONS
from aibrix_twisted.service.telemetry.genai import OPERATIONS, PROVIDER, TOKEN_TYPES
from aibrix_twisted.service.telemetry.metrics import DROPPED, HANDSHAKES, REPAIRED
from aibrix_twisted.wire.routes import OWN_PATHS, ROUTES


def _error_types(kind: type[errors.GatewayError] = errors.GatewayError) -> Iterator[str]:
    if "error_type" in vars(kind):
        yield kind.error_type
    for below in kind.__subclasses__():
        yield from _error_types(below)


ERROR_TYPES: Final = tuple(_error_types())

_OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
_ROUTES: Final = tuple(dict.fromkeys((*(route.name for route in ROUTES.values()), *OWN_PATHS.values(), "other")))

#: By label, whichever metric has it.
_OF_ALL: Final[dict[str, tuple[str, ...]]] = {
    "route": _ROUTES,
    "error_type": ERROR_TYPES,
    "phase": (*OWN, "total"),
    "event": ("head", "body", "end"),
    "policy": tuple(POLICIES),
    "reason": tuple(Missing),
    "gen_ai_operation_name": tuple(dict.fromkeys(OPERATIONS.get(route, route) for route in _ROUTES)),
    "gen_ai_provider_name": (PROVIDER,),
    "gen_ai_token_type": TOKEN_TYPES,
}

#: By metric and label.
_OF_ONE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("requests", "outcome"): (*_OUTCOMES, "refused"),
    ("attempts", "outcome"): _OUTCOMES,
    ("hedges", "outcome"): ("won", "lost"),
    ("repairs", "kind"): REPAIRED,
    ("clients_dropped", "reason"): DROPPED,
    ("heals", "outcome"): tuple(heal.value for heal in Heal),
    ("spooled_answers", "outcome"): tuple(spooled.value for spooled in Spooled),
    ("tls_handshakes", "outcome"): HANDSHAKES,
    ("config_reloads", "outcome"): ("taken", "refused"),
    ("tokens", "kind"): ("input", "output", "cached", "output_events"),
    ("upstream_connections", "kind"): ("idle", "busy"),
    ("buffer_bytes", "kind"): (*KINDS, "waiting"),
    ("spans_dropped", "reason"): ("full", "failed", "stopped"),
    ("gc_pause_seconds", "kind"): GENERATIONS,
    ("server_request_duration_seconds", "error_type"): ("", *ERROR_TYPES),
    ("client_operation_duration_seconds", "error_type"): ("", *ERROR_TYPES),
}


def values_of(family: Family, label: str) -> tuple[str, ...] | None:
    """All that this label of this metric may be; C{None} where the fleet, or engines, decide it."""
    return _OF_ONE.get((family.name, label), _OF_ALL.get(label))
