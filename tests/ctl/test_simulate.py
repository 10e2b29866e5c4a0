"""Traces replayed by the command."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import orjson
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.script import Ran, Script

TRACE = "".join(
    f'{{"timestamp": {100 * n}, "input_length": 1024, "output_length": 5, "hash_ids": [{n % 5}, {50 + n % 5}]}}\n'
    for n in range(250)
)


class SimulateTests(SynchronousTestCase):
    """aibrixctl simulate."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.trace = Path(place.name, "trace.jsonl")
        self.trace.write_text(TRACE)

    def simulate(self, *options: str) -> Ran:
        """No gateway answers anything."""
        return Script().run("simulate", "--trace", str(self.trace), *options)

    def test_table(self) -> None:
        """A row for each policy, in the order that they were asked for."""
        done = self.simulate("--policy", "random,auto", "--policy", "prefix-cache:2+least-request", "--replicas", "3")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(done.rows[0], ["POLICY", "HIT RATE", "TTFT MEAN", "P50", "P99", "TPOT", "IMBALANCE"])
        self.assertEqual([row[0] for row in done.rows[1:]], ["random", "least-work", "prefix-cache:2,least-request"])
        self.assertTrue(done.rows[1][1].endswith(" %"))

    def test_for_scripts(self) -> None:
        """All figures, and the same each time; a faster clock is a harder time."""
        documents = [
            orjson.loads(self.simulate("--json", "--policy", "random", *more).out)
            for more in ((), (), ("--speed", "20"))
        ]
        self.assertEqual(documents[0], documents[1])
        self.assertEqual(documents[0]["requests"], 250)
        slow, fast = (document["policies"]["random"]["ttft_mean_s"] for document in documents[1:])
        self.assertLess(slow, fast)

    def test_all_of_them(self) -> None:
        """By default."""
        self.assertGreater(len(self.simulate("--replicas", "2").rows), 20)

    def test_plot(self) -> None:
        """A picture, of the kind that its name says."""
        path = self.trace.with_name("ttft.svg")
        self.assertEqual(self.simulate("--policy", "random,auto", "--plot", str(path)).code, 0)
        self.assertIn("<svg", path.read_text())
        done = self.simulate("--policy", "random", "--plot", str(self.trace.with_name("x.nothing")))
        self.assertEqual(done.code, 2)
        self.assertIn("--plot", done.err)

    def test_no_plots(self) -> None:
        """What makes them is not installed with the gateway; it is said what to do."""
        self.patch(sys, "modules", {**sys.modules, "matplotlib.figure": None})
        done = self.simulate("--policy", "random", "--plot", str(self.trace.with_name("ttft.svg")))
        self.assertEqual(done.code, 2)
        self.assertIn("pip install 'aibrix-twisted[plot]'", done.err)

    def test_wrong(self) -> None:
        """Policies and traces that are none are named, and nothing is replayed."""
        for options, said in (
            (("--policy", "best"), "--policy: incorrect routing strategy 'best'"),
            (("--policy", "random+throughput"), "random gives no scores"),
            (("--policy", "random,"), "--policy: incorrect routing strategy ''"),
        ):
            done = self.simulate(*options)
            self.assertEqual((done.code, done.out), (2, ""))
            self.assertIn(said, done.err)
        self.trace.write_text(TRACE + "{}\n")
        self.assertIn("line 251: timestamp: expected a number", self.simulate().err)
        self.trace.unlink()
        self.assertEqual(self.simulate().code, 2)

    def test_wrong_numbers(self) -> None:
        """Are refused before anything is read."""
        for option, value in (("--replicas", "0"), ("--cache-blocks", "x"), ("--speed", "-1"), ("--speed", "nan")):
            error = self.assertRaises(SystemExit, self.simulate, option, value)
            self.assertEqual(error.code, 2)
