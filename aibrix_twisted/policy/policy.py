"""What all policies have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from typing import Any, TypeVar

from zope.interface import classImplements

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Choice, Usage

_T = TypeVar("_T")


class Policy(ABC):
    """One that needs nothing, and learns nothing, unless it says so."""

    __slots__ = ()

    name: str
    needs: Needs = Needs.NOTHING
    learns: bool = False

    @abstractmethod
    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice | None:
        """See L{IPolicy}."""

    def chosen(self, replica: Replica, ask: Ask, now: float) -> Any:
        """It is done as C{choose} said."""
        return None

    def forget_all_but(self, names: Set[str]) -> None:  # noqa: B027 - most remember nothing of replicas
        """These are the replicas that there are; what is remembered of others is not needed any more."""

    def answered(self, memo: Any, now: float) -> None:  # noqa: B027 - most do not care
        """The first of an answer came."""

    def ended(self, memo: Any, now: float, *, well: bool, usage: Usage | None) -> None:  # noqa: B027
        """It is over."""


classImplements(Policy, IPolicy)


def kept(remembered: Mapping[str, _T], names: Set[str]) -> dict[str, _T]:
    """What is remembered of these replicas."""
    return {name: value for name, value in remembered.items() if name in names}
