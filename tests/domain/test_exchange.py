"""The record of an exchange."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.timing import Stamps


class ExchangeTests(SynchronousTestCase):
    """Every slot has a value from the start, so that whoever reads it needs no guard."""

    def test_all_slots_are_set(self) -> None:
        """None is left out."""
        exchange = Exchange("id", "127.0.0.1", "POST", "/v1/chat/completions", "chat_completions", Stamps(0.0))
        for slot in Exchange.__slots__:
            self.assertTrue(hasattr(exchange, slot), slot)
        self.assertEqual(sorted(Exchange.__slots__), list(Exchange.__slots__))
