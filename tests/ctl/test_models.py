"""The table of models."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.script import Script, ran


def model(name: str, **facts: Any) -> dict[str, Any]:
    """A model as the API shows it."""
    return {"name": name, "aliases": [], "fallbacks": [], "split": {}, "policy": "", "replicas": [], "up": 0, **facts}


class ModelsTests(SynchronousTestCase):
    """aibrixctl models."""

    def test_a_row_each(self) -> None:
        """How many of its replicas are up, its other names, and who stands in for it."""
        script = Script(
            {
                "models": [
                    model("a", aliases=["gpt", "gpt-2"], fallbacks=["b"], replicas=["gpu0", "gpu1"], up=1),
                    model("b", replicas=["gpu0"], up=1),
                    model("c"),
                ]
            }
        )
        done = script.run("models")
        self.assertEqual((done.code, script.asked), (0, [("GET", "/api/models", None)]))
        self.assertEqual(
            done.rows,
            [
                ["MODEL", "REPLICAS", "ALIASES", "FALLBACKS"],
                ["a", "1/2", "gpt, gpt-2", "b"],
                ["b", "1/1", "-", "-"],
                ["c", "0/0", "-", "-"],
            ],
        )

    def test_what_few_have(self) -> None:
        """A column for a split or a policy is there when a model has one; a name that is dealt out has no replicas."""
        listed = [model("a", split={"b": 0.9, "c": 0.1}), model("b", policy="random", replicas=["x"])]
        self.assertEqual(
            ran({"models": listed}, "models").rows,
            [
                ["MODEL", "REPLICAS", "ALIASES", "FALLBACKS", "SPLIT", "POLICY"],
                ["a", "-", "-", "-", "b=0.9, c=0.1", "-"],
                ["b", "0/1", "-", "-", "-", "random"],
            ],
        )

    def test_for_scripts(self) -> None:
        """The whole document."""
        document = {"models": [model("a")]}
        self.assertEqual(orjson.loads(ran(document, "--json", "models").out), document)
