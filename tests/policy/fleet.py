"""Replicas as policies see them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.prompt import Prompt, prompt_of
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import NOTHING_ASKED, Ask
from aibrix_twisted.policy.policy import Policy

NOW = 100.0


def fleet(count: int, *in_flight: int) -> list[Replica]:
    """So many replicas, with so much to do each."""
    replicas = [Replica(name=f"r{n}", url="", host="", port=n, authority=b"", models=("m",)) for n in range(count)]
    for replica, load in zip(replicas, in_flight, strict=False):
        replica.load.in_flight = load
    return replicas


def say(replica: Replica, at: float = NOW, **figures: float) -> None:
    """Its engine says this."""
    replica.load.read(EngineLoad(at=at, **figures), 3.0)


def grow(replica: Replica, over_s: float = 10.0, **figures: float) -> None:
    """Its engine's counters were at nothing, and are so far now."""
    say(replica, NOW - over_s, **dict.fromkeys(figures, 0.0))
    say(replica, **figures)


def names(policy: Policy, replicas: Sequence[Replica], ask: Ask = NOTHING_ASKED, draws: int = 40) -> set[str]:
    """Whom it chooses, over many draws."""
    found = set()
    for seed in range(draws):
        choice = policy.choose(replicas, ask, NOW, random.Random(seed))
        assert choice is not None
        found.add(choice.replica.name)
    return found


def choice_of(policy: Policy, replicas: Sequence[Replica], ask: Ask = NOTHING_ASKED, seed: int = 1) -> Any:
    """One choice."""
    return policy.choose(replicas, ask, NOW, random.Random(seed))


def prompt(text: str | bytes, block_bytes: int = 4) -> Prompt:
    """A prompt in short blocks."""
    return prompt_of(text.encode() if isinstance(text, str) else text, block_bytes)


def ask(text: str | bytes, **more: Any) -> Ask:
    """A request with this prompt."""
    return Ask(prompt(text), **more)


def index() -> PrefixIndex:
    """An empty one."""
    return PrefixIndex(100_000, 1200.0)


def seen(known: PrefixIndex, replica: Replica, *texts: str | bytes, blocks: int | None = None) -> None:
    """It has answered these; C{blocks} of them, if that is said."""
    for text in texts:
        whole = prompt(text)
        part = whole if blocks is None else Prompt(whole.length, whole.hashes[:blocks], whole.ends)
        known.expect(part, replica, NOW).confirm(NOW)
