"""Blocks and their hashes: AIBrix's own values, and prompts of any length."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prompt import BLOCKS_OF_A_SIZE, MAX_BYTES, NO_PROMPT, Prompt, block_ends, prompt_of

#: AIBrix's (pkg/utils/prefixcacheindexer/hash.go), computed there: text, block, seed, hashes.
GOLD = (
    (bytes(range(1, 9)), 4, 0, [17089195507687184593, 9051062135542924480]),
    (b"abcdefgh", 4, 0, [16464934435465292544, 15316134462644996939]),
    (bytes(range(1, 9)), 4, 42, [15798224352254464988, 17791447181767154639]),
    (b"a" * 256, 128, 0, [5553500093441874558, 2787912953130237946]),
)


class HashTests(SynchronousTestCase):
    """C{prompt_of}."""

    def test_gold(self) -> None:
        """The chain is AIBrix's, bit by bit."""
        for text, block, seed, hashes in GOLD:
            self.assertEqual(prompt_of(text, block, seed=seed).hashes, hashes)
        self.assertEqual(prompt_of(b"abcdefghijkl", 4).hashes[2], 13335456723688660965)

    def test_an_incomplete_block_has_none(self) -> None:
        """What is shorter than a block is known by nothing but its length."""
        self.assertEqual(prompt_of(b"abc", 4).hashes, [])
        self.assertEqual(prompt_of(b"abc", 4).length, 3)
        self.assertEqual(len(prompt_of(b"abcdefg", 4).hashes), 1)

    def test_what_was_before_counts(self) -> None:
        """The same block after another one is another."""
        first, second = prompt_of(b"abcdefgh", 4).hashes, prompt_of(b"xxxxefgh", 4).hashes
        self.assertFalse(set(first) & set(second))

    def test_scope(self) -> None:
        """Prompts of different scopes share nothing."""
        plain, salted = prompt_of(b"abcdefgh", 4), prompt_of(b"abcdefgh", 4, scope=b"salt")
        self.assertFalse(set(plain.hashes) & set(salted.hashes))
        self.assertEqual(salted.hashes, prompt_of(b"abcdefgh", 4, scope=b"salt").hashes)

    @given(st.binary(max_size=600), st.binary(max_size=600), st.integers(1, 64))
    @settings(deadline=None)
    def test_a_common_beginning_is_common(self, text: bytes, more: bytes, block: int) -> None:
        """Whoever goes on with a text has all of its hashes."""
        hashes = prompt_of(text, block).hashes
        self.assertEqual(list(prompt_of(text + more, block).hashes[: len(hashes)]), hashes)


class LengthTests(SynchronousTestCase):
    """Long prompts have longer blocks."""

    def test_blocks_get_longer(self) -> None:
        """The first are of the size that was asked for; the next as many are of twice that."""
        ends = block_ends(128)
        self.assertEqual(ends[BLOCKS_OF_A_SIZE - 1], 128 * BLOCKS_OF_A_SIZE)
        self.assertEqual(ends[BLOCKS_OF_A_SIZE] - ends[BLOCKS_OF_A_SIZE - 1], 256)

    def test_few_enough_of_any_prompt(self) -> None:
        """Thirty-two megabytes are some eight thousand blocks; the table goes as far as a body may."""
        for block in (4, 16, 128, 65536):
            ends = block_ends(block)
            self.assertGreater(ends[-1], MAX_BYTES // 4)
            self.assertLess(len(ends), 30_000)
        self.assertLess(sum(end <= 1 << 25 for end in block_ends(128)), 9 * BLOCKS_OF_A_SIZE)

    def test_covered(self) -> None:
        """So many blocks are so many bytes, and never more than there are."""
        prompt = prompt_of(b"x" * 1000, 128)
        self.assertEqual([prompt.covered(blocks) for blocks in (0, 1, 7)], [0, 128, 896])
        self.assertEqual(Prompt(1000, [1, 2], range(512, 2000, 512)).covered(2), 1000)
        self.assertEqual(NO_PROMPT.covered(0), 0)

    def test_tokens(self) -> None:
        """Four bytes each, the last one whole."""
        self.assertEqual([Prompt(length).tokens for length in (0, 1, 4, 5)], [0, 1, 1, 2])
