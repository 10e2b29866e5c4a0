"""Signatures in AIBrix's profiles (cache/model_gpu_profile_test.go), and what follows from the tables."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.gpu_profile import GpuProfile

OUTPUT = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
PROMPT = (128.0, 256.0, 512.0, 1024.0, 2048.0)


def table(value: float) -> tuple[tuple[float, ...], ...]:
    """The same everywhere."""
    return tuple((value,) * len(PROMPT) for _ in OUTPUT)


class ProfileTests(SynchronousTestCase):
    """One GPU."""

    def setUp(self) -> None:
        self.profile = GpuProfile(OUTPUT, PROMPT, table(2.0), table(5.0))

    def test_signatures(self) -> None:
        """The nearest in powers of two; below and above what was measured, its end."""
        for tokens, signature in (
            ((0, 2049), (0, 4)), ((64, 256), (4, 1)), ((256, 128), (6, 0)), ((8, 128), (1, 0)), ((5, 300), (0, 1)),
            ((6, 400), (1, 2)), ((1e9, 0), (7, 0)),
        ):  # fmt: skip
            self.assertEqual(self.profile.signature(*tokens), signature, tokens)

    def test_no_such_tokens(self) -> None:
        """Fewer than none."""
        self.assertRaises(ValueError, self.profile.signature, -1, 5)

    def test_consumption(self) -> None:
        """Two a second that take five seconds each are ten at once; none a second is none at all."""
        self.assertAlmostEqual(self.profile.consumption((0, 0)) or 0.0, 0.1)
        self.assertIsNone(GpuProfile(OUTPUT, PROMPT, table(0.0), table(5.0)).consumption((0, 0)))
