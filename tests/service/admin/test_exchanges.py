"""Exchanges as documents."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.timing import PHASES
from aibrix_twisted.domain.trace import Trace
from aibrix_twisted.service.admin.exchanges import request_of, timeline_of
from tests.service.admin.exchanges_of import complete, receiving, refused, tried


class RequestTests(SynchronousTestCase):
    """request_of."""

    def test_under_way(self) -> None:
        """It grows older; how it ends is not known."""
        said = request_of(tried(), 10.0, 1009.0)
        self.assertEqual((said["state"], said["duration_s"], said["replica"]), ("awaiting_first_token", 9.0, "gpu0"))
        self.assertEqual((said["status"], said["outcome"], said["ttft_s"]), (None, None, None))
        self.assertEqual(said["accepted_at"], "1970-01-01T00:16:40.000000Z")

    def test_over(self) -> None:
        """All is known, and changes no more."""
        said = request_of(complete(), 10.0, 1009.0)
        self.assertEqual(said, request_of(complete(), 20.0, 1019.0))
        self.assertEqual((said["state"], said["duration_s"], said["ttft_s"]), ("over", 3.0, 1.0))
        self.assertEqual((said["status"], said["outcome"], said["output_tokens"]), (200, "complete", 8))

    def test_refused(self) -> None:
        """The error, and its sentence."""
        said = request_of(refused(), 10.0, 1009.0)
        self.assertEqual((said["outcome"], said["error"], said["status"]), ("refused", "gateway_no_replica", 503))
        self.assertEqual(said["reason"], "no replica of m is up")


class TimelineTests(SynchronousTestCase):
    """timeline_of."""

    def test_over(self) -> None:
        """Stamps after the first byte, phases that add up to the whole, and every attempt."""
        said = timeline_of(complete(), 10.0, 1009.0)
        self.assertEqual(
            said["stamps"],
            {"accepted": 0.0, "head": 0.125, "read": 0.25, "admitted": 0.25, "first_byte": 1.25, "ended": 3.0},
        )
        assert said["phases"] is not None
        self.assertEqual(list(said["phases"]), list(PHASES))
        self.assertEqual(sum(said["phases"].values()), said["duration_s"])
        self.assertEqual((said["phases"]["retry"], said["phases"]["engine"]), (0.25, 0.5))
        self.assertEqual(said["own_s"], 0.0)
        self.assertEqual(said["tpot_s"], 0.25)
        first, second = said["tries"]
        self.assertEqual((first["replica"], first["outcome"], first["fault"]), ("gpu9", "broken", "connection refused"))
        self.assertEqual((first["sent"], first["status"], first["ended"]), (None, None, 0.5))
        self.assertEqual((second["kind"], second["sent"], second["first"], second["last"]), ("retry", 0.75, 1.25, 3.0))
        self.assertEqual(second["ttft_s"], 0.5)

    def test_its_trace(self) -> None:
        """For whoever looks for its spans; empty where there are none."""
        exchange = complete()
        self.assertEqual(timeline_of(exchange, 10.0, 1009.0)["trace_id"], "")
        exchange.trace = Trace(0xABC, 1, 0, 1, b"")
        self.assertEqual(timeline_of(exchange, 10.0, 1009.0)["trace_id"], "0" * 29 + "abc")

    def test_under_way(self) -> None:
        """Phases are not told before they are over."""
        said = timeline_of(receiving(), 10.0, 1009.0)
        self.assertEqual((said["phases"], said["own_s"], said["tries"]), (None, None, []))
        self.assertEqual(said["stamps"]["accepted"], 0.0)
        self.assertIsNone(said["stamps"]["read"])
