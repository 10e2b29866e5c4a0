"""Label names are from a closed set, and metrics are named as Prometheus names them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.families import FAMILIES, PREFIX
from aibrix_twisted.service.telemetry.labels import values_of

#: Never a user, a key, a request id or an address: each value of a label costs memory for ever.
_LABELS = frozenset(
    {
        "model", "replica", "policy", "route", "status", "outcome", "error_type", "phase", "event", "kind", "reason",
        "version",
    }
)  # fmt: skip

#: Those of OpenTelemetry's names: its own.
_GENAI_LABELS = frozenset(
    {"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type", "error_type"}
)


class MetricTests(SynchronousTestCase):
    """Every family of service/telemetry/families.py."""

    def test_there_are_some(self) -> None:
        """The other tests here are not about nothing."""
        self.assertGreater(len(FAMILIES), 8)

    def test_labels_are_from_the_set(self) -> None:
        """No other label name is used."""
        for family in FAMILIES:
            allowed = _LABELS if family.prefix == PREFIX else _GENAI_LABELS
            self.assertEqual(set(family.labels) - allowed, set(), family.name)

    def test_what_is_closed_is_listed(self) -> None:
        """The values of every label are, but of those that name what is in the fleet, or what engines say."""
        for family in FAMILIES:
            for label in family.labels:
                open_ended = label in ("model", "replica", "status", "version", "gen_ai_request_model")
                self.assertEqual(values_of(family, label) is None, open_ended, (family.name, label))

    def test_names_carry_units(self) -> None:
        """A histogram is of seconds; the exposition adds C{_total} to counters; no name comes twice."""
        names = [family.name for family in FAMILIES]
        self.assertEqual(len(names), len(set(names)))
        for family in FAMILIES:
            self.assertRegex(family.name, r"\A[a-z][a-z_]*\Z")
            self.assertFalse(family.name.endswith("_total"), family.name)
            of_seconds = family.name.endswith("_seconds") or family.name == "client_token_usage"
            self.assertTrue(family.kind != "histogram" or of_seconds, family.name)
            self.assertEqual(bool(family.bounds), family.kind == "histogram", family.name)

    def test_each_says_what_it_counts(self) -> None:
        """The help is a sentence."""
        wrong = [family.name for family in FAMILIES if not family.text.endswith(".")]
        self.assertEqual(wrong, [])
