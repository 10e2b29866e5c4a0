"""The buffers' sizes by model."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.buffer_sizes import LEAST_AHEAD, LEAST_ANSWER
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.quantiles import LEAST
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.exchange.sizes import FRESH_S, MAX_MODELS, Sizes


def exchange(model: str) -> Exchange:
    made = Exchange("id", "192.0.2.7", "POST", "/v1/embeddings", "embeddings", Stamps(0.0))
    made.model, made.bytes_out = model, 100
    return made


class SizesTests(SynchronousTestCase):
    """On a clock in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.sizes = Sizes(self.clock.seconds)

    def learn(self) -> None:
        """Of one model's answers and clients, and let it be time to look."""
        for _ in range(LEAST):
            self.sizes.answered(exchange("m"))
            self.sizes.taken(exchange("m"), 10, 1.0)
        self.clock.advance(FRESH_S + 1)
        self.sizes.answered(exchange("m"))

    def test_each_model_has_its_own(self) -> None:
        """What is not known of one is not taken from another."""
        self.learn()
        self.assertEqual(self.sizes.answer_bytes("m", 1 << 20), LEAST_ANSWER)
        self.assertEqual(self.sizes.answer_bytes("n", 1 << 20), 1 << 20)
        self.assertEqual(self.sizes.ahead, {"m": LEAST_AHEAD})

    def test_never_more_than_the_ceiling(self) -> None:
        """Which may be another one from now on."""
        self.learn()
        self.assertEqual(self.sizes.answer_bytes("m", 1000), 1000)

    def test_they_are_computed_now_and_then(self) -> None:
        """And not each time."""
        for _ in range(2 * LEAST):
            self.sizes.answered(exchange("m"))
        self.assertEqual(self.sizes.answers, {})

    def test_models_without_end(self) -> None:
        """The oldest are forgotten."""
        for number in range(MAX_MODELS + 9):
            self.sizes.answered(exchange(f"m{number}"))
        self.assertEqual((len(self.sizes._models), "m0" in self.sizes._models), (MAX_MODELS, False))

    def test_nothing_is_learned_of_nothing(self) -> None:
        """A pause without anything unsent, or before a model is known."""
        self.sizes.taken(exchange("m"), 0, 1.0)
        self.sizes.taken(exchange(""), 9, 1.0)
        self.assertEqual(self.sizes._models, {})
