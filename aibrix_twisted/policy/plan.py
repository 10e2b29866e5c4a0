"""Who decides?  What the configuration and the request say of routing, as one plan.

As in AIBrix: what the model's settings lock, else what the request asks for, else its profile, else the model's own
policy, else the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from aibrix_twisted.domain.settings import ModelSettings, ProfileSettings
from aibrix_twisted.policy.selector import Selector, selector_of
from aibrix_twisted.policy.strategy import Strategy, strategy_of

#: The profile that is chosen by what is asked.
AUTO: Final = "auto"

#: The profile of a request that names none, where the model's settings name none.
DEFAULT: Final = "default"


class UnknownProfile(Exception):
    """The model has no such profile; says which it has."""


class Plan(NamedTuple):
    """How one request is routed.

    @ivar profile: the one that was found for C{auto}; empty: none, or it was not asked for.
    @ivar selector: who may be asked; C{None}: everyone.
    """

    strategy: Strategy
    profile: str = ""
    selector: Selector | None = None


class Wishes(NamedTuple):
    """What a request's headers say of it; empty where they do not.

    @ivar strategy: C{routing-strategy}; C{profile}: C{config-profile}; C{filter}: C{external-filter}.
    """

    strategy: str = ""
    profile: str = ""
    filter: str = ""


class Size(NamedTuple):
    """What the bounds of profiles are compared with.

    @ivar prompt_tokens: told when it is asked for.
    @ivar max_tokens: of the answer; C{None}: the request does not say.
    """

    prompt_tokens: Callable[[], int]
    max_tokens: int | None


class Planner:
    """The settings' part of it, taken apart once."""

    def __init__(self, default: str, models: Sequence[ModelSettings] = ()) -> None:
        """
        @raise aibrix_twisted.policy.strategy.BadStrategy: a policy is none; the configuration was not checked.
        """
        self._default = strategy_of(default)
        self._models: Mapping[str, ModelSettings] = {model.name: model for model in models}
        self._usual = {model.name: self._without_wishes(model) for model in models}

    def usual(self, model: str) -> Plan:
        """Of a request that has no wishes."""
        return self._usual.get(model) or Plan(self._default)

    def plan(self, model: str, wishes: Wishes, size: Size) -> Plan:
        """Of any request.

        @raise aibrix_twisted.policy.strategy.BadStrategy: C{routing-strategy} is none.
        @raise aibrix_twisted.policy.selector.BadSelector: C{external-filter} is none.
        @raise UnknownProfile: there is none of the name that C{config-profile} says.
        """
        wanted = self._models.get(model)
        asked = strategy_of(wishes.strategy) if wishes.strategy else None
        plan = self.usual(model)
        if wanted is not None and wishes.profile.lower() == AUTO:
            name = _fitting(wanted.profiles, size) or _default_of(wanted)
            plan = Plan(self._of_profile(wanted, name), name)
        elif wishes.profile and wishes.profile.lower() != AUTO:
            plan = Plan(self._of_profile(wanted, wishes.profile))
        if wanted is not None and wanted.locked_policy:
            plan = plan._replace(strategy=strategy_of(wanted.locked_policy))
        elif asked is not None:
            plan = plan._replace(strategy=asked)
        return plan._replace(selector=selector_of(wishes.filter)) if wishes.filter else plan

    def _without_wishes(self, model: ModelSettings) -> Plan:
        if model.locked_policy:
            return Plan(strategy_of(model.locked_policy))
        return Plan(self._of_profile(model, _default_of(model)))

    def _of_profile(self, model: ModelSettings | None, name: str) -> Strategy:
        profiles = {} if model is None else model.profiles
        profile = profiles.get(name)
        if name and profile is None:
            has = ", ".join(sorted(profiles)) or "none"
            raise UnknownProfile(f"config-profile {name[:80]!r}: the model's profiles are {has}; or auto")
        if profile is not None and profile.policy:
            return strategy_of(profile.policy)
        return strategy_of(model.policy) if model is not None and model.policy else self._default


def _default_of(model: ModelSettings) -> str:
    return model.default_profile or (DEFAULT if DEFAULT in model.profiles else "")


def _fitting(profiles: Mapping[str, ProfileSettings], size: Size) -> str:
    """The narrowest of those whose bounds hold: with the most of these, then the tightest, then the first by name."""
    fitting = [(_narrowness(profile), name) for name, profile in profiles.items() if _fits(profile, size)]
    return min(fitting)[1] if fitting else ""


def _fits(profile: ProfileSettings, size: Size) -> bool:
    prompt = (profile.prompt_tokens_gte, profile.prompt_tokens_lt)
    answer = (profile.max_tokens_gte, profile.max_tokens_lt)
    if prompt == answer == (None, None):
        return False
    if prompt != (None, None) and not _within(size.prompt_tokens(), *prompt):
        return False
    return answer == (None, None) or (size.max_tokens is not None and _within(size.max_tokens, *answer))


def _within(tokens: int, gte: int | None, lt: int | None) -> bool:
    return (gte is None or tokens >= gte) and (lt is None or tokens < lt)


def _narrowness(profile: ProfileSettings) -> tuple[float, ...]:
    bounds = (
        profile.prompt_tokens_gte, profile.prompt_tokens_lt, profile.max_tokens_gte, profile.max_tokens_lt,
    )  # fmt: skip
    prompt_gte, prompt_lt, max_gte, max_lt = bounds
    return (
        -sum(bound is not None for bound in bounds),
        -(prompt_gte or 0),
        float("inf") if prompt_lt is None else prompt_lt,
        -(max_gte or 0),
        float("inf") if max_lt is None else max_lt,
    )
