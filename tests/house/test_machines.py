"""A machine has its table beside it, sets its own state first, and calls other people's code last (rule 5)."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, calls, dotted, functions, modules, name_of, text, tree

#: Other people's code, by the names that a machine has for it.
_OTHERS = frozenset({"_consumer", "_transport", "transport", "_owner", "_sink", "_reply"})


def _machines() -> list[Path]:
    """Modules of the pure rooms that have a phase."""
    return [path for path in modules(f"{PACKAGE}/domain", f"{PACKAGE}/wire") if "self._phase =" in text(path)]


class MachineTests(SynchronousTestCase):
    """Every module with a phase."""

    def test_there_is_one(self) -> None:
        """The other tests here are not about nothing."""
        self.assertIn(Path(PACKAGE, "domain", "assembly.py"), _machines())

    def test_the_table_ends(self) -> None:
        """Each has C{TRANSITIONS} for every phase, and its last row leads nowhere else, whatever comes."""
        for path in _machines():
            table = importlib.import_module(dotted(path)).TRANSITIONS
            last = list(table)[-1]
            self.assertEqual(set(table), set(type(last)), path)
            self.assertEqual(set(table[last].values()), {last}, path)
            self.assertEqual(set(table[last]), {event for row in table.values() for event in row}, path)

    def test_the_mirror_tests_the_table_and_every_frame(self) -> None:
        """The test of each walks the table, and comes back beneath the frames of whoever is told."""
        for path in _machines():
            tested = text(Path("tests", *path.parts[1:-1], f"test_{path.name}"))
            self.assertIn("TRANSITIONS", tested, path)
            self.assertIn("beneath", tested, path)

    def test_state_first(self) -> None:
        """In a method that changes the phase, nobody else is called on a line before that change."""
        wrong = []
        for path in _machines():
            for name, function in functions(tree(path)):
                changes = [
                    node.lineno
                    for node in ast.walk(function)
                    if isinstance(node, ast.Assign) and name_of(node.targets[0]) == "self._phase"
                ]
                wrong += [
                    f"{path}:{line}: {name} calls {called} before it has changed its phase"
                    for line, called, _ in calls(function)
                    if changes and line < changes[0] and _OTHERS & set(called.split(".")[:-1])
                ]
        self.assertEqual(wrong, [])
