"""Requests, asked for."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.service.admin.exchanges_of import complete, receiving, refused, tried
from tests.service.admin.listener import Listener


class RequestsTests(SynchronousTestCase):
    """C{/api/requests}."""

    def setUp(self) -> None:
        self.listener = Listener()
        self.book = self.listener.state.book
        for exchange in (receiving("r", 4.0), tried("t", 3.0, "gpu1")):
            self.book.begun(exchange)
        for exchange in (complete("c", 1.0), refused("e", 2.0), complete("d", 5.0, "gpu1")):
            self.book.begun(exchange)
            self.book.over(exchange)

    def ask(self, query: bytes = b"") -> Any:
        """The document."""
        said = self.listener.ask(b"GET", b"/api/requests" + query)
        self.assertEqual(said.status, 200, said)
        return said.document

    def ids(self, query: bytes) -> str:
        """Those that are listed."""
        document = self.ask(query)
        self.assertEqual(document["matched"], len(document["requests"]))
        return "".join(request["id"] for request in document["requests"])

    def test_all(self) -> None:
        """The newest first, and how many there are."""
        document = self.ask()
        self.assertEqual([request["id"] for request in document["requests"]], ["d", "r", "t", "e", "c"])
        self.assertEqual([document[name] for name in ("under_way", "ended", "kept", "matched")], [2, 3, 3, 5])
        self.assertEqual(document["now"], "2026-01-01T00:01:00.000000Z")

    def test_filters(self) -> None:
        """Each, and some at once."""
        for query, expected in (
            (b"?state=now", "rt"),
            (b"?state=past", "dec"),
            (b"?state=all", "drtec"),
            (b"?model=m", "dtec"),
            (b"?model=", "r"),
            (b"?model=nobody", ""),
            (b"?replica=gpu1", "dt"),
            (b"?replica=gpu9", "dtc"),
            (b"?outcome=complete", "dc"),
            (b"?outcome=refused", "e"),
            (b"?error=any", "e"),
            (b"?error=gateway_no_replica", "e"),
            (b"?error=client_gone", ""),
            (b"?min_seconds=3", "drtc"),
            (b"?min_seconds=6", "rt"),
            (b"?since=2026-01-01T00:00:54Z", "drtc"),
            (b"?since=2026-01-01T00:00:54.000001Z&state=past", "d"),
            (b"?since=2026-01-01T01:00:52.5%2B01:00&state=past", "dec"),
            (b"?replica=gpu1&outcome=complete&min_seconds=1.5", "d"),
        ):
            self.assertEqual(self.ids(query), expected, query)

    def test_limit(self) -> None:
        """What is left out is counted."""
        document = self.ask(b"?limit=2&state=past")
        self.assertEqual([request["id"] for request in document["requests"]], ["d", "e"])
        self.assertEqual(document["matched"], 3)

    def test_what_ended_since_one_asked(self) -> None:
        """Asked with what C{now} was, all that has ended since then is told."""
        now = self.ask()["now"].encode()
        self.assertEqual(self.ids(b"?state=past&since=" + now), "")
        self.listener.state.now += 2.0
        exchange = complete("x", 8.5)
        self.book.begun(exchange)
        self.book.over(exchange)
        self.assertEqual(self.ids(b"?state=past&since=" + now), "x")

    def test_what_is_wrong(self) -> None:
        """400 that names the parameter, and says what is expected."""
        for query, param, part in (
            (b"?limit=0", "limit", "from 1 to 10000"),
            (b"?state=later", "state", "one of now, past, all"),
            (b"?outcome=good", "outcome", "timed_out, refused"),
            (b"?error=none", "error", "one of any, client_"),
            (b"?min_seconds=x", "min_seconds", "seconds from 0"),
            (b"?since=yesterday", "since", "a time such as"),
            (b"?replicas=gpu0", "replicas", "expected state, model, replica"),
            (b"?state=now&state=past", "state", "expected once"),
        ):
            said = self.listener.ask(b"GET", b"/api/requests" + query)
            self.assertEqual((said.status, said.document["error"]["param"]), (400, param), said)
            self.assertIn(part, said.document["error"]["message"])

    def test_one(self) -> None:
        """By its id, whatever that is made of; of two the newer."""
        self.book.begun(tried("a/b?%", 6.0))
        said = self.listener.ask(b"GET", b"/api/requests/a%2Fb%3F%25")
        self.assertEqual(
            (said.status, said.document["id"], said.document["state"]), (200, "a/b?%", "awaiting_first_token")
        )
        self.book.begun(receiving("c", 7.0))
        self.assertEqual(self.listener.ask(b"GET", b"/api/requests/c").document["state"], "receiving")

    def test_none(self) -> None:
        """404 as an error; what is below one is no path."""
        for path, code in ((b"/nobody", "request_not_found"), (b"/%ff", "request_not_found"), (b"/", "unknown_path"),
                           (b"/c/", "unknown_path"), (b"/c/more", "unknown_path")):  # fmt: skip
            said = self.listener.ask(b"GET", b"/api/requests" + path)
            self.assertEqual((said.status, said.code), (404, code), path)
        for path in (b"", b"/c"):
            said = self.listener.ask(b"POST", b"/api/requests" + path)
            self.assertEqual((said.status, said.headers[b"allow"]), (405, b"GET, HEAD"))
