"""The tree as the house rules read it: files, their text, their syntax."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = "aibrix_twisted"
HERE: Final = ROOT / "tests" / "house"

#: The rooms that know neither a reactor nor a clock.
PURE: Final = ("domain", "wire", "policy", "interfaces.py", "errors.py")

#: Folders that are made, not written.
_MADE: Final = frozenset({"build", "dist", "node_modules", "__pycache__"})


@cache
def files() -> tuple[Path, ...]:
    """Every file that is ours, relative to the root: what git knows or would take; without git, what is there."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        found = {Path(name.decode()) for name in listed.stdout.split(b"\0") if name}
    else:
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*")}
    return tuple(sorted(path for path in found if (ROOT / path).is_file() and not _is_made(path)))


def _is_made(path: Path) -> bool:
    return any(part in _MADE or part.endswith(".egg-info") or part.startswith(".venv") for part in path.parts)


def modules(*below: str) -> tuple[Path, ...]:
    """Our Python files below these places, relative to the root; without a place, the whole package."""
    places = [Path(place) for place in below] or [Path(PACKAGE)]
    return tuple(
        path
        for path in files()
        if path.suffix == ".py" and any(path == place or place in path.parents for place in places)
    )


def pure_modules() -> tuple[Path, ...]:
    """The modules of the pure rooms."""
    return modules(*(f"{PACKAGE}/{room}" for room in PURE))


@cache
def text(path: Path) -> str:
    """A file's text; what is not UTF-8 is replaced."""
    return (ROOT / path).read_text("utf-8", "replace")


@cache
def tree(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(text(path), str(path))


def dotted(path: Path) -> str:
    """The module's name as Python has it."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_only: bool = False) -> Iterator[tuple[int, str]]:
    """What a module imports: line and full name, C{from a import b} as C{a.b}.

    @param top_only: leave out what is imported within functions.
    """
    found = _top_level(tree(path)) if top_only else ast.walk(tree(path))
    for node in found:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _top_level(child)


def name_of(node: ast.AST) -> str:
    """C{a.b.c} of a chain of names; what is no chain of names is C{?}."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def calls(node: ast.AST) -> Iterator[tuple[int, str, ast.Call]]:
    """Every call in it: its line, the name that is called, the call."""
    for child in ast.walk(node):
        if isinstance(child, ast.Call):
            yield child.lineno, name_of(child.func), child


def functions(node: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function in it by its qualified name, nested ones too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            name = f"{within}{child.name}"
            yield name, child
            yield from functions(child, f"{name}.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{within}{child.name}.")
        else:
            yield from functions(child, within)


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """The classes of a module."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def listed(name: str) -> dict[str, str]:
    """A list of exceptions: on each line an entry, and after white space what is said of it."""
    entries: dict[str, str] = {}
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            entry, _, reason = line.partition(" ")
            assert entry not in entries, f"{name}: {entry} stands there twice"
            entries[entry] = reason.strip()
    return entries
