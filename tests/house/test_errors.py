"""Failures are classes that know four things, and nobody catches everything but at the doors (rule 11)."""

from __future__ import annotations

import inspect
import re
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted import errors
from aibrix_twisted.errors import Fault, GatewayError
from tests.house.tree import PACKAGE, modules, text

#: Where everything is caught, how often, and why there.
_DOORS = {
    "service/downstream/protocol.py": 3,  # bytes of a client come in; its next request is begun; either goes wrong
    "service/exchange/run.py": 1,  # a stream that broke is continued; if that goes wrong, nobody else would end it
    "service/upstream/protocol.py": 1,  # bytes of an engine come in
    "service/audit/auditor.py": 2,  # a check, or a repair, that fails must not end the audits
    "service/wheel.py": 1,  # one deadline that fails must not stop all others
    "service/direct.py": 1,  # as in Twisted: it ends one connection
}


def _walk(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _walk(below))]


def _leaves() -> list[type[GatewayError]]:
    return [kind for kind in _walk(GatewayError) if not kind.__subclasses__()]


class ErrorTreeTests(SynchronousTestCase):
    """errors.py."""

    def test_each_knows_four_things(self) -> None:
        """Whose fault, which status and code, whether to try again, whether the breaker counts it."""
        for kind in _leaves():
            self.assertIsInstance(kind.fault, Fault, kind)
            self.assertTrue(400 <= kind.status <= 599, kind)
            self.assertIsInstance(kind.retryable, bool, kind)
            self.assertIsInstance(kind.trips_breaker, bool, kind)
            self.assertRegex(kind.code or "", r"\A[a-z_]+\Z", kind)

    def test_its_name_says_whose_fault(self) -> None:
        """C{error_type} begins with the fault, as the metric's users expect, and is no other class's."""
        for kind in _leaves():
            self.assertTrue(kind.error_type.startswith(f"{kind.fault.value}_"), kind)
        for what in ("error_type", "code"):
            twice = [value for value, count in Counter(getattr(kind, what) for kind in _leaves()).items() if count > 1]
            self.assertEqual(twice, [], what)

    def test_client_faults_are_not_retried(self) -> None:
        """What is the client's fault is not sent again, and no breaker counts it."""
        for kind in _leaves():
            if kind.fault in (Fault.CLIENT, Fault.POLICY):
                self.assertTrue(kind.status < 500, kind)
                self.assertFalse(kind.retryable or kind.trips_breaker, kind)

    def test_the_docstring_draws_the_tree(self) -> None:
        """The tree at the head of the module is the tree of the classes."""
        drawn = set(
            re.findall(r"\b[A-Z][A-Za-z]+\b", inspect.getdoc(errors).partition("::")[2].partition("Each class")[0])
        )
        self.assertEqual(drawn, {kind.__name__ for kind in _walk(GatewayError)})

    def test_each_says_when(self) -> None:
        """Every class has a docstring of its own."""
        self.assertEqual([kind for kind in _walk(GatewayError) if not kind.__dict__.get("__doc__")], [])


class DoorTests(SynchronousTestCase):
    """C{except Exception}."""

    def test_only_doors_catch_everything(self) -> None:
        """Everything is caught only where the list says, and each place says why."""
        found: Counter[str] = Counter()
        for path in modules(PACKAGE):
            for line in text(path).splitlines():
                if re.search(r"except(?: \(?(?:Base)?Exception\b.*)?:", line):
                    found[str(path.relative_to(PACKAGE))] += 1
                    self.assertRegex(line, r"# noqa: BLE001 - \w+", path)
        self.assertEqual(found, Counter(_DOORS))
