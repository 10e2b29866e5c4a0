"""Each source file has its test file, small files, and sentences that say what things are for."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, ROOT, listed, modules, text, tree

#: From how many lines on a file needs a reason.
_BIG = 400


def _mirror(path: Path) -> Path:
    return Path("tests", *path.parts[1:-1], f"test_{path.name}")


def _code(path: Path) -> bool:
    """Whether there is anything in it besides a docstring."""
    return any(not isinstance(node, ast.Expr) for node in tree(path).body)


class MirrorTests(SynchronousTestCase):
    """tests/ mirrors the package."""

    def test_each_file_has_its_test(self) -> None:
        """aibrix_twisted/x/y.py is tested by tests/x/test_y.py, or stands in mirror.txt."""
        elsewhere = listed("mirror.txt")
        missing = [
            str(_mirror(path))
            for path in modules()
            if path.name != "__init__.py" and str(path) not in elsewhere and not (ROOT / _mirror(path)).exists()
        ]
        self.assertEqual(len(missing), 0, "missing: " + " ".join(missing))

    def test_the_exceptions_are_needed(self) -> None:
        """mirror.txt names files that there are, without a mirror, and tests that there are."""
        for name, said in listed("mirror.txt").items():
            test, _, reason = said.partition(" ")
            self.assertTrue((ROOT / name).is_file(), name)
            self.assertFalse((ROOT / _mirror(Path(name))).exists(), f"{name} has its mirror test")
            self.assertTrue((ROOT / test).is_file(), test)
            self.assertTrue(reason, name)

    def test_init_files_hold_little(self) -> None:
        """A folder's C{__init__} has a docstring, or a list that joins its files, and no classes of its own."""
        for path in modules():
            if path.name == "__init__.py":
                kinds = [node for node in tree(path).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
                self.assertEqual(kinds, [], path)

    def test_every_test_folder_is_a_package(self) -> None:
        """Both trial and pytest find every test by its dotted name."""
        folders = {path.parent for path in modules("tests") if path.name.startswith("test_")}
        missing = [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists()]
        self.assertEqual(missing, [])


class SizeTests(SynchronousTestCase):
    """Files stay small."""

    def test_big_files_have_a_reason(self) -> None:
        """A file of more than 400 lines stands in big_files.txt; what stands there is as big."""
        big = {str(path) for path in modules(PACKAGE, "tests", "benchmarks") if text(path).count("\n") > _BIG}
        self.assertEqual(big, set(listed("big_files.txt")))
        self.assertEqual([name for name, reason in listed("big_files.txt").items() if not reason], [])


class SentenceTests(SynchronousTestCase):
    """Docstrings."""

    def test_modules_classes_and_functions_have_one(self) -> None:
        """Whatever is public in the package says what it is for."""
        wrong = []
        for path in modules():
            if _code(path) and path.name != "__init__.py" and not ast.get_docstring(tree(path)):
                wrong.append(str(path))
            wrong += [
                f"{path}:{node.lineno}: {node.name}" for node in _public(tree(path)) if not ast.get_docstring(node)
            ]
        self.assertEqual(wrong, [])

    def test_tests_have_one(self) -> None:
        """Each test says its intent."""
        wrong = [
            f"{path}:{node.lineno}: {node.name}"
            for path in modules("tests")
            for node in ast.walk(tree(path))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name.startswith("test_")
            and not ast.get_docstring(node)
        ]
        self.assertEqual(wrong, [])

    def test_annotations_are_not_evaluated(self) -> None:
        """Every module with code begins with C{from __future__ import annotations}, the plugins' excepted."""
        wrong = [
            str(path)
            for path in modules(PACKAGE, "tests", "benchmarks")
            if _code(path) and "from __future__ import annotations\n" not in text(path) and path.name != "__init__.py"
        ]
        self.assertEqual(wrong, [])


def _public(node: ast.AST) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public classes and functions, and public methods of public classes."""
    found: list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not child.name.startswith("_"):
            found.append(child)
            if isinstance(child, ast.ClassDef):
                found += _public(child)
    return found
