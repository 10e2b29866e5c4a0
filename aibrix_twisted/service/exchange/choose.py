"""Which replica?  The policy that applies, asked for one of the replicas that may be asked now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.errors import UnknownPolicy
from aibrix_twisted.interfaces import IPolicy, Random
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.candidates import Lack, Tried, candidates

_NONE_TRIED: Tried = {}


class Chooser:
    """Policies by model: C{routing-strategy} of the request, else the model's own, else the default.

    Each model has its own policy objects, made when first needed, for some remember.
    """

    def __init__(
        self,
        default: str,
        by_model: Mapping[str, str],
        rng: Random,
        seconds: Callable[[], float],
        engine_waiting: int = 0,
    ) -> None:
        """
        @param engine_waiting: see L{Replica.has_room}.
        """
        self._default = default
        self._by_model = by_model
        self._rng = rng
        self._seconds = seconds
        self._engine_waiting = engine_waiting
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

    def choose(self, name: str, model: str, fleet: Fleet, tried: Tried) -> Replica | Lack:
        """One of the model's replicas, or why there is none."""
        found = self.candidates(model, fleet, tried)
        if isinstance(found, Lack):
            return found
        policy = self._made.get((model, name))
        if policy is None:
            policy = self._made[model, name] = POLICIES[name]()
        chosen: Replica = policy.choose(found, self._rng)
        return chosen

    def free(self, model: str, fleet: Fleet, tried: Tried) -> Replica | None:
        """One that has nothing to do, and nothing against it."""
        found = self.candidates(model, fleet, tried)
        if isinstance(found, Lack):
            return None
        now = self._seconds()
        for replica in found:
            engine = replica.load.fresh_engine(now)
            if not replica.load.in_flight and replica.health.plain and (engine is None or not engine.waiting):
                return replica
        return None

    def could(self, model: str, fleet: Fleet) -> bool:
        """Whether a request for the model, or for what stands in for it, would find a replica now."""
        return any(not isinstance(self.candidates(name, fleet), Lack) for name in (model, *fleet.fallbacks(model)))

    def candidates(self, model: str, fleet: Fleet, tried: Tried = _NONE_TRIED) -> Sequence[Replica] | Lack:
        """Those among which the policy chooses."""
        replicas = fleet.by_model.get(model, ())
        return candidates(replicas, tried, self._seconds(), self._rng, engine_waiting=self._engine_waiting)
