"""What people are told of the fleet, and what they may do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.admin import shapes
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.config.replicas import ConfigError, replicas_of
from aibrix_twisted.service.discovery.discovery import Discovery
from aibrix_twisted.service.discovery.registry import ADMIN, REGISTERED

#: Sources whose replicas are added and removed here.
_OURS: Final = frozenset({ADMIN, REGISTERED})

#: Whoever may add a replica need not be one who may have the gateway read its files.
FILES: Final = frozenset({"ca", "cert", "key"})

_MAX_TTL_S: Final = 86400.0


class FleetDesk:
    """Reads and changes, by name.  Every method that cannot do what it is asked raises L{Denied}."""

    def __init__(self, discovery: Discovery, seconds: Callable[[], float]) -> None:
        self._discovery = discovery
        self._keeper = discovery.keeper
        self._registry = discovery.registry
        self._seconds = seconds

    # -- told ------------------------------------------------------------------------------------------------

    def replicas(self) -> shapes.Replicas:
        """Every replica, those too that are leaving, and what is wrong with whoever names them."""
        facts = [self._facts(replica) for replica in self._keeper.fleet.replicas]
        facts += [_leaving(self._facts(replica)) for replica in self._keeper.leaving]
        return {"replicas": facts, "problems": self._discovery.problems}

    def models(self) -> shapes.Models:
        """Every model that is served or configured."""
        fleet = self._keeper.fleet
        found: list[shapes.Model] = []
        for name in dict.fromkeys((*fleet.by_model, *fleet.models)):
            wanted, serving = fleet.models.get(name), fleet.by_model.get(name, ())
            found.append(
                {
                    "name": name,
                    "aliases": [alias for alias, model in fleet.aliases.items() if model == name],
                    "fallbacks": list(wanted.fallbacks) if wanted is not None else [],
                    "split": wanted.split if wanted is not None else {},
                    "policy": wanted.policy if wanted is not None else "",
                    "replicas": [replica.name for replica in serving],
                    "up": sum(replica.up for replica in serving),
                }
            )
        return {"models": found}

    # -- done ------------------------------------------------------------------------------------------------

    def add(self, table: Any) -> shapes.Replica:
        """A replica that stays until it is removed."""
        wanted = self._checked(table)
        if self._keeper.replica(wanted.name) is not None:
            raise Denied(409, f"there is a replica {wanted.name!r} already", "replica_exists")
        self._registry.add(wanted)
        return self._named(wanted.name)

    def put(self, name: str, table: Any, ttl_s: float | None) -> tuple[shapes.Replica, bool]:
        """A replica as it is to be, or once more for as long.

        @param table: C{None}: as it is known.
        @param ttl_s: C{None}: until it is removed.
        @return: it, and whether it is new.
        """
        if ttl_s is not None and not 0 < ttl_s <= _MAX_TTL_S:
            raise Denied(400, f"ttl {ttl_s:g}: expected seconds above 0, up to {_MAX_TTL_S:g}", "invalid_ttl")
        known = self._keeper.replica(name)
        if known is not None and known.source not in _OURS:
            raise Denied(409, f"the replica {name!r} is of {known.source}", "replica_exists")
        if table is None:
            wanted = self._registry.known(name)
            if wanted is None:
                raise Denied(404, f"there is no replica {name!r} yet: say its url", "replica_not_found")
        else:
            if isinstance(table, dict) and table.get("name", "") == "":
                table = {**table, "name": name}
            wanted = self._checked(table)
            if wanted.name != name:
                raise Denied(400, f"name: found {wanted.name!r}, expected {name!r} as in the path", "invalid_replica")
        if ttl_s is None:
            self._registry.add(wanted)
        else:
            self._registry.register(wanted, ttl_s)
        return self._named(name), known is None

    def remove(self, name: str) -> shapes.Replica:
        """Take it out.  What is under way there is finished.  One that stands elsewhere, too, stays there."""
        replica = self._replica(name)
        if replica.source not in _OURS and self._registry.known(name) is None:
            where = "in the configuration file" if replica.source == "static" else f"of {replica.source}"
            raise Denied(409, f"the replica {name!r} is {where}: remove it there, or drain it", "replica_not_ours")
        facts = self._facts(replica)
        self._registry.remove(name)
        return _leaving(facts) if self._keeper.replica(name) is None else self._named(name)

    def drain(self, name: str, *, on: bool) -> shapes.Replica:
        """Give it no more, or again."""
        replica = self._replica(name)
        replica.health.drain(self._seconds(), on=on)
        return self._changed(replica)

    def eject(self, name: str, *, on: bool) -> shapes.Replica:
        """Leave it out while there are others, or no longer."""
        replica = self._replica(name)
        replica.health.eject(self._seconds(), on=on)
        return self._changed(replica)

    def _changed(self, replica: Replica) -> shapes.Replica:
        self._keeper.renew()
        return self._facts(replica)

    def _replica(self, name: str) -> Replica:
        replica = self._keeper.replica(name)
        if replica is None:
            raise Denied(404, f"there is no replica {name!r}", "replica_not_found")
        return replica

    def _named(self, name: str) -> shapes.Replica:
        return self._facts(self._replica(name))

    @staticmethod
    def _checked(table: Any) -> ReplicaSettings:
        if isinstance(table, dict):
            for name in FILES & (table["tls"].keys() if isinstance(table.get("tls"), dict) else set()):
                raise Denied(400, f"tls.{name}: is taken from the configuration only", "invalid_replica")
            table = {key: _whole(value) for key, value in table.items()}
        try:
            (wanted,) = replicas_of([table], "the body")
        except ConfigError as error:
            raise Denied(400, "; ".join(error.problems), "invalid_replica", error.problems) from None
        if wanted.api_key_file:  # whoever may add a replica need not be one who may read the gateway's files
            raise Denied(400, "api_key_file: is taken from the configuration only", "invalid_replica")
        return wanted

    def _facts(self, replica: Replica) -> shapes.Replica:
        now, health, engine = self._seconds(), replica.health, replica.load.engine
        return {
            "name": replica.name,
            "url": replica.url,
            "tls": None if replica.tls is None else "insecure" if replica.tls.insecure else "verified",
            "engine": replica.engine or None,
            "models": replica.models,
            "state": health.state(known=replica.models is not None).value,
            "reason": health.reason,
            "since_s": round(now - health.changed_at, 1),
            "breaker": health.breaker.state.value,
            "source": replica.source,
            "expires_in_s": self._registry.expires_in_s(replica.name) if replica.source == REGISTERED else None,
            "weight": replica.weight,
            "max_in_flight": replica.max_in_flight,
            "labels": replica.labels,
            "in_flight": replica.load.in_flight + replica.load.elsewhere,
            "leased": replica.load.leased,
            "load": None
            if engine is None
            else {
                "running": engine.running,
                "waiting": engine.waiting,
                "kv_usage": engine.kv_usage,
                "age_s": round(now - engine.at, 2),
            },
            "load_problem": self._discovery.scraper.scrape_problem(replica.name) or None,
            "last_error": replica.last_error or None,
        }


def _leaving(facts: shapes.Replica) -> shapes.Replica:
    return {**facts, "state": "leaving"}


def _whole(value: Any) -> Any:
    """JSON does not tell 4.0 from 4, and some who write it do not either."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
