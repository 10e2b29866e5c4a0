"""Label names are from a closed set, and metrics are named as Prometheus names them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.families import FAMILIES

#: Never a user, a key, a request id or an address: each value of a label costs memory for ever.
_LABELS = frozenset(
    {
        "model", "replica", "policy", "route", "status", "outcome", "error_type", "phase", "event", "kind", "reason",
        "version",
    }
)  # fmt: skip


class MetricTests(SynchronousTestCase):
    """Every family of service/telemetry/families.py."""

    def test_there_are_some(self) -> None:
        """The other tests here are not about nothing."""
        self.assertGreater(len(FAMILIES), 8)

    def test_labels_are_from_the_set(self) -> None:
        """No other label name is used."""
        wrong = {family.name: set(family.labels) - _LABELS for family in FAMILIES if set(family.labels) - _LABELS}
        self.assertEqual(wrong, {})

    def test_names_carry_units(self) -> None:
        """A histogram is of seconds; the exposition adds C{_total} to counters; no name comes twice."""
        names = [family.name for family in FAMILIES]
        self.assertEqual(len(names), len(set(names)))
        for family in FAMILIES:
            self.assertRegex(family.name, r"\A[a-z][a-z_]*\Z")
            self.assertFalse(family.name.endswith("_total"), family.name)
            self.assertTrue(family.kind != "histogram" or family.name.endswith("_seconds"), family.name)

    def test_each_says_what_it_counts(self) -> None:
        """The help is a sentence."""
        wrong = [family.name for family in FAMILIES if not family.text.endswith(".")]
        self.assertEqual(wrong, [])
