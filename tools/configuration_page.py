"""C{python -m tools.configuration_page}: write docs/configuration.md anew, out of what the settings say of themselves.

A test says when it has to be run.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, MinLen

from aibrix_twisted.domain import settings as s

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

_INTRO: Final = """\
# Configuration

Made by `python -m tools.configuration_page` out of `domain/settings.py`; change it there.

The gateway reads one TOML file, `twistd aibrix-gateway --config FILE`. Every key has a default but for those that are
*required*; without a file all of them are as they are here. [`deploy/gateway.example.toml`](../deploy/gateway.example.toml)
is such a file, with every key. `--listen`, `--admin`, `--policy`, `--store` and `--replica` win over it.

**Nothing is guessed.** A key that is not known, a value of another kind or out of its bounds, and what does not go together
stop the start with exit code 2 and a line for each fault: file, line, key, what was found, what was expected.
`aibrixctl check FILE` says the same without a start.

**Changes.** `systemctl reload aibrix-gateway`, SIGHUP or `aibrixctl reload` reads the file again. A file that is wrong
changes nothing. Requests under way keep the settings that they began with. `listen` and `admin` take a restart or a
hand-over ([upgrades.md](upgrades.md)).

**Units** are seconds and bytes, unless a name says otherwise. Seconds may have a fraction, and are at most a year. A list is
`[…]`, a table `{…}` or a section of its own. Where a key names a file of PEM or a token, the process has to be able to read
it: [systemd.md](systemd.md#keys-and-tokens) says how under systemd.
"""

#: What is read beside a section, by its name in the file.
_BESIDE: Final = {
    "replica": "[fleet.md](fleet.md)",
    "replica.tls": "[tls.md](tls.md)",
    "model": "[fleet.md](fleet.md#models), [routing.md](routing.md)",
    "model.profiles.NAME": "[routing.md](routing.md)",
    "model.slo": "[routing.md](routing.md)",
    "gpu_profile": "[routing.md](routing.md)",
    "timeouts": "[security.md](security.md#bounds), [upgrades.md](upgrades.md)",
    "health": "[fleet.md](fleet.md)",
    "breaker": "[fleet.md](fleet.md)",
    "retry": "[request-life.md](request-life.md)",
    "hedge": "[fleet.md](fleet.md#what-is-sent-again)",
    "heal": "[healing.md](healing.md)",
    "queue": "[fleet.md](fleet.md#the-waiting-room)",
    "prefix_cache": "[routing.md](routing.md#what-is-known-of-caches)",
    "flight_recorder": "[routing.md](routing.md#why-this-one)",
    "discovery": "[fleet.md](fleet.md)",
    "discovery.dns": "[fleet.md](fleet.md)",
    "tls": "[tls.md](tls.md)",
    "tls.certificate": "[tls.md](tls.md)",
    "admin_auth": "[admin-api.md](admin-api.md)",
    "access_log": "[access-log.md](access-log.md)",
    "metrics": "[metrics.md](metrics.md)",
    "tracing": "[tracing.md](tracing.md)",
    "limits": "[security.md](security.md#bounds)",
}

_PRIMITIVES: Final[dict[Any, str]] = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number"}

#: Aliases that say a unit.
_ALIASES: Final[tuple[tuple[Any, str], ...]] = (
    (s.Seconds, "seconds, more than 0"),
    (s.SecondsOrNone, "seconds, 0 or more"),
    (s.Name, "text, not empty"),
)

_KIB: Final = 1024


class Section(NamedTuple):
    """One table of the file.

    @ivar name: with dots; empty at the top of the file.
    @ivar shown: its header, as the file has it.
    """

    name: str
    shown: str
    kind: type


def sections() -> Iterator[Section]:
    """All of them, in the order of L{aibrix_twisted.domain.settings.Settings}; what is within one follows it."""
    yield from _within(Section("", "", s.Settings))


def _within(section: Section) -> Iterator[Section]:
    yield section
    for name, hint in _hints(section.kind).items():
        below = _below(section, name, hint)
        if below is not None:
            yield from _within(below)


def _below(section: Section, name: str, hint: Any) -> Section | None:
    """The section that a key holds, if it holds one, or a list or a table of them."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    for kind in inner or (hint,):
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            path = f"{section.name}.{name}" if section.name else name
            path += ".NAME" if origin is dict else ""
            return Section(path, f"[[{path}]]" if origin is tuple else f"[{path}]", kind)
    return None


def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def page() -> str:
    """The whole of it.

    @raise ValueError: a section or a key does not say what it is for.
    """
    parts = [_INTRO]
    first: dict[type, Section] = {}
    for section in sections():
        heading = f"`{section.shown}`" if section.shown else "The top of the file"
        same = first.setdefault(section.kind, section)
        if same is not section:
            parts.append(f"\n## {heading}\n\nThe keys of `{same.shown}`.\n")
            continue
        purpose, keys = _said(section)
        parts.append(f"\n## {heading}\n\n{purpose}{_beside(section)}\n\n")
        parts.append("| key | is | default | |\n|---|---|---|---|\n")
        hints = _hints(section.kind)
        for field in dataclasses.fields(section.kind):
            below = _below(section, field.name, hints[field.name])
            if below is None:
                row = f"{in_words(hints[field.name])} | {_default(field)} | {keys[field.name]}"
            elif field.name in keys:
                row = f"`{below.shown}`, below | – | {keys[field.name]}"
            else:  # it has a name that says enough
                continue
            parts.append(f"| `{field.name}` | {row} |\n")
    return "".join(parts)


def _beside(section: Section) -> str:
    return f" See {_BESIDE[section.name]}." if section.name in _BESIDE else ""


def _said(section: Section) -> tuple[str, dict[str, str]]:
    """What a section's docstring says of it, and of each of its keys."""
    purpose, *ivars = re.split(r"^@ivar ", inspect.getdoc(section.kind) or "", flags=re.MULTILINE)
    if section.shown:  # else it is of the file as a whole
        begin = f"C{{{section.shown}}}: "
        if not purpose.startswith(begin):
            raise ValueError(f"{section.kind.__name__}: found {purpose!r}, expected it to begin with {begin!r}")
        purpose = purpose.removeprefix(begin)
    else:
        purpose = "these keys stand before the first section."
    keys = {}
    for ivar in ivars:
        name, _, text = ivar.partition(":")
        keys[name] = _sentence(text)
    hints = _hints(section.kind)
    plain = {name for name, hint in hints.items() if _below(section, name, hint) is None}
    if plain - set(keys) or set(keys) - set(hints):
        raise ValueError(
            f"{section.kind.__name__}: no @ivar for {sorted(plain - set(keys))}, no key for {sorted(set(keys) - set(hints))}"
        )
    return _sentence(purpose), keys


def _sentence(text: str) -> str:
    """Epytext of a docstring as one line of Markdown, fit for a table."""
    line = re.sub(r"[CL]\{(.*?)\}", r"`\1`", " ".join(text.split())).replace("|", "\\|")
    return line[:1].upper() + line[1:]


def in_words(hint: Any) -> str:
    """A type, and its bounds, for people.

    @raise ValueError: there are no words for it yet.
    """
    for alias, words in _ALIASES:
        if hint == alias:
            return words
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return in_words(inner[0]) + _bounds(inner[1:])
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin in (UnionType, typing.Union) and NoneType in inner:
        (kind,) = (kind for kind in inner if kind is not NoneType)
        return in_words(kind)
    if origin is tuple:
        return f"list of: {in_words(inner[0])}"
    if origin is dict:
        return f"table, by name: {in_words(inner[1])}"
    raise ValueError(f"no words for {hint!r}")


def _bounds(marks: tuple[Any, ...]) -> str:
    if any(isinstance(mark, MinLen) for mark in marks):
        return "; not empty"
    above = next((mark.gt for mark in marks if isinstance(mark, Gt)), None)
    least = next((mark.ge for mark in marks if isinstance(mark, Ge)), None)
    most = next((mark.le for mark in marks if isinstance(mark, Le)), None)
    if above is not None:
        return f", more than {above}" + (f", at most {most}" if most is not None else "")
    return f", {least} to {most}" if most is not None else f", {least} or more"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is dataclasses.MISSING:
        return "*required*"
    else:
        value = field.default
    if value is None:
        return "–"
    shown = f"`{json.dumps(value)}`"
    if field.name.endswith("_bytes") and isinstance(value, int) and value >= _KIB and value % _KIB == 0:
        shown += f" ({value >> 20} MiB)" if value % (1 << 20) == 0 else f" ({value >> 10} KiB)"
    return shown


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
