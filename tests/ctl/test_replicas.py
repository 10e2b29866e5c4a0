"""The table of replicas."""

from __future__ import annotations

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.replicas import ago
from tests.ctl.script import Script, ran, replica


class ReplicasTests(SynchronousTestCase):
    """aibrixctl replicas."""

    def test_a_row_each(self) -> None:
        """All that decides whether a replica is used, with the reason."""
        busy = replica(
            load={"running": 3, "waiting": 0, "kv_usage": 0.124, "age_s": 0.4},
            in_flight=4,
            max_in_flight=16,
            models=["a", "b", "c", "d", "e"],
            source="registered",
            expires_in_s=29.1,
        )
        down = replica("gpu1", state="down", reason="connection refused", since_s=130.0, engine=None, models=None)
        script = Script({"replicas": [busy, down], "problems": []})
        done = script.run("replicas")
        self.assertEqual((done.code, done.err, script.asked), (0, "", [("GET", "/api/replicas", None)]))
        self.assertEqual(
            done.rows,
            [
                ["NAME", "URL", "ENGINE", "STATE", "WHY", "MODELS", "IN-FLIGHT", "RUNNING", "WAITING", "KV", "SOURCE"],
                ["gpu0", "http://gpu0:8000", "vllm", "up", "for 12s", "a, b, c +2", "4/16", "3", "0", "12%",
                 "registered (29s left)"],
                ["gpu1", "http://gpu1:8000", "-", "down", "connection refused (for 2m)", "not known yet", "0", "-", "-",
                 "-", "static"],
            ],
        )  # fmt: skip

    def test_problems_are_beside_the_table(self) -> None:
        """A provider that fails is no replica."""
        done = ran({"replicas": [], "problems": ["file /x.toml: not TOML"]}, "replicas")
        self.assertEqual((done.code, len(done.rows), done.err), (0, 1, "problem: file /x.toml: not TOML\n"))

    def test_a_part_that_is_not_there(self) -> None:
        """Less is known where less is said, and that is no failure."""
        facts = {"name": "gpu0", "url": "http://gpu0:8000", "models": []}
        done = ran({"replicas": [facts]}, "replicas")
        self.assertEqual(done.rows[1], ["gpu0", "http://gpu0:8000", "-", "unknown", *"-------"])

    def test_for_scripts(self) -> None:
        """The whole document, and nothing else."""
        document = {"replicas": [replica()], "problems": ["x"]}
        done = ran(document, "replicas", "--json")
        self.assertEqual(orjson.loads(done.out), document)

    def test_times(self) -> None:
        """The largest unit of which there is a whole one."""
        self.assertEqual(
            [ago(seconds) for seconds in (-1, 0.4, 59, 60, 119, 3599, 3600, 86399, 86400, 8640000)],
            ["0s", "0s", "59s", "1m", "1m", "59m", "1h", "23h", "1d", "100d"],
        )
