"""Every buffer has a bound, and it is written down (rule 10)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, functions, listed, modules, name_of, tree

_GROWS = frozenset({"append", "appendleft", "extend"})


def _growers(path: Path) -> Iterator[str]:
    """Attributes to which a function adds bytes that it was given, and queues without a C{maxlen}."""
    for _, function in functions(tree(path)):
        given = {
            argument.arg
            for argument in (*function.args.args, *function.args.kwonlyargs)
            if argument.annotation is not None and "bytes" in ast.unparse(argument.annotation)
        }
        for node in ast.walk(function):
            grown = _grown(node, given)
            if grown:
                yield f"{path}:{grown.rpartition('.')[2]}"
    for node in ast.walk(tree(path)):
        queue = _unbounded(node)
        if queue:
            yield f"{path}:{queue.rpartition('.')[2]}"


def _grown(node: ast.AST, given: set[str]) -> str:
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Attribute):
        return name_of(node.target) if _is_given(node.value, given) else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWS:
        return name_of(node.func.value) if any(_is_given(argument, given) for argument in node.args) else ""
    return ""


def _unbounded(node: ast.AST) -> str:
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
        made = node.value
        if name_of(made.func) == "deque" and "maxlen" not in [keyword.arg for keyword in made.keywords]:
            return name_of(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
    return ""


def _is_given(value: ast.AST, given: set[str]) -> bool:
    """Bytes as they were given, whole or in part, by themselves or within a sum."""
    if isinstance(value, ast.BinOp):
        return _is_given(value.left, given) or _is_given(value.right, given)
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, ast.Slice) and _is_given(value.value, given)
    return isinstance(value, ast.Name) and value.id in given


class BufferTests(SynchronousTestCase):
    """buffers.txt."""

    def test_each_buffer_is_written_down(self) -> None:
        """What grows by bytes that others send is in the list with its bound, and the list names nothing else."""
        found = {grown for path in modules(PACKAGE) for grown in _growers(path)}
        self.assertEqual(sorted(found), sorted(listed("buffers.txt")))

    def test_each_has_its_bound(self) -> None:
        """No entry is without a reason."""
        self.assertEqual([entry for entry, bound in listed("buffers.txt").items() if not bound], [])
