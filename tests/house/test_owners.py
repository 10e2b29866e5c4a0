"""Every Deferred has an owner (rule 7): mypy sees to it, and here we see to mypy."""

from __future__ import annotations

import ast
import tomllib

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, ROOT, modules, name_of, tree

#: What returns a Deferred, by the last part of its name.  mypy knows more; this needs no types.
_DEFERRED = frozenset(
    {
        "addBoth", "addCallback", "addCallbacks", "addErrback", "deferLater", "deferToThread", "deferToThreadPool",
        "ensureDeferred", "fromCoroutine", "maybeDeferred", "stopListening",
    }
)  # fmt: skip


class OwnerTests(SynchronousTestCase):
    """Deferreds that nobody waits for."""

    def test_mypy_refuses_them(self) -> None:
        """Type checking is strict, covers the package, and refuses an awaitable that is dropped."""
        mypy = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
        self.assertTrue(mypy["strict"])
        self.assertIn(PACKAGE, mypy["files"])
        self.assertIn("unused-awaitable", mypy["enable_error_code"])

    def test_none_is_dropped(self) -> None:
        """No statement of the package is nothing but a call that returns a Deferred."""
        wrong = [
            f"{path}:{node.lineno}"
            for path in modules()
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and name_of(node.value.func).rpartition(".")[2] in _DEFERRED
        ]
        self.assertEqual(wrong, [])
