"""C{python -m tests.simulation.mutants}: each mutation, and whether its seed shows it.

C{--find FIRST-LAST [NAME...]} looks for seeds that show them.  Each is a process of its own, forked once what they share
has been imported; it imports the package with the one line changed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.simulation.mutations import MUTATIONS, Mutation

PACKAGE = Path(__file__).parents[2] / "aibrix_twisted"

#: What every one of them imports, and is not changed.
_SHARED = ("orjson", "pydantic", "httptools", "prometheus_client", "twisted.web.client", "twisted.web.server",
           "twisted.internet.epollreactor", "twisted.application.strports")  # fmt: skip

#: Where its seed shows a mutation no longer, because what a seed means has changed, these are tried.
SEARCHED = 300

#: A mutant that never ends is found, too; in seconds of CPU.
MOST_S = 120


def mutated(mutation: Mutation) -> str:
    """The source of its file, with its line changed.

    @raise ValueError: the line is not there, or not once.
    """
    lines = (PACKAGE / mutation.file).read_text().split("\n")
    found = [number for number, line in enumerate(lines) if line.strip() == mutation.old]
    if len(found) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} has its line {len(found)} times: {mutation.old}")
    line = lines[found[0]]
    lines[found[0]] = line[: len(line) - len(line.lstrip())] + mutation.new
    return "\n".join(lines)


class _Mutating(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module otherwise than it is written."""

    def __init__(self, mutation: Mutation) -> None:
        self._name = "aibrix_twisted." + mutation.file.removesuffix(".py").replace("/", ".")
        self._path = str(PACKAGE / mutation.file)
        self._code = compile(mutated(mutation), self._path, "exec")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def found_by(mutation: Mutation, seeds: Iterable[int]) -> tuple[int, str] | None:
    """In this process, which has not imported the package: the first seed that shows it, and how."""
    sys.meta_path.insert(0, _Mutating(mutation))
    run = importlib.import_module("tests.simulation.run")
    run.settle()
    for seed in seeds:
        try:
            wrong = run.run_seed(seed)[1]
        except Exception:  # noqa: BLE001 - whatever it breaks
            return seed, traceback.format_exc().splitlines()[-1]
        if wrong:
            return seed, wrong[0]
    return None


def forked(mutation: Mutation, seeds: Iterable[int]) -> bool:
    """In a process of its own: say what was found.

    @return: whether anything was.
    """
    child = os.fork()
    if child:
        code = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(code):
            print(f"{mutation.name}: found, for it never ends", flush=True)
        return os.WIFSIGNALED(code) or os.WEXITSTATUS(code) == 0
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is logged is told of what was found
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
        found = found_by(mutation, seeds)
        if found is None:
            print(f"{mutation.name}: NOT FOUND", flush=True)
        else:
            print(f"{mutation.name}: {found[0]}: {found[1][:200]}", flush=True)
            status = 0
    except BaseException:  # noqa: BLE001 - it must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def main(arguments: Sequence[str]) -> int:
    """@return: an exit code."""
    for name in _SHARED:
        importlib.import_module(name)
    seeds: range | None = None
    if arguments[:1] == ["--find"]:
        first, _, last = arguments[1].partition("-")
        seeds, arguments = range(int(first), int(last) + 1), arguments[2:]
    chosen = [one for one in MUTATIONS if not arguments or one.name in arguments]
    found = sum(forked(one, (one.seed, *range(SEARCHED)) if seeds is None else seeds) for one in chosen)
    print(f"{found} of {len(chosen)} mutations found")
    return found != len(chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
