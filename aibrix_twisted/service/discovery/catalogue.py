"""The models that are served, as C{GET /v1/models} says them: merged over replicas, with aliases."""

from __future__ import annotations

from collections.abc import Iterable

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.wire.models import Entry, model_entry, model_list, plain_entry


class Catalogue:
    """Built anew when the fleet changes; asked for ready-made bytes."""

    def __init__(self, fleet: Fleet, entries: dict[str, Iterable[Entry]]) -> None:
        """
        @param entries: what each replica, by name, says of its models; for a model that several serve, the word of
            the first in the order of the configuration counts.
        """
        merged: dict[str, Entry] = {}
        for replica in fleet.replicas:
            for entry in _entries(replica, entries.get(replica.name, ())):
                merged.setdefault(entry["id"], entry)
        for alias, model in fleet.aliases.items():
            if model in merged:
                merged.setdefault(alias, {**merged[model], "id": alias, "root": model})
        self._entries = merged
        self._most: dict[str, int | None] = {}
        for replica in fleet.replicas:
            for entry in _entries(replica, entries.get(replica.name, ())):
                self._most[entry["id"]] = _most_of(self._most.get(entry["id"], 0), entry.get("max_model_len"))
        self._list = model_list(merged.values())

    def listed(self) -> bytes:
        """The whole list."""
        return self._list

    def entry(self, name: str) -> bytes | None:
        """One model, or C{None} where it is not served."""
        entry = self._entries.get(name)
        return None if entry is None else model_entry(entry)

    def context(self, name: str) -> int | None:
        """How many tokens a model takes and makes in all, where its engine says so (vLLM's C{max_model_len})."""
        said = self._entries.get(name, {}).get("max_model_len")
        return said if type(said) is int and said > 0 else None

    def most_tokens(self, model: str) -> int | None:
        """The same of the replica of it that can most; C{None} where one of them does not say."""
        return self._most.get(model)


def _most_of(known: int | None, said: object) -> int | None:
    return None if known is None or type(said) is not int or said <= 0 else max(known, said)


def _entries(replica: Replica, said: Iterable[Entry]) -> Iterable[Entry]:
    """What a replica says of the models it serves; configured ones that it did not speak of are listed plainly."""
    by_id = {entry["id"]: entry for entry in said}
    return [by_id.get(model, plain_entry(model)) for model in replica.models or ()]
