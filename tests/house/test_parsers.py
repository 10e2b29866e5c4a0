"""A parser keeps its own remainder, has feed and finish, has a cap, and is tested cut anywhere (rule 4)."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, classes, modules, text


def _parsers() -> list[tuple[Path, ast.ClassDef, dict[str, ast.FunctionDef]]]:
    found = []
    for path in modules(f"{PACKAGE}/wire"):
        for node in classes(path):
            methods = {child.name: child for child in node.body if isinstance(child, ast.FunctionDef)}
            if "feed" in methods and not node.name.startswith("_"):
                found.append((path, node, methods))
    return found


class ParserTests(SynchronousTestCase):
    """Every class of wire/ that is fed."""

    def test_there_are_parsers(self) -> None:
        """The other tests here are not about nothing."""
        self.assertGreaterEqual(len(_parsers()), 5)

    def test_they_are_told_of_the_end(self) -> None:
        """Each has C{finish}: what a cut means is for the parser to say."""
        self.assertEqual([node.name for _, node, methods in _parsers() if "finish" not in methods], [])

    def test_they_have_a_cap(self) -> None:
        """Each takes C{max_bytes} by name, and uses it."""
        wrong = []
        for path, node, methods in _parsers():
            arguments = methods["__init__"].args.kwonlyargs if "__init__" in methods else []
            if "max_bytes" not in [argument.arg for argument in arguments] or text(path).count("max_bytes") < 2:
                wrong.append(node.name)
        self.assertEqual(wrong, [])

    def test_they_are_cut_anywhere(self) -> None:
        """The mirror test of each names it, and cuts what it feeds at every byte."""
        wrong = []
        for path, node, _ in _parsers():
            mirror = Path("tests", "wire", f"test_{path.name}")
            tested = text(mirror)
            if node.name not in tested or "cuts" not in tested:
                wrong.append(f"{mirror}: {node.name}")
        self.assertEqual(wrong, [])
