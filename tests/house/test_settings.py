"""Settings are parsed once into frozen values; only service/config sees files and the environment (rule 12)."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain import settings
from tests.house.tree import PACKAGE, calls, imports, modules, name_of, tree

#: Who opens files besides service/config, and why.
_OPENERS = {
    Path(PACKAGE, "service", "telemetry", "log_file.py"): "writes the access log",
    Path(PACKAGE, "ctl", "install.py"): "puts the units that it brings in place",
    Path(PACKAGE, "ctl", "log_lines.py"): "reads the access log",
    Path(PACKAGE, "service", "discovery", "registry.py"): "keeps what was added over a restart",
    Path(PACKAGE, "service", "process", "memory.py"): "asks the system how much memory there is",
    Path(PACKAGE, "service", "process", "cgroup.py"): "asks the system how much memory is granted",
    Path(PACKAGE, "service", "exchange", "prefix_state.py"): "keeps what is known of caches over a restart",
}

#: Who reads the environment, and why.
_ENVIRONMENT = {
    Path(PACKAGE, "ctl", "main.py"): "an operator's shell says where the gateway is",
    Path(PACKAGE, "tap.py"): "a service manager says who it is, and a process before it which sockets there are",
}


def _sections() -> list[type]:
    return [
        kind
        for _, kind in inspect.getmembers(settings, inspect.isclass)
        if kind.__module__ == settings.__name__ and dataclasses.is_dataclass(kind)
    ]


class SettingsTests(SynchronousTestCase):
    """domain/settings.py."""

    def test_every_section_is_frozen(self) -> None:
        """No section can be changed after it was read, or take an attribute that it has not."""
        self.assertGreater(len(_sections()), 5)
        for kind in _sections():
            self.assertTrue(kind.__dataclass_params__.frozen, kind)  # type: ignore[attr-defined]
            self.assertIn("__slots__", kind.__dict__, kind)

    def test_every_section_is_hashable_in_parts(self) -> None:
        """Lists of a section are tuples: a frozen value with a list in it is not frozen."""
        for kind in _sections():
            for field in dataclasses.fields(kind):
                self.assertNotIn("list[", str(field.type), f"{kind.__name__}.{field.name}")

    def test_every_key_is_explained(self) -> None:
        """Each key that its name does not explain has an C{@ivar}; at least, each section has a docstring."""
        self.assertEqual([kind for kind in _sections() if len(inspect.getdoc(kind) or "") < 10], [])


class FileTests(SynchronousTestCase):
    """Files and the environment."""

    def test_nobody_else_opens_files(self) -> None:
        """Whoever needs a setting is given it."""
        wrong = [
            f"{path}:{line}: {name}"
            for path in modules()
            for line, name, _ in calls(tree(path))
            if (name in ("open", "os.open", "io.open") or name.rpartition(".")[2] in ("read_text", "read_bytes"))
            and Path(PACKAGE, "service", "config") not in path.parents
            and path not in _OPENERS
        ]
        self.assertEqual(wrong, [])

    def test_nobody_reads_the_environment(self) -> None:
        """What the gateway does depends on its configuration, and on nothing else."""
        wrong = [
            f"{path}:{line}"
            for path in modules()
            for line, name in imports(path)
            if name in ("os.environ", "os.getenv", "os.environb") and path not in _ENVIRONMENT
        ]
        wrong += [
            f"{path}:{node.lineno}"
            for path in modules()
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute)
            and name_of(node) in ("os.environ", "os.getenv", "os.environb")
            and path not in _ENVIRONMENT
        ]
        self.assertEqual(wrong, [])
