"""What logs have of a parser's sentence."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.unquoted import unquoted


class UnquotedTests(SynchronousTestCase):
    """Nothing of what was found."""

    def test_each(self) -> None:
        """With what was expected, without, and where nothing was quoted."""
        for said, logged in (
            ("header line 'a: expected s3cret': expected name: value", "expected name: value [k]"),
            ("request target 's3cret': its authority is not that of host", "not what was expected [k]"),
            ('expect "s3cret": only 100-continue can be met', "not what was expected [k]"),
            ("the head exceeds 8 bytes", "the head exceeds 8 bytes [k]"),
        ):
            self.assertEqual(unquoted(said, "k"), logged)
