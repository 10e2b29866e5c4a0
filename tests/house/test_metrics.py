"""Label names are from a closed set, and metrics are named as Prometheus names them."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, calls, tree

_EXPOSITION = Path(PACKAGE, "service", "telemetry", "exposition.py")

#: Never a user, a key, a request id or an address: each value of a label costs memory for ever.
_LABELS = frozenset(
    {
        "model", "replica", "policy", "route", "status", "outcome", "error_type", "phase", "event", "kind", "reason",
        "version",
    }
)  # fmt: skip

_MAKERS = {"_counter": "counter", "_gauge": "gauge", "_histogram": "histogram"}


def _declared() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Kind, name, help, labels of each family."""
    found = []
    for _, called, call in calls(tree(_EXPOSITION)):
        if called in _MAKERS:
            name, text, labels = (ast.literal_eval(argument) for argument in call.args[:3])
            found.append((_MAKERS[called], name, text, labels))
    return found


class MetricTests(SynchronousTestCase):
    """Every family of service/telemetry/exposition.py."""

    def test_there_are_some(self) -> None:
        """The other tests here are not about nothing."""
        self.assertGreater(len(_declared()), 8)

    def test_labels_are_from_the_set(self) -> None:
        """No other label name is used."""
        wrong = {name: set(labels) - _LABELS for _, name, _, labels in _declared() if set(labels) - _LABELS}
        self.assertEqual(wrong, {})

    def test_names_carry_units(self) -> None:
        """A histogram is of seconds; the exposition adds C{_total} to counters; no name comes twice."""
        names = [name for _, name, _, _ in _declared()]
        self.assertEqual(len(names), len(set(names)))
        for kind, name, _, _ in _declared():
            self.assertRegex(name, r"\A[a-z][a-z_]*\Z")
            self.assertFalse(name.endswith("_total"), name)
            self.assertTrue(kind != "histogram" or name.endswith("_seconds"), name)

    def test_each_says_what_it_counts(self) -> None:
        """The help is a sentence."""
        wrong = [name for _, name, text, _ in _declared() if not text.endswith(".") and not text[0].isdigit()]
        self.assertEqual(wrong, [])
