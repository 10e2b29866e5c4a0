"""Lists of replicas, from wherever they come: checked alike, and every fault named."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from aibrix_twisted.domain.replica_url import parse_replica_url
from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.expected import expectation, is_unknown_key
from aibrix_twisted.service.config.locate import Lines, dotted
from aibrix_twisted.service.config.locate import Path as Place
from aibrix_twisted.service.config.tls import replica_tls_faults


class ConfigError(Exception):
    """The settings cannot be used.

    @ivar problems: one line each: where, what was found, what was expected.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _ReplicaList:
    """A file of replicas and of nothing else.  The list has no default: to have no replicas is to be said."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    replica: tuple[ReplicaSettings, ...]


_ADAPTER: Final = TypeAdapter(_ReplicaList)


def read_replicas(path: str) -> tuple[ReplicaSettings, ...]:
    """The replicas in a file: C{[[replica]]} tables in TOML; in JSON a list of such tables, or C{{"replica": [...]}}.

    @raise ConfigError: it cannot be read, or not be used.
    """
    if path.endswith(".toml"):
        text = text_of(path)
        return _of_table(toml_of(text, path), path, Lines(text))
    if path.endswith(".json"):
        text = text_of(path)
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ConfigError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from None
        return replicas_of(document, path) if isinstance(document, list) else _of_table(document, path, None)
    raise ConfigError([f"{path}: found a file of no known kind, expected a name that ends with .toml or .json"])


def replicas_of(document: object, where: str, lines: Lines | None = None) -> tuple[ReplicaSettings, ...]:
    """Replicas of a list of tables, as C{[[replica]]} has them.  Those without a name get theirs: C{host:port}.

    @param where: begins each problem: a file, or nothing.
    @raise ConfigError: with everything that is wrong.
    """
    try:
        replicas = _ADAPTER.validate_json(orjson.dumps({"replica": document})).replica
    except ValidationError as error:
        problems = [problem_of(one) for one in error.errors()]
        raise ConfigError([located(where, place, what, lines) for place, what in problems]) from None
    except TypeError as error:  # from orjson: a number of more than 64 bits
        raise ConfigError([located(where, ("replica",), f"found what cannot be a setting: {error}", lines)]) from None
    replicas = tuple(map(named, replicas))
    names: set[str] = set()
    faults = [fault for index, one in enumerate(replicas) for fault in replica_faults(("replica", index), one, names)]
    if faults:
        raise ConfigError([located(where, place, what, lines) for place, what in faults])
    return replicas


def _of_table(document: object, path: str, lines: Lines | None) -> tuple[ReplicaSettings, ...]:
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: found no table and no list, expected a list of replicas"])
    strangers = [(key,) for key in document if key != "replica"]
    if strangers:
        what = "found an unknown key, expected replica and nothing else"
        raise ConfigError([located(path, place, what, lines) for place in strangers])
    if "replica" not in document:
        raise ConfigError(
            [f"{path}: replica: found nothing, expected a list; an empty one where there are no replicas"]
        )
    return replicas_of(document["replica"], path, lines)


def text_of(path: str) -> str:
    """A file's text.

    @raise ConfigError: it cannot be read.
    """
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None


def toml_of(text: str, path: str) -> dict[str, Any]:
    """A TOML document.

    @raise ConfigError: it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def located(where: str, place: Place, what: str, lines: Lines | None) -> str:
    """A problem as people are told of it: C{file:line: dotted.path: what}."""
    number = lines.of(place) if lines is not None else None
    at = f"{where}:{number}" if where and number is not None else where
    return f"{at}: {dotted(place)}: {what}" if at else f"{dotted(place)}: {what}"


def problem_of(error: Any) -> tuple[Place, str]:
    """Where the validator found something, and what was found and expected there."""
    place: Place = tuple(error["loc"])
    if error["type"] == "missing":
        return place, "found nothing, expected a value"
    found = "an unknown key" if is_unknown_key(error) else orjson.dumps(error["input"], default=str).decode()[:80]
    return place, f"found {found}, expected {expectation(error, place)}"


def named(replica: ReplicaSettings) -> ReplicaSettings:
    """A replica without a name is called by its address."""
    if replica.name:
        return replica
    try:
        return dataclasses.replace(replica, name=parse_replica_url(replica.url).authority)
    except ValueError:
        return replica  # said by replica_faults


def replica_faults(place: Place, replica: ReplicaSettings, names: set[str]) -> Iterator[tuple[Place, str]]:
    """What no type can say of a replica.

    @param names: those of the replicas before it; its own is added.
    """
    url = None
    try:
        url = parse_replica_url(replica.url)
    except ValueError as error:
        yield (*place, "url"), f"found {replica.url!r}, {error}"
    if replica.tls is not None:
        yield from replica_tls_faults((*place, "tls"), replica.tls, url)
    if replica.name in names:
        yield (*place, "name"), f"found {replica.name!r} a second time, expected a name of its own"
    elif replica.name and not (replica.name.isascii() and replica.name.isprintable() and " " not in replica.name):
        yield (*place, "name"), f"found {replica.name!r}, expected visible ASCII characters"
    names.add(replica.name)
    yield from key_faults((*place, "api_key_file"), replica.api_key_file)


def key_faults(place: Place, path: str) -> Iterator[tuple[Place, str]]:
    """What is wrong with a file that a key is to be in; no path, no fault."""
    if path:
        try:
            key_of(path)
        except (OSError, ValueError) as error:
            yield place, f"found {path!r}, expected a file with a key ({error})"


def key_of(path: str) -> str:
    """The key in a file: its first line.

    @raise ValueError: there is none, or it cannot be sent.
    """
    key = Path(path).read_text("utf-8").strip().partition("\n")[0].strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("its first line is no key of visible ASCII characters")
    return key
