"""One replica: each command is one question, and a drain that is waited for."""

from __future__ import annotations

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.failures import Refused, Unreachable
from tests.ctl.script import Script, ran, replica


class AddTests(SynchronousTestCase):
    """aibrixctl add."""

    def test_a_url(self) -> None:
        """What is not given is not sent: the gateway's defaults hold."""
        script = Script(replica(state="unknown", reason="not asked yet"))
        done = script.run("add", "http://gpu0:8000")
        self.assertEqual(script.asked, [("POST", "/api/replicas", {"url": "http://gpu0:8000"})])
        self.assertEqual((done.code, done.out), (0, "gpu0 is unknown: not asked yet; in flight: 0\n"))

    def test_everything(self) -> None:
        """One table of [[replica]]; a weight of zero is the gateway's to refuse."""
        script = Script(replica())
        script.run(
            "add", "http://gpu0:8000", "--name", "g", "--engine", "vllm", "--model", "a", "--model", "b",
            "--weight", "0", "--label", "rack=r1", "--label", "x=y=z",
        )  # fmt: skip
        self.assertEqual(
            script.asked[0][2],
            {
                "url": "http://gpu0:8000",
                "name": "g",
                "engine": "vllm",
                "models": ["a", "b"],
                "weight": 0.0,
                "labels": {"rack": "r1", "x": "y=z"},
            },
        )

    def test_a_lease(self) -> None:
        """It is put under its name, which is host:port where none is given, quoted."""
        for options, path in (
            (("--name", "a/b ?"), "/api/replicas/a%2Fb%20%3F?ttl=30"),
            ((), "/api/replicas/%5B%3A%3A1%5D%3A8000?ttl=30"),
        ):
            script = Script(replica())
            self.assertEqual(script.run("add", "http://[::1]:8000", "--ttl", "30", *options).code, 0)
            self.assertEqual(script.asked[0][:2], ("PUT", path))

    def test_a_lease_without_a_name(self) -> None:
        """A URL that gives none is refused here, and the gateway is not asked."""
        script = Script()
        done = script.run("add", "gpu0:8000", "--ttl", "30")
        self.assertEqual((done.code, script.asked), (2, []))
        self.assertIn("found 'gpu0:8000', expected", done.err)

    def test_refused(self) -> None:
        """The gateway's message, each problem, and exit code 1."""
        error = Refused("it cannot be used", ["replica[0].weight: found 0"], answer='{"error":{}}')
        done = ran(error, "add", "http://gpu0:8000")
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertEqual(done.err, "aibrixctl: it cannot be used\nreplica[0].weight: found 0\n")


class ChangeTests(SynchronousTestCase):
    """Those that take a name."""

    def test_each_is_one_question(self) -> None:
        """The name is quoted; the answer says what the replica is now."""
        for command, method, path in (
            ("remove", "DELETE", "/api/replicas/h%3A1"),
            ("drain", "POST", "/api/replicas/h%3A1/drain"),
            ("undrain", "POST", "/api/replicas/h%3A1/undrain"),
            ("eject", "POST", "/api/replicas/h%3A1/eject"),
            ("restore", "POST", "/api/replicas/h%3A1/restore"),
        ):
            facts = replica("h:1", state="leaving", in_flight=3)
            script = Script(facts)
            done = script.run(command, "h:1")
            self.assertEqual((done.code, script.asked), (0, [(method, path, None)]))
            self.assertEqual(done.out, "h:1 is leaving; in flight: 3\n")
            self.assertEqual(orjson.loads(ran(facts, "--json", command, "h:1").out), facts)


class DrainTests(SynchronousTestCase):
    """aibrixctl drain --wait."""

    def drained(self, *seen: dict[str, object], wait: str = "10") -> tuple[Script, int, str, str]:
        """Drain, and see these lists."""
        script = Script(replica(state="draining"), *({"replicas": [facts] if facts else []} for facts in seen))
        done = script.run("drain", "gpu0", "--wait", wait)
        return script, done.code, done.out, done.err

    def test_until_nothing_is_in_flight(self) -> None:
        """It is looked at again and again, and nobody waits longer than it takes."""
        busy, idle = replica(state="draining", in_flight=2), replica(state="draining")
        script, code, out, _ = self.drained(busy, busy, idle)
        self.assertEqual((code, out, script.now), (0, "gpu0 is drained\n", 1.0))

    def test_it_may_be_gone(self) -> None:
        """What was removed meanwhile has been drained."""
        self.assertEqual(self.drained(replica(state="leaving", in_flight=1), {})[1], 0)

    def test_not_in_time(self) -> None:
        """It goes on draining, and the exit code says that it is not done.  Zero looks once."""
        busy = replica(state="draining", in_flight=2)
        script, code, out, err = self.drained(busy, busy, busy, busy, wait="1.2")
        self.assertEqual((code, out, script.now), (1, "", 1.2))
        self.assertIn("gpu0 still has 2 in flight after 1.2 s; it goes on draining", err)
        self.assertEqual(self.drained(busy, wait="0")[1], 1)

    def test_somebody_undrains_it(self) -> None:
        """Nobody waits for what will not come."""
        _, code, _, err = self.drained(replica(state="draining", in_flight=2), replica(in_flight=5))
        self.assertEqual((code, err), (1, "aibrixctl: somebody has undrained gpu0 meanwhile\n"))

    def test_the_gateway_goes(self) -> None:
        """That it is not reached any more is said as ever."""
        script = Script(replica(state="draining"), Unreachable("the gateway cannot be reached at x: y"))
        self.assertEqual(script.run("drain", "gpu0", "--wait", "10").code, 3)

    def test_for_scripts(self) -> None:
        """One document, the drain's own, when the wait is over."""
        facts = replica(state="draining", in_flight=2)
        done = Script(facts, {"replicas": []}).run("--json", "drain", "gpu0", "--wait", "1")
        self.assertEqual(orjson.loads(done.out), facts)

    def test_ctrl_c(self) -> None:
        """It ends as the shell expects, without a traceback."""
        done = Script(replica(state="draining"), KeyboardInterrupt()).run("drain", "gpu0", "--wait", "1")
        self.assertEqual((done.code, done.out, done.err), (130, "", ""))
