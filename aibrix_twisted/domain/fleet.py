"""The fleet: a frozen snapshot of which replicas serve which models, under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class Fleet:
    """Built whole, swapped whole; an exchange keeps the one that it began with, but for one that waits.

    @ivar by_model: model to the replicas that serve it, in the order of the configuration; aliases not included.
    @ivar aliases: alias to model.
    @ivar models: what is wanted of models, by name.
    """

    replicas: tuple[Replica, ...] = ()
    by_model: Mapping[str, tuple[Replica, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, ModelSettings] = field(default_factory=dict)

    @classmethod
    def of(cls, replicas: Iterable[Replica], models: Iterable[ModelSettings] = ()) -> Fleet:
        """The snapshot of what these replicas are known to serve now.

        An alias that is also the name of a served model is that model: what an engine itself says wins.
        """
        kept = tuple(replicas)
        wanted = {model.name: model for model in models}
        by_model: dict[str, list[Replica]] = {}
        for replica in kept:
            for model in replica.models or ():
                by_model.setdefault(model, []).append(replica)
        return cls(
            replicas=kept,
            by_model={model: tuple(serving) for model, serving in by_model.items()},
            aliases={
                alias: model.name for model in wanted.values() for alias in model.aliases if alias not in by_model
            },
            models=wanted,
        )

    def resolve(self, asked: str, lot: float = 0.0) -> str | None:
        """The model behind a name, or one that stands in for it; C{None} where no replica serves it and nobody has
        said that there is such a model.

        An empty name stands for the only model, where there is just one.

        @param lot: in [0, 1): which of the models that a split deals out to.
        """
        if asked in self.by_model and asked not in self.models:
            return asked  # the usual case
        if not asked:
            return next(iter(self.by_model)) if len(self.by_model) == 1 else None
        name = self.aliases.get(asked, asked)
        split = self._served_split(name)
        if split:
            name = _dealt(split, lot)
        if name in self.by_model:
            return name
        return next(iter(self.fallbacks(name)), name if name in self.models else None)

    def fallbacks(self, model: str) -> list[str]:
        """The served models that stand in for it, in their order, each once; theirs after them."""
        found: list[str] = []
        asked = [model]
        for name in asked:
            wanted = self.models.get(name)
            for fallback in () if wanted is None else wanted.fallbacks:
                fallback = self.aliases.get(fallback, fallback)
                if fallback not in asked:
                    asked.append(fallback)
                    if fallback in self.by_model:
                        found.append(fallback)
        return found

    def _served_split(self, name: str) -> dict[str, float]:
        """The shares of those models of a split that are served."""
        wanted = self.models.get(name)
        if wanted is None or not wanted.split:
            return {}
        shares = {self.aliases.get(model, model): share for model, share in wanted.split.items()}
        return {model: share for model, share in shares.items() if model in self.by_model}

    @property
    def settled(self) -> bool:
        """Every replica's models are known."""
        return all(replica.models is not None for replica in self.replicas)

    @property
    def ready(self) -> bool:
        """Some replica of some model is up."""
        return any(replica.up and replica.models for replica in self.replicas)


def _dealt(shares: Mapping[str, float], lot: float) -> str:
    """The one whose part of the whole the lot falls into."""
    mark = lot * sum(shares.values())
    for model, share in shares.items():
        mark -= share
        if mark < 0:
            return model
    return list(shares)[-1]  # the lot fell into what rounding left over
