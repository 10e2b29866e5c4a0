"""What C{routing-strategy} says: the name of a policy, or several with weights."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from aibrix_twisted.policy import BLENDED, EXCLUSIVE, POLICIES
from aibrix_twisted.policy.names import ALIASES

MAX_WEIGHT: Final = 1_000_000

#: More than that is nothing that a person wrote.
MAX_CHARACTERS: Final = 1024

_STICKY: Final = "session-affinity"

_WEIGHT: Final = re.compile(r"[0-9]{1,7}")


class BadStrategy(Exception):
    """It is none that there is.

    @ivar fault: what is wrong, and what was expected; without what was found.
    """

    def __init__(self, found: str, fault: str) -> None:
        super().__init__(f"incorrect routing strategy {found!r}: {fault}")
        self.fault = fault


class Part(NamedTuple):
    """One policy of several."""

    name: str
    weight: int


class Strategy(NamedTuple):
    """What is to decide.

    @ivar said: it in full, as it is said in answers and logs.
    @ivar sticky: a session is kept where it is, as far as it goes; clients are told where that is.
    """

    said: str
    parts: tuple[Part, ...]
    sticky: bool = False


def known() -> str:
    """What there is, for people."""
    return ", ".join(sorted((*POLICIES, "auto")))


@lru_cache(maxsize=512)
def strategy_of(text: str) -> Strategy:
    """C{name[:weight]{,name[:weight]}}: weights are whole numbers from 0, which leaves an item out, to a million.

    An exclusive policy is not blended: where there is one, it decides alone.

    @raise BadStrategy: it is not of this form; or names a policy that there is not, or that cannot be blended.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadStrategy(text[:60] + "...", f"expected {MAX_CHARACTERS} characters at most")
    items = [_part(item.strip(), text) for item in text.split(",")]
    parts = [part for part in items if part.weight]
    if not parts:
        raise BadStrategy(text, "expected a weight above 0 somewhere")
    alone = next((part for part in parts if part.name in EXCLUSIVE), parts[0] if len(parts) == 1 else None)
    if alone is not None:
        return Strategy(alone.name, (Part(alone.name, 1),), alone.name == _STICKY)
    for part in parts:
        if part.name not in BLENDED:
            blended = ", ".join(sorted(BLENDED))
            raise BadStrategy(text, f"{part.name} gives no scores: expected several only of {blended}")
    said = ",".join(part.name if part.weight == 1 else f"{part.name}:{part.weight}" for part in parts)
    return Strategy(said, tuple(parts), any(part.name == _STICKY for part in parts))


def _part(item: str, text: str) -> Part:
    name, colon, weight = item.partition(":")
    name = name.strip()
    canonical = ALIASES.get(name, name)
    if canonical not in POLICIES:
        which = "" if name == text else f"{name!r}: "
        raise BadStrategy(text, f"{which}expected one of {known()}")
    if not colon:
        return Part(canonical, 1)
    if _WEIGHT.fullmatch(weight.strip()) is None or int(weight) > MAX_WEIGHT:
        raise BadStrategy(text, f"{name}: weight {weight!r}: expected a whole number from 0 to {MAX_WEIGHT}")
    return Part(canonical, int(weight))
