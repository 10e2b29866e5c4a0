"""Arrows point down, and the pure rooms are pure (rules 1 to 3).

import-linter holds the layers (C{make lint}); what is here is what it cannot say.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, ROOT, dotted, imports, modules, pure_modules

#: Whatever has a reactor, a clock, a lot, or a socket in it.
_IMPURE = frozenset({"twisted", "socket", "ssl", "select", "asyncio", "threading", "time", "random", "secrets", "os"})

#: Who may import the reactor, within a function: those that start the process.
_STARTERS = {Path(PACKAGE, "tap.py"), Path(PACKAGE, "demo", "__main__.py")}

#: Parts of service/ that others may use: they know of nobody.
_COMMON = frozenset({"wheel", "owned", "reactor", "seldom", "tls", "whole_file"})

#: Who joins the parts together.
_JOINERS = frozenset({"audit", "exchange", "process", "gateway", "reactor", "workers"})

#: And who else uses a neighbour, with the reason.
_NEIGHBOURS = {
    ("admin", "config"): "a replica that is added is checked like one in a file",
    ("admin", "exchange"): "the admin listener is where it is asked why a replica was chosen",
    ("admin", "discovery"): "the admin listener is where the fleet is shown and changed",
    ("admin", "telemetry"): "the admin listener is where the metrics are read",
    ("discovery", "health"): "whoever keeps the fleet asks each replica how it is",
    ("tls", "config"): "certificates are read as they were when the settings were checked",
    ("tls", "downstream"): "what waits to be sent is told of a transport in one place",
    ("discovery", "config"): "a replica's key is read from its file when the replica is made",
}


class PurityTests(SynchronousTestCase):
    """domain/, wire/ and policy/."""

    def test_nothing_impure_is_imported(self) -> None:
        """A pure room imports nothing with a reactor, a clock, a lot or a socket in it, at whatever depth."""
        wrong = [
            f"{path}:{line} imports {name}"
            for path in pure_modules()
            for line, name in imports(path)
            if name.partition(".")[0] in _IMPURE
        ]
        self.assertEqual(wrong, [])

    def test_they_load_without_twisted(self) -> None:
        """A fresh interpreter that imports every pure module has loaded nothing of what they must not know."""
        names = [dotted(path) for path in pure_modules()]
        self.assertGreater(len(names), 20)
        unwanted = ("twisted", "asyncio", "treq", "pydantic", "prometheus_client", f"{PACKAGE}.service")
        program = (
            f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
            f"print(*(name for name in {unwanted!r} if name in sys.modules))"
        )
        loaded = subprocess.run(
            (sys.executable, "-c", program), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        self.assertEqual((loaded.stdout.strip(), loaded.stderr, loaded.returncode), ("", "", 0))


class ReactorTests(SynchronousTestCase):
    """Who imports the reactor chooses it for everyone."""

    def test_nobody_imports_it_at_the_top(self) -> None:
        """No module of the package imports the reactor when it is itself imported."""
        wrong = [
            f"{path}:{line}"
            for path in modules()
            for line, name in imports(path, top_only=True)
            if name == "twisted.internet.reactor"
        ]
        self.assertEqual(wrong, [])

    def test_only_starters_import_it(self) -> None:
        """Only what starts a process imports it at all; all others are given it."""
        importers = {
            path for path in modules() for _, name in imports(path) if name.startswith("twisted.internet.reactor")
        }
        self.assertEqual(importers, _STARTERS)


class ServiceTests(SynchronousTestCase):
    """service/ is many parts that do not know each other."""

    def test_parts_do_not_know_each_other(self) -> None:
        """A part imports another only where it joins them, or where the exception is written down here."""
        prefix = f"{PACKAGE}.service."
        used: set[tuple[str, str]] = set()
        wrong = []
        for path in modules(f"{PACKAGE}/service"):
            part = dotted(path).removeprefix(prefix).partition(".")[0]
            for line, name in imports(path):
                other = name.removeprefix(prefix).partition(".")[0]
                if not name.startswith(prefix) or other == part or other in _COMMON or part in _JOINERS:
                    continue
                used.add((part, other))
                if (part, other) not in _NEIGHBOURS:
                    wrong.append(f"{path}:{line}: {part} imports {other}")
        self.assertEqual(wrong, [])
        self.assertEqual(used, set(_NEIGHBOURS), "an exception that nobody needs any more")
