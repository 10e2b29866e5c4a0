"""Everything that fuzzing begins with, and everything that it ever found, in front of every parser; and some more by lot."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import CORPUS, seeds
from tests.fuzz.targets import TARGETS, cut

#: By lot, for each parser; C{make fuzz} does more.
RUNS = 150


class CorpusTests(SynchronousTestCase):
    """Each target."""

    def test_the_corpus(self) -> None:
        """No rule is broken by any of it."""
        for name, target in TARGETS.items():
            for data in seeds(name):
                target(data)

    def test_by_lot(self) -> None:
        """Nor by some that are nearly like it: the same ones each time."""
        for name, target in TARGETS.items():
            lot, known = Random(name), seeds(name)
            for _ in range(RUNS):
                target(mutated(lot, known))

    def test_what_is_kept_has_a_target(self) -> None:
        """A folder of another name would be read by nobody."""
        self.assertEqual([path.name for path in CORPUS.iterdir() if path.name not in TARGETS], [])


class CutTests(SynchronousTestCase):
    """How bytes come."""

    def test_nothing_is_lost(self) -> None:
        """In each way all of it, and no piece is empty."""
        for data in (b"", b"\x01", b"\x05abcdefgh", bytes(range(256)) * 3):
            rest, ways = cut(data)
            self.assertEqual([b"".join(way) for way in ways], [rest] * 3)
            self.assertEqual([piece for way in ways for piece in way if not piece], [])
