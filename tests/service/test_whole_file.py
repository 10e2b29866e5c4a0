"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service import whole_file
from aibrix_twisted.service.whole_file import write_beside


class WholeFileTests(SynchronousTestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name, "state.json")

    def there(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.path.parent.iterdir())

    def test_it_is_as_it_was_until_then(self) -> None:
        """What is written is in another file, which takes its place."""
        self.path.write_bytes(b"old")
        beside = write_beside(self.path, (b"ne", b"", b"w"))
        self.assertEqual((self.path.read_bytes(), beside.read_bytes()), (b"old", b"new"))
        beside.replace(self.path)
        self.assertEqual((self.path.read_bytes(), self.there()), (b"new", ["state.json"]))

    def test_two_processes(self) -> None:
        """Neither writes into what the other has begun: whoever is the last is right."""
        ours = write_beside(self.path, (b"ours",))
        self.patch(whole_file.os, "getpid", lambda: os.getppid())
        theirs = write_beside(self.path, (b"theirs",))
        ours.replace(self.path)
        theirs.replace(self.path)
        self.assertEqual((self.path.read_bytes(), self.there()), (b"theirs", ["state.json"]))

    def test_what_broke_off_before(self) -> None:
        """Is in nobody's way."""
        write_beside(self.path, (b"much more than",))
        write_beside(self.path, (b"this",)).replace(self.path)
        self.assertEqual((self.path.read_bytes(), self.there()), (b"this", ["state.json"]))

    def test_what_others_left(self) -> None:
        """By one that was killed long ago it is removed; one that writes now is left alone, and so is all else."""
        for name in (".state.json.1.new", ".state.json.2.new", ".other.json.1.new", ".state.json.keep"):
            (self.path.parent / name).write_bytes(b"half")
            if name != ".state.json.2.new":
                os.utime(self.path.parent / name, (1.0, 1.0))
        write_beside(self.path, (b"this",)).replace(self.path)
        self.assertEqual(self.there(), [".other.json.1.new", ".state.json.2.new", ".state.json.keep", "state.json"])

    def test_a_place_that_cannot_be_written(self) -> None:
        """The error names it."""
        error = self.assertRaises(OSError, write_beside, self.path / "nowhere", (b"",))
        self.assertIn("state.json", str(error))
