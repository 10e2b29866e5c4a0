"""The prefix index over a restart."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import orjson
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import PrefixCacheSettings, Settings
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.exchange.prefix_state import BadState, keep_state, load, restore_state
from tests.policy.fleet import fleet, prompt, say

NOW, WALL = 1000.0, 1.7e9


class StateTests(SynchronousTestCase):
    """Written and read."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "prefixes")
        self.replicas = fleet(2)
        self.fleet = Fleet.of(self.replicas)
        self.said: list[Any] = []
        globalLogPublisher.addObserver(self.said.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.said.append)

    def chooser(self, **prefix: Any) -> Chooser:
        """One that knows nothing."""
        prefix.setdefault("state_file", str(self.path))
        settings = Settings(prefix_cache=PrefixCacheSettings(block_bytes=4, **prefix))
        return Chooser(settings, random.Random(1), lambda: NOW)

    def written(self, *, tokens: float | None = None) -> None:
        """A gateway that knew something has stopped."""
        chooser = self.chooser()
        for text, place, at in (("aaaabbbb", 0, NOW - 100), ("aaaa", 1, NOW - 5)):
            chooser.index("m").expect(prompt(text), self.replicas[place], at).confirm(at)
        if tokens is not None:
            say(self.replicas[0], NOW, prompt_tokens=tokens)
        keep_state(chooser, self.fleet, now=NOW, wall=WALL)

    def depths(self, chooser: Chooser) -> list[int]:
        """What each has."""
        return chooser.index("m").depths(prompt("aaaabbbb"), self.replicas)

    def restored(self, later: float = 60.0, **prefix: Any) -> Chooser:
        """Another one, so much later, on a machine that has just been started."""
        chooser = self.chooser(**prefix)
        restore_state(chooser, now=3.0, wall=WALL + later)
        return chooser

    def test_there_and_back(self) -> None:
        """Whoever had what has it still; what is too old by now is not."""
        self.written()
        self.assertEqual(self.depths(self.restored()), [2, 1])
        self.assertEqual(self.depths(self.restored(ttl=120.0)), [0, 1])
        self.assertEqual(self.depths(self.restored(later=-60.0)), [2, 1], "clocks are set back, too")
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["prefixes"])

    def test_no_text(self) -> None:
        """Hashes only."""
        self.written()
        self.assertNotIn(b"aaaa", self.path.read_bytes())

    def test_an_engine_that_began_anew_meanwhile(self) -> None:
        """It has counted less than before; one that goes on has not."""
        self.written(tokens=500.0)
        for tokens, depth in ((600.0, 2), (20.0, 0)):
            self.replicas[:] = fleet(2)
            chooser = self.restored()
            chooser.met(Fleet.of(self.replicas))
            say(self.replicas[0], 5.0, prompt_tokens=tokens)
            self.assertEqual(self.depths(chooser), [depth, 1], tokens)
            self.assertEqual(chooser.counted, {})

    def test_nothing_there(self) -> None:
        """At a first start; or no file is named."""
        self.assertEqual(self.depths(self.restored()), [0, 0])
        keep_state(self.chooser(state_file=""), self.fleet, now=NOW, wall=WALL)
        self.assertEqual(list(self.path.parent.iterdir()), [])

    def test_what_cannot_be_used(self) -> None:
        """Is said, and nothing is known then: not a file of ours, a part of one, other blocks."""
        self.written()
        whole = self.path.read_bytes()
        head = orjson.loads(whole.partition(b"\n")[0])
        for data in (
            b"", b"{}", b"\xff\n", b"[1]\n", whole[:-1], whole[:20], orjson.dumps({**head, "version": 2}) + b"\n",
            orjson.dumps({**head, "sections": 5}) + b"\n", orjson.dumps({**head, "sections": [{}]}) + b"\n",
            orjson.dumps({**head, "sections": [{**head["sections"][0], "blocks": -1}]}) + b"\n",
        ):  # fmt: skip
            self.path.write_bytes(data)
            self.assertRaises(BadState, load, str(self.path), 4, now=NOW, wall=WALL)
            self.said.clear()
            self.assertEqual(self.depths(self.restored()), [0, 0])
            self.assertIn("nothing is known of caches", formatEvent(self.said[0]))
        self.path.write_bytes(whole)
        self.assertRaises(BadState, load, str(self.path), 8, now=NOW, wall=WALL)

    def test_a_place_that_cannot_be_written(self) -> None:
        """Is said; what was there before is there still."""
        self.written()
        before = self.path.read_bytes()
        self.path.with_name(f".prefixes.{os.getpid()}.new").mkdir()
        self.said.clear()
        self.written()
        self.assertIn("is lost", formatEvent(self.said[0]))
        self.assertEqual(self.path.read_bytes(), before)
        for place in ("/", "a\0b"):
            self.said.clear()
            keep_state(self.chooser(state_file=place), Fleet(), now=NOW, wall=WALL)
            self.assertIn("is lost", formatEvent(self.said[0]), place)
