"""From a file and the command line to L{Settings}, or to every fault at once."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError
from twisted.internet.endpoints import serverFromString

from aibrix_twisted.domain.replica_url import parse_replica_url
from aibrix_twisted.domain.settings import ModelSettings, ReplicaSettings, Settings
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.service.config.expected import expectation, is_unknown_key
from aibrix_twisted.service.config.locate import Lines, dotted
from aibrix_twisted.service.config.locate import Path as Place

_ADAPTER: Final = TypeAdapter(Settings)


class ConfigError(Exception):
    """The settings cannot be used.

    @ivar problems: one line each: where, what was found, what was expected.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


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
            raise ConfigError([self._line(*problem, lines) for problem in map(_problem, error.errors())]) from None
        named = dataclasses.replace(settings, replica=tuple(map(_named, settings.replica)))
        problems = [self._line(place, what, lines) for place, what in _contradictions(named)]
        if problems:
            raise ConfigError(problems)
        return named

    def _read(self) -> tuple[dict[str, Any], Lines]:
        if self._path is None:
            return {}, Lines("")
        try:
            text = Path(self._path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError([f"{self._path}: cannot be read: {reason}"]) from None
        try:
            return tomllib.loads(text), Lines(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([f"{self._path}: not TOML: {error}"]) from None

    def _line(self, place: Place, what: str, lines: Lines) -> str:
        if place and place[0] in self._flags:
            return f"--{dotted(place)}: {what}"
        number = lines.of(place)
        where = self._path if number is None else f"{self._path}:{number}"
        return f"{where}: {dotted(place)}: {what}" if self._path else f"{dotted(place)}: {what}"


def _problem(error: Any) -> tuple[Place, str]:
    place: Place = tuple(error["loc"])
    if error["type"] == "missing":
        return place, "found nothing, expected a value"
    found = "an unknown key" if is_unknown_key(error) else orjson.dumps(error["input"], default=str).decode()[:80]
    return place, f"found {found}, expected {expectation(error, place)}"


def _named(replica: ReplicaSettings) -> ReplicaSettings:
    """A replica without a name is called by its address."""
    if replica.name:
        return replica
    try:
        return dataclasses.replace(replica, name=parse_replica_url(replica.url).authority)
    except ValueError:
        return replica  # said by _contradictions


def _contradictions(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What no type can say."""
    for index, endpoint in enumerate(settings.listen):
        yield from _endpoint_fault(("listen", index), endpoint)
    if settings.admin != "none":
        yield from _endpoint_fault(("admin",), settings.admin)
    yield from _policy_fault(("policy",), settings.policy)
    names: set[str] = set()
    for index, replica in enumerate(settings.replica):
        yield from _replica_faults(("replica", index), replica, names)
    yield from _model_faults(settings.model)


def _endpoint_fault(place: Place, endpoint: str) -> Iterator[tuple[Place, str]]:
    if endpoint.startswith("systemd:"):
        return  # only the process that was handed the sockets can tell
    try:
        serverFromString(None, endpoint)
    except (ValueError, TypeError, KeyError, IndexError, OSError) as error:
        yield place, f"found {endpoint!r}, expected an endpoint such as tcp:8080:interface=127.0.0.1 ({error})"


def _policy_fault(place: Place, policy: str) -> Iterator[tuple[Place, str]]:
    if policy not in POLICIES:
        yield place, f"found {policy!r}, expected one of {', '.join(sorted(POLICIES))}"


def _replica_faults(place: Place, replica: ReplicaSettings, names: set[str]) -> Iterator[tuple[Place, str]]:
    try:
        parse_replica_url(replica.url)
    except ValueError as error:
        yield (*place, "url"), f"found {replica.url!r}, {error}"
    if replica.name in names:
        yield (*place, "name"), f"found {replica.name!r} a second time, expected a name of its own"
    elif replica.name and not (replica.name.isascii() and replica.name.isprintable() and " " not in replica.name):
        yield (*place, "name"), f"found {replica.name!r}, expected visible ASCII characters"
    names.add(replica.name)
    if replica.api_key_file:
        try:
            key_of(replica.api_key_file)
        except (OSError, ValueError) as error:
            yield (*place, "api_key_file"), f"found {replica.api_key_file!r}, expected a file with a key ({error})"


def _model_faults(models: Sequence[ModelSettings]) -> Iterator[tuple[Place, str]]:
    names: set[str] = {model.name for model in models}
    seen: set[str] = set()
    aliases: dict[str, str] = {}
    for index, model in enumerate(models):
        if model.name in seen:
            yield ("model", index, "name"), f"found {model.name!r} a second time, expected one table a model"
        seen.add(model.name)
        if model.policy:
            yield from _policy_fault(("model", index, "policy"), model.policy)
        for alias in model.aliases:
            taken = aliases.setdefault(alias, model.name)
            if taken != model.name:
                yield ("model", index, "aliases"), f"found {alias!r}, which is an alias of {taken!r} already"
            elif alias in names:
                yield ("model", index, "aliases"), f"found {alias!r}, which is the name of a model"


def key_of(path: str) -> str:
    """The key in a file: its first line.

    @raise ValueError: there is none, or it cannot be sent.
    """
    key = Path(path).read_text("utf-8").strip().partition("\n")[0].strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("its first line is no key of visible ASCII characters")
    return key
