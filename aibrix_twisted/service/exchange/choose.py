"""Which replica?  The policy that applies, asked for one of the replicas that are left to try."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.errors import UnknownPolicy
from aibrix_twisted.interfaces import IPolicy, Random
from aibrix_twisted.policy import POLICIES


class Chooser:
    """Policies by model: C{routing-strategy} of the request, else the model's own, else the default.

    Each model has its own policy objects, made when first needed, for some remember.
    """

    def __init__(self, default: str, by_model: Mapping[str, str], rng: Random) -> None:
        self._default = default
        self._by_model = by_model
        self._rng = rng
        self._made: dict[tuple[str, str], IPolicy] = {}

    def policy_for(self, model: str, header: bytes | None) -> str:
        """The name of the policy that applies.

        @raise UnknownPolicy: the header names none.
        """
        if header is None:
            return self._by_model.get(model, self._default)
        name = header.decode("latin-1")
        if name not in POLICIES:
            raise UnknownPolicy(
                f"incorrect routing strategy {name!r}: expected one of {', '.join(sorted(POLICIES))}",
                param="routing-strategy",
                headers=((b"x-error-routing", b"true"),),
            )
        return name

    def choose(self, name: str, model: str, fleet: Fleet, tried: Collection[Replica]) -> Replica | None:
        """One of the model's replicas that were not tried, or C{None} where all were."""
        candidates = fleet.by_model[model]
        if tried:
            candidates = tuple(replica for replica in candidates if replica not in tried)
        if not candidates:
            return None
        policy = self._made.get((model, name))
        if policy is None:
            policy = self._made[model, name] = POLICIES[name]()
        chosen: Replica = policy.choose(candidates, self._rng)
        return chosen
