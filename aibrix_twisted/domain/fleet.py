"""The fleet: a frozen snapshot of which replicas serve which models, under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aibrix_twisted.domain.replica import Replica


@dataclass(frozen=True, slots=True)
class Fleet:
    """Built whole, swapped whole; an exchange keeps the one that it began with.

    @ivar by_model: model to the replicas that serve it, in the order of the configuration; aliases not included.
    @ivar aliases: alias to model.
    """

    replicas: tuple[Replica, ...] = ()
    by_model: Mapping[str, tuple[Replica, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, replicas: Iterable[Replica], aliases: Mapping[str, str]) -> Fleet:
        """The snapshot of what these replicas are known to serve now.

        An alias that is also the name of a served model is that model: what an engine itself says wins.
        """
        kept = tuple(replicas)
        by_model: dict[str, list[Replica]] = {}
        for replica in kept:
            for model in replica.models or ():
                by_model.setdefault(model, []).append(replica)
        return cls(
            replicas=kept,
            by_model={model: tuple(serving) for model, serving in by_model.items()},
            aliases={alias: model for alias, model in aliases.items() if alias not in by_model},
        )

    def resolve(self, asked: str) -> str | None:
        """The model behind a name, or C{None} where no replica serves it.

        An empty name stands for the only model, where there is just one.
        """
        if asked in self.by_model:
            return asked
        if not asked:
            return next(iter(self.by_model)) if len(self.by_model) == 1 else None
        model = self.aliases.get(asked)
        return model if model in self.by_model else None

    @property
    def settled(self) -> bool:
        """Every replica's models are known."""
        return all(replica.models is not None for replica in self.replicas)

    @property
    def ready(self) -> bool:
        """Some replica of some model is up."""
        return bool(self.by_model)
