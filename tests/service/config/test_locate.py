"""On which line a setting is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.config.locate import Lines, dotted


class LinesTests(SynchronousTestCase):
    """Good enough for people."""

    TEXT = 'a = 1\n[t]\n"quoted key" = 2\nx.y = 3\n\n[[r]]\nurl = "u"\n[r.tls]\nca = 1\n[[r]]\nurl = "v"\n'

    def test_keys_tables_and_arrays(self) -> None:
        """Each where it begins; what is not there, where the nearest thing around it is."""
        lines = Lines(self.TEXT)
        for path, line in (
            (("a",), 1), (("t",), 2), (("t", "quoted key"), 3), (("t", "x", "y"), 4), (("r",), 6), (("r", 0), 6),
            (("r", 0, "url"), 7), (("r", 0, "tls", "ca"), 9), (("r", 1, "url"), 11), (("r", 1, "absent"), 10), (("zz",), None),
        ):  # fmt: skip
            self.assertEqual(lines.of(path), line, path)

    def test_dotted(self) -> None:
        """As people say it."""
        self.assertEqual(dotted(("replica", 1, "tls", "ca")), "replica[1].tls.ca")
