"""Requests that are with another worker."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.admin.elsewhere import answer_elsewhere
from tests.service.admin.listener import AdminState, Listener
from tests.service.telemetry.test_metrics import an_exchange


def listed(*moments: int) -> dict[str, Any]:
    """Of another worker: requests that came then."""
    requests = [{"id": str(moment), "accepted_at": f"2026-01-01T00:00:{moment:02}Z"} for moment in moments]
    return {"now": "x", "under_way": 1, "ended": 2, "kept": 2, "matched": len(moments), "requests": requests}


class ElsewhereTests(SynchronousTestCase):
    """Asked as one worker is asked, of what others know."""

    def setUp(self) -> None:
        self.state = AdminState()
        self.listener = Listener(self.state)
        self.exchange = an_exchange()
        self.state.book.begun(self.exchange)

    def test_alone(self) -> None:
        """Nobody is asked."""
        self.assertEqual(self.listener.ask(b"GET", b"/api/requests").document["under_way"], 1)
        self.assertEqual(self.listener.ask(b"GET", b"/api/requests/other").status, 404)
        self.assertEqual(self.state.asked, [])

    def test_all_requests(self) -> None:
        """Counts are added, the newest of all come first, and no more than were asked for."""
        self.state.elsewhere = [listed(3, 1), listed(59, 2)]
        said = self.listener.ask(b"GET", b"/api/requests?state=all&limit=3")
        self.assertEqual(self.state.asked, [("requests", {"state": ["all"], "limit": ["3"]})])
        document = said.document
        counts = [document[name] for name in ("under_way", "ended", "kept", "matched")]
        self.assertEqual(counts, [3, 4, 4, 5])
        self.assertEqual(len(document["requests"]), 3)
        times = [request["accepted_at"] for request in document["requests"]]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_a_filter_that_is_wrong(self) -> None:
        """Nobody is asked."""
        self.state.elsewhere = []
        self.assertEqual(self.listener.ask(b"GET", b"/api/requests?nonsense=1").status, 400)
        self.assertEqual(self.state.asked, [])

    def test_one_request(self) -> None:
        """Known here; known elsewhere; known to nobody."""
        self.state.elsewhere = [{"id": "theirs"}]
        own = self.listener.ask(b"GET", b"/api/requests/" + self.exchange.id.encode())
        self.assertEqual((own.document["id"], self.state.asked), (self.exchange.id, []))
        for path in (b"/api/requests/theirs", b"/api/explain/theirs"):
            self.assertEqual(self.listener.ask(b"GET", path).document, {"id": "theirs"})
        self.assertEqual(self.state.asked, [("request", "theirs"), ("explain", "theirs")])
        self.state.elsewhere = []
        nobody = self.listener.ask(b"GET", b"/api/requests/theirs")
        self.assertEqual((nobody.status, nobody.code), (404, "request_not_found"))

    def test_being_asked(self) -> None:
        """What is known here is said, and what is not is nothing."""
        self.assertEqual(answer_elsewhere(self.state, "request", self.exchange.id)["id"], self.exchange.id)
        self.assertEqual(answer_elsewhere(self.state, "requests", {"limit": ["1"]})["matched"], 1)
        for what in ("request", "explain"):
            self.assertIsNone(answer_elsewhere(self.state, what, "other"))
