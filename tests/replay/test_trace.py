"""Traces: Mooncake's, and our own."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.replay.trace import BadTrace, read_trace

LINE = b'{"timestamp": 1500, "input_length": 600, "output_length": 7, "hash_ids": [3, 4]}'


class ReadTests(SynchronousTestCase):
    """Right and wrong lines."""

    def test_mooncake(self) -> None:
        """Milliseconds from the first request on, by time; blocks of 512 tokens, the last of them in part."""
        first, second = read_trace([LINE, b"\n", LINE.replace(b"1500", b"500")])
        self.assertEqual((first.at, second.at), (0.0, 1.0))
        self.assertEqual((first.input_tokens, first.output_tokens, first.prompt.length), (600, 7, 2400))
        self.assertEqual([first.prompt.covered(blocks) for blocks in (0, 1, 2)], [0, 2048, 2400])

    def test_our_own(self) -> None:
        """Blocks as long as they are said to be."""
        (arrival,) = read_trace([LINE[:-1] + b', "block_bytes": 128}'])
        self.assertEqual([arrival.prompt.covered(blocks) for blocks in (1, 2)], [128, 256])
        (arrival,) = read_trace([LINE[:-1] + b', "block_bytes": 128, "input_bytes": 300}'])
        self.assertEqual((arrival.prompt.length, arrival.input_tokens), (300, 600))

    def test_an_answer_has_a_token(self) -> None:
        """At least."""
        self.assertEqual(read_trace([LINE.replace(b"7", b"0")])[0].output_tokens, 1)

    def test_wrong(self) -> None:
        """The line is named, and what was expected."""
        for line, fault in (
            (b"{", "line 2: it is not JSON"),
            (b"[]", "line 2: found"),
            (b"{}", "line 2: timestamp: expected a number"),
            (LINE.replace(b"1500", b"-1"), "line 2: timestamp"),
            (LINE.replace(b"600", b"null"), "line 2: input_length"),
            (LINE.replace(b"7", b'"7"'), "line 2: output_length"),
            (LINE.replace(b"600", b"1e300"), "line 2: input_length"),
            (LINE.replace(b"[3, 4]", b"[3, 4.5]"), "line 2: hash_ids"),
            (LINE.replace(b"[3, 4]", b"3"), "line 2: hash_ids"),
            (LINE[:-1] + b', "block_bytes": 0}', "line 2: block_bytes"),
            (LINE[:-1] + b', "block_bytes": true}', "line 2: block_bytes"),
        ):
            self.assertIn(fault, str(self.assertRaises(BadTrace, read_trace, [LINE, line])), line)
        self.assertRaises(BadTrace, read_trace, [b"\n"])
