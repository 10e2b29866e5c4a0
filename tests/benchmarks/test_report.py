"""From measurements to what is said of them."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.process_cost import cpu_ns, pss_bytes, tree
from benchmarks.report import Budget, failures, ratios, spread


class ReportTests(SynchronousTestCase):
    """Ratios, and whether budgets are kept."""

    def test_ratios_are_round_by_round(self) -> None:
        """Never of one round to another's."""
        self.assertEqual(ratios([2.0, 9.0], [1.0, 3.0]), [2.0, 3.0])
        self.assertRaises(ValueError, ratios, [1.0], [1.0, 2.0])
        self.assertEqual(spread([3.0, 1.0, 2.0]), "2.00 (1.00 to 3.00)")

    def test_failures(self) -> None:
        """Each budget that is exceeded is said, with what was measured; one that is kept is not."""
        good = (
            {"gateway": [20.0], "haproxy": [10.0], "vllm-router": [21.0]},
            {"gateway": [13.0], "haproxy": [10.0], "vllm-router": [14.0]},
        )
        self.assertEqual(failures(*good, {"gateway": 16.0}, Budget()), [])
        bad = ({"gateway": [23.0], "haproxy": [10.0], "vllm-router": [23.0]}, {"gateway": [15.0], "haproxy": [10.0]})
        said = failures(*bad, {"gateway": 17.0}, Budget())
        self.assertEqual(len(said), 4)
        self.assertEqual(said[0], "gateway: CPU per request is 2.30 x HAProxy's: 2.2 at most")

    def test_a_subject_that_is_missing(self) -> None:
        """Is not compared with."""
        self.assertEqual(failures({"gateway": [99.0]}, {"gateway": [99.0]}, {"gateway": 1.0}, Budget()), [])


class ProcessCostTests(SynchronousTestCase):
    """Read of ourselves."""

    def test_of_this_process(self) -> None:
        """It is in its own tree, has used some time, and has some memory."""
        self.assertIn(os.getpid(), tree(os.getpid()))
        before = cpu_ns(os.getpid())
        sum(range(2_000_000))
        self.assertGreater(cpu_ns(os.getpid()), before)
        self.assertGreater(pss_bytes(os.getpid()), 1 << 20)
        self.assertEqual(cpu_ns(2**22 - 1), 0)
