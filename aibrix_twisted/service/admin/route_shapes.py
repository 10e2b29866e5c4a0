"""The documents that say why a replica was chosen, or which one would be.  As in L{shapes}, each C{@ivar} is a
description there."""

from __future__ import annotations

from typing import Annotated

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.policy.choice import Missing
from aibrix_twisted.service.admin.shapes import OutcomeLabel, Timestamp
from aibrix_twisted.wire.routes import ROUTES

_PATHS = [path.decode() for path, route in ROUTES.items() if not route.multipart]

RoutePath = Annotated[str, WithJsonSchema({"type": "string", "enum": _PATHS})]
Reason = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Missing]})]
LackName = Annotated[str, WithJsonSchema({"type": "string", "enum": [lack.value for lack in Lack]})]
HeaderValue = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[ -~]*$"})]


class Fallback(TypedDict):
    """What a policy goes by was missing.

    @ivar policy: whose it was; of a blend, one of several.
    @ivar reason: what was missing.
    """

    policy: str
    reason: Reason


class Candidate(TypedDict):
    """One replica that might have been chosen.

    @ivar figures: what the policy made of it, by name; null for what it did not know.
    """

    replica: str
    figures: dict[str, float | None]


class Prompt(TypedDict):
    """What routing knows of a prompt.

    @ivar bytes: of its text; 0 where no policy had to know.
    @ivar blocks: of it that have hashes.
    """

    bytes: int
    blocks: int


class Decision(TypedDict):
    """One choice.

    @ivar policy: who decided.
    @ivar model: whose replicas were candidates.
    @ivar replica: the one that was chosen.
    """

    policy: str
    model: str
    replica: str
    prompt: Prompt
    fallbacks: list[Fallback]
    candidates: list[Candidate]


class PastDecision(Decision):
    """One choice that was made.

    @ivar at: when.
    """

    at: Timestamp


class Explanation(TypedDict):
    """Why one exchange went where it did.

    @ivar decisions: one for each attempt that a policy chose the replica for, in their order.
    @ivar replica: whose answer the client has; empty: nobody's.
    @ivar outcome: how it ended; null while it is under way.
    @ivar ttft_s: from the whole request to the first byte of the answer.
    """

    id: str
    model: str
    decisions: list[PastDecision]
    replica: str
    attempts: int
    status: int | None
    outcome: OutcomeLabel | None
    ttft_s: float | None
    duration_s: float


class _RouteQuestionBase(TypedDict):
    body: dict[str, object]


class RouteQuestion(_RouteQuestionBase, total=False):
    """A request that is not sent.

    @ivar path: where it would go; /v1/chat/completions by default.
    @ivar headers: of it, such as routing-strategy.
    @ivar body: of it.
    """

    path: RoutePath
    headers: dict[str, HeaderValue]


class Refusal(TypedDict):
    """What its client would be told at once.

    @ivar param: what of the request is at fault, where one thing is.
    """

    status: int
    message: str
    param: str | None
    code: str | None


class RouteAnswer(TypedDict):
    """Where a request would go now.

    @ivar profile: the one that config-profile: auto would find; empty: none, or it does not ask.
    @ivar decision: what would be chosen; null: nothing now.
    @ivar lack: why there is nothing to choose; null where there is.
    @ivar refused: why it would be refused; null where it would not.
    """

    policy: str
    profile: str
    decision: Decision | None
    lack: LackName | None
    refused: Refusal | None
