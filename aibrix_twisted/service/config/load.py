"""From a file and the command line to L{Settings}, or to every fault at once."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError
from twisted.internet.endpoints import serverFromString

from aibrix_twisted.domain.dns_names import dns_name, name_server
from aibrix_twisted.domain.settings import DiscoverySettings, GpuProfileSettings, ModelSettings, Settings
from aibrix_twisted.domain.traces_url import traces_url
from aibrix_twisted.policy.plan import AUTO
from aibrix_twisted.policy.selector import BadSelector, selector_of
from aibrix_twisted.policy.strategy import BadStrategy, strategy_of
from aibrix_twisted.service.config.locate import Lines, dotted
from aibrix_twisted.service.config.locate import Path as Place
from aibrix_twisted.service.config.replicas import (
    ConfigError,
    key_faults,
    key_of,
    located,
    named,
    problem_of,
    replica_faults,
    text_of,
    toml_of,
)
from aibrix_twisted.service.config.secure_endpoint import Door, door, doors
from aibrix_twisted.service.config.spool import spool_faults
from aibrix_twisted.service.config.tls import certificate_faults, replica_tls_faults, tls_faults
from aibrix_twisted.wire.bounds import NOT_OF_A_TEMPLATE

__all__ = ["ConfigError", "Source", "key_of"]

_ADAPTER: Final = TypeAdapter(Settings)


class Source:
    """Where settings come from: a file, or none, and flags, which win over it."""

    def __init__(self, path: str | None, flags: Mapping[str, Any]) -> None:
        """
        @param flags: top-level settings by name, in the form that they have in the file.
        """
        self._path = path
        self._flags = dict(flags)

    def load(self) -> Settings:
        """Read, check, and build.

        @raise ConfigError: with everything that is wrong.
        """
        document, lines = self._read()
        document.update(self._flags)
        try:
            settings = _ADAPTER.validate_json(orjson.dumps(document))
        except ValidationError as error:
            raise ConfigError([self._line(*problem, lines) for problem in map(problem_of, error.errors())]) from None
        settings = dataclasses.replace(settings, replica=tuple(map(named, settings.replica)))
        problems = [self._line(place, what, lines) for place, what in _contradictions(settings)]
        if problems:
            raise ConfigError(problems)
        return settings

    def _read(self) -> tuple[dict[str, Any], Lines]:
        if self._path is None:
            return {}, Lines("")
        text = text_of(self._path)
        return toml_of(text, self._path), Lines(text)

    def _line(self, place: Place, what: str, lines: Lines) -> str:
        if place and place[0] in self._flags:
            return f"--{dotted(place)}: {what}"
        return located(self._path or "", place, what, lines)


def _contradictions(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What no type can say."""
    yield from _listener_faults(settings)
    yield from tls_faults(settings.tls)
    yield from _policy_fault(("policy",), settings.policy)
    names: set[str] = set()
    for index, replica in enumerate(settings.replica):
        yield from replica_faults(("replica", index), replica, names)
    yield from _model_faults(settings.model)
    for index, profile in enumerate(settings.gpu_profile):
        yield from _gpu_profile_faults(("gpu_profile", index), profile)
    yield from _discovery_faults(settings.discovery)
    for index, name in enumerate(settings.limits.template_names):
        if name in NOT_OF_A_TEMPLATE:
            yield ("limits", "template_names", index), f"found {name!r}, expected the name of something in a template"
    yield from key_faults(("admin_auth", "token_file"), settings.admin_auth.token_file)
    yield from _tracing_fault(settings.tracing.endpoint)
    yield from spool_faults(settings.limits)


def _listener_faults(settings: Settings) -> Iterator[tuple[Place, str]]:
    places: list[tuple[Place, str]] = [(("listen", index), said) for index, said in enumerate(settings.listen)]
    if not (places or settings.tls.listen):
        yield ("listen",), "found no endpoint, expected at least one, here or in [tls] listen"
    if settings.admin != "none":
        places.append((("admin",), settings.admin))
    for place, said in places:
        try:
            found = door(said)
        except ValueError as error:
            yield place, f"found {said!r}, {error}"
            continue
        yield from _endpoint_fault(place, said, found.endpoint)
        if found.certificate is not None:
            yield from ((place, f"found {said!r}: {what}") for _, what in certificate_faults((), found.certificate))
        elif found.secure and not settings.tls.certificate:
            yield place, f"found {said!r}, expected privateKey and certKey in it, or [[tls.certificate]]"
    for index, said in enumerate(settings.tls.listen):
        if said.startswith("ssl:"):
            yield (
                ("tls", "listen", index),
                f"found {said!r}, expected it without ssl:, TLS is spoken on all of these",
            )
        else:
            yield from _endpoint_fault(("tls", "listen", index), said, said)
    if settings.tls.redirect and not any(each.secure for each in _doors(settings)):
        yield ("tls", "redirect"), "found true, expected a listener with TLS to redirect to"


def _doors(settings: Settings) -> list[Door]:
    try:
        return doors(settings)
    except ValueError:  # said where it stands
        return []


def _endpoint_fault(place: Place, said: str, endpoint: str) -> Iterator[tuple[Place, str]]:
    if endpoint.startswith("systemd:"):
        return  # only the process that was handed the sockets can tell
    try:
        serverFromString(None, endpoint)
    except (ValueError, TypeError, KeyError, IndexError, OSError) as error:
        yield place, f"found {said!r}, expected an endpoint such as tcp:8080:interface=127.0.0.1 ({error})"


def _policy_fault(place: Place, policy: str) -> Iterator[tuple[Place, str]]:
    try:
        strategy_of(policy)
    except BadStrategy as error:
        yield place, f"found {policy!r}, {error.fault}"


def _routing_faults(place: Place, model: ModelSettings) -> Iterator[tuple[Place, str]]:
    for key, policy in (("policy", model.policy), ("locked_policy", model.locked_policy)):
        if policy:
            yield from _policy_fault((*place, key), policy)
    for name, profile in model.profiles.items():
        if name.lower() == AUTO:
            yield (
                (*place, "profiles", name),
                "found a profile of that name, expected another: it stands for all of them",
            )
        if profile.policy:
            yield from _policy_fault((*place, "profiles", name, "policy"), profile.policy)
    if model.default_profile and model.default_profile not in model.profiles:
        has = ", ".join(sorted(model.profiles)) or "none"
        yield (*place, "default_profile"), f"found {model.default_profile!r}, expected one of the profiles: {has}"
    slo = model.slo
    if slo is not None and not (slo.tpot or slo.ttft or slo.tpat or slo.e2e):
        yield (*place, "slo"), "found no objective, expected one of tpot, ttft, tpat, e2e above 0"


def _gpu_profile_faults(place: Place, profile: GpuProfileSettings) -> Iterator[tuple[Place, str]]:
    if profile.replicas:
        try:
            selector_of(profile.replicas)
        except BadSelector as error:
            yield (*place, "replicas"), str(error)
    for key in ("output_tokens", "prompt_tokens"):
        tokens = getattr(profile, key)
        if any(here >= there for here, there in itertools.pairwise(tokens)) or not tokens[0]:
            yield (*place, key), "found them in another order, expected numbers above 0, ascending"
    rows, columns = len(profile.output_tokens), len(profile.prompt_tokens)
    for key in ("rates", "e2e", "ttft"):
        table = getattr(profile, key)
        if (table or key != "ttft") and (len(table) != rows or any(len(row) != columns for row in table)):
            yield (*place, key), f"found another shape, expected {rows} rows of {columns} numbers"


def _tracing_fault(endpoint: str) -> Iterator[tuple[Place, str]]:
    if not endpoint:
        return
    try:
        traces_url(endpoint)
    except ValueError as error:
        yield ("tracing", "endpoint"), f"found {endpoint!r}, {error}"


def _discovery_faults(discovery: DiscoverySettings) -> Iterator[tuple[Place, str]]:
    for index, path in enumerate(discovery.files):
        if not path.endswith((".toml", ".json")):
            yield ("discovery", "files", index), f"found {path!r}, expected a name that ends with .toml or .json"
    for index, dns in enumerate(discovery.dns):
        place: Place = ("discovery", "dns", index)
        checks: list[tuple[Place, str, Callable[[str], object]]] = [(("name",), dns.name, dns_name)]
        checks += [(("servers", at), server, name_server) for at, server in enumerate(dns.servers)]
        for below, found, check in checks:
            try:
                check(found)
            except ValueError as error:
                yield (*place, *below), f"found {found!r}, {error}"
        if any((dns.name, dns.port) == (other.name, other.port) for other in discovery.dns[:index]):
            yield (*place, "name"), f"found {dns.name!r} a second time, expected one table a name"
        if dns.min_ttl > dns.max_ttl:
            yield (*place, "min_ttl"), f"found {dns.min_ttl:g}, expected a number not above max_ttl"
        yield from key_faults((*place, "api_key_file"), dns.api_key_file)
        if dns.tls is not None:
            yield from replica_tls_faults((*place, "tls"), dns.tls, None)


def _model_faults(models: Sequence[ModelSettings]) -> Iterator[tuple[Place, str]]:
    names: set[str] = {model.name for model in models}
    seen: set[str] = set()
    aliases: dict[str, str] = {}
    for index, model in enumerate(models):
        if model.name in seen:
            yield ("model", index, "name"), f"found {model.name!r} a second time, expected one table a model"
        seen.add(model.name)
        yield from _routing_faults(("model", index), model)
        for alias in model.aliases:
            taken = aliases.setdefault(alias, model.name)
            if taken != model.name:
                yield ("model", index, "aliases"), f"found {alias!r}, which is an alias of {taken!r} already"
            elif alias in names:
                yield ("model", index, "aliases"), f"found {alias!r}, which is the name of a model"
        if model.name in model.fallbacks:
            yield ("model", index, "fallbacks"), f"found {model.name!r} itself, expected other models"
