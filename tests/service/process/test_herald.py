"""What the service manager is told, on a clock in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.herald import BEAT_S, EXTENSION_S, Herald


class Heard:
    """In a notifier's place."""

    def __init__(self) -> None:
        self.said: list[dict[str, str | int]] = []
        self.heard = True

    def tell(self, words: Mapping[str, str | int], descriptors: Sequence[int] = ()) -> None:
        self.said.append(dict(words))

    def take(self) -> list[dict[str, str | int]]:
        said, self.said = self.said, []
        return said


class HeraldTests(SynchronousTestCase):
    """From ready to stopping."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.status = "serving"
        self.heard = Heard()

    def herald(self, watchdog_s: float | None = None) -> Herald:
        """One that has said that it is ready."""
        made = Herald(self.clock, self.heard, lambda: self.status, lambda: 7_000_999, watchdog_s)  # type: ignore[arg-type]
        made.ready()
        self.assertEqual(self.heard.said[0], {"READY": 1, "STATUS": "serving"})
        return made

    def test_nobody_listens(self) -> None:
        """Then no call is made again and again."""
        self.heard.heard = False
        self.herald()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_status_when_it_changes(self) -> None:
        """And not when it does not."""
        self.herald()
        self.heard.take()
        self.clock.advance(BEAT_S)
        self.assertEqual(self.heard.take(), [])
        self.status = "serving more"
        self.clock.advance(BEAT_S)
        self.assertEqual(self.heard.take(), [{"STATUS": "serving more"}])

    def test_the_watchdog_is_fed(self) -> None:
        """Three times as often as it asks for, and at least every two seconds."""
        for patience_s, every in ((3.0, 1.0), (600.0, BEAT_S)):
            self.heard.said.clear()
            self.clock = Clock()
            self.herald(patience_s)
            self.heard.take()
            self.clock.pump([every] * 4)
            self.assertEqual(self.heard.take(), [{"WATCHDOG": 1}] * 4)

    def test_a_reload(self) -> None:
        """Begins by the manager's clock, in microseconds; why it was not taken stands in the status until the next."""
        herald = self.herald()
        self.heard.take()
        herald.reloading()
        herald.reloaded("not reloaded: x")
        self.status = "still serving"
        self.clock.advance(BEAT_S)
        herald.reloading()
        herald.reloaded()
        self.assertEqual(
            self.heard.take(),
            [
                {"RELOADING": 1, "MONOTONIC_USEC": 7000},
                {"READY": 1, "STATUS": "serving; not reloaded: x"},
                {"STATUS": "still serving; not reloaded: x"},
                {"RELOADING": 1, "MONOTONIC_USEC": 7000},
                {"READY": 1, "STATUS": "still serving"},
            ],
        )

    def test_stopping(self) -> None:
        """It is said once, and time is asked for as long as it takes."""
        herald = self.herald()
        self.heard.take()
        more = round(EXTENSION_S * 1e6)
        self.status = "draining"
        herald.stopping()
        herald.stopping()
        self.assertEqual(self.heard.take(), [{"STOPPING": 1, "STATUS": "draining", "EXTEND_TIMEOUT_USEC": more}])
        self.clock.pump([BEAT_S] * 2)
        self.assertEqual(self.heard.take(), [{"EXTEND_TIMEOUT_USEC": more}] * 2)
