"""An exchange's place in a trace."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.domain.trace import Trace


class TraceTests(SynchronousTestCase):
    """As people see it."""

    def test_id(self) -> None:
        """Thirty-two digits, whatever the number; empty where the exchange is not sampled."""
        exchange = Exchange("x", "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(0.0))
        self.assertEqual(exchange.trace_id, "")
        exchange.trace = Trace(0xABC, 1, 0, 1, b"")
        self.assertEqual(exchange.trace_id, "0" * 29 + "abc")

    def test_begins_empty(self) -> None:
        """Nothing was tried, nothing waited for; two share nothing."""
        one, other = Trace(1, 2, 0, 1, b""), Trace(1, 3, 0, 1, b"")
        one.attempts.append(4)
        one.waits.append((0.0, 1.0))
        self.assertEqual((other.attempts, other.waits), ([], []))
