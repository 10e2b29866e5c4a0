"""Nothing per chunk but bytes (rule 9)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import dotted, functions, listed, modules, name_of, tree

#: Names that must not stand in a hot function: what makes objects, timers, log lines or documents.
_COSTLY = frozenset(
    {
        "Deferred", "LoopingCall", "callLater", "callFromThread", "callWithLogger", "deferLater", "maybeDeferred",
        "labels", "observe", "inc", "loads", "dumps", "decode", "encode", "split", "splitlines", "getLogger", "info",
        "debug", "warn", "warning", "msg", "partial", "deepcopy", "replace", "datetime",
    }
)  # fmt: skip

_FORMS: dict[type[ast.AST], str] = {
    ast.Await: "await",
    ast.Yield: "yield",
    ast.Lambda: "a lambda",
    ast.FunctionDef: "a function",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.GeneratorExp: "a generator",
    ast.With: "with",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
}


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """What runs for every chunk: not what handles an error, or raises one."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.ExceptHandler, ast.Raise)):
            yield child
            yield from _walked(child)


class HotTests(SynchronousTestCase):
    """hot.txt, and what stands in its functions."""

    def setUp(self) -> None:
        self.listed = listed("hot.txt")
        self.found = {
            f"{dotted(path)}:{name}": function for path in modules() for name, function in functions(tree(path))
        }

    def test_each_is_there(self) -> None:
        """The list names functions that there are."""
        self.assertEqual(set(self.listed) - set(self.found), set())

    def test_what_is_marked_is_listed(self) -> None:
        """A function whose docstring says HOT is in the list."""
        marked = {name for name, function in self.found.items() if "HOT" in (ast.get_docstring(function) or "")}
        self.assertEqual(marked - set(self.listed), set())

    def test_nothing_costly(self) -> None:
        """None makes a Deferred, a timer, a log line, a document or a closure, but where an error is handled."""
        wrong = []
        for name, said in self.listed.items():
            allowed = {word.removeprefix("may=") for word in said.split() if word.startswith("may=")}
            function = self.found[name]
            for node in (found for statement in function.body for found in (statement, *_walked(statement))):
                form = _FORMS.get(type(node))
                if form is not None:
                    wrong.append(f"{name}: {form}")
                called = name_of(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
                if called in _COSTLY - allowed:
                    wrong.append(f"{name}: {called}")
        self.assertEqual(wrong, [])
