"""On which line of a TOML file is a setting?  For messages only; the file is read by C{tomllib}."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_TABLE: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_ARRAY: Final = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?")
_KEY: Final = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")

Path = tuple[str | int, ...]


class Lines:
    """Where each key and table of a file begins."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        counts: dict[Path, int] = {}
        table: Path = ()
        for number, line in enumerate(text.splitlines(), 1):
            if match := _ARRAY.fullmatch(line):
                name = _parts(match[1])
                table = (*name, counts.get(name, 0))
                counts[name] = counts.get(name, 0) + 1
                self._lines.setdefault(name, number)
                self._lines[table] = number
            elif match := _TABLE.fullmatch(line):
                table = self._last_of(_parts(match[1]), counts)
                self._lines.setdefault(table, number)
            elif match := _KEY.match(line):
                self._lines.setdefault((*table, *_parts(match[1])), number)

    def of(self, path: Sequence[str | int]) -> int | None:
        """The line of a setting, or of the nearest thing around it that has one."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(tuple(path[:length]))
            if line is not None:
                return line
        return None

    @staticmethod
    def _last_of(name: Path, counts: dict[Path, int]) -> Path:
        """C{[replica.tls]} belongs to the last C{[[replica]]}."""
        for length in range(len(name), 0, -1):
            if name[:length] in counts:
                return (*name[:length], counts[name[:length]] - 1, *name[length:])
        return name


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def dotted(path: Sequence[str | int]) -> str:
    """C{replica[1].url}, as people say it."""
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    return said
