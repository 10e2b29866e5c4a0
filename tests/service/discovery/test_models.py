"""Asking a replica: when, how often, and what is said of it."""

from __future__ import annotations

from typing import Any

import treq
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.discovery.models import (
    ASK_INTERVAL_S,
    LOOK_INTERVAL_S,
    MAX_LIST_BYTES,
    TIMEOUT_S,
    ModelAsker,
)
from tests.fakes import replica

LIST = b'{"data":[{"id":"m"}]}'


class Response:
    """One, its body to be given."""

    def __init__(self, code: int) -> None:
        self.code = code


class ModelAskerTests(SynchronousTestCase):
    """With treq's two calls answered by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.waiting: Deferred[Any] = Deferred()
        self.body: Any = LIST
        self.answers: list[list[dict[str, Any]]] = []
        self.logged: list[tuple[str, str]] = []
        self.cancelled_with: Exception = CancelledError()
        self.patch(treq, "get", self.get)
        self.patch(treq, "collect", self.collect)
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        """Keep what the asker logs."""
        if event.get("log_namespace", "").endswith("discovery.models"):
            self.logged.append((event["log_level"], event["log_format"].format(**event)))

    def get(self, url: str, **more: Any) -> Deferred[Any]:
        """In treq's place: a cancel ends with the error that the test chose."""
        self.asked.append((url, more))
        self.waiting = Deferred(lambda deferred: deferred.errback(self.cancelled_with))
        return self.waiting

    def collect(self, response: Response, gather: Any) -> Deferred[None]:
        """In treq's place."""
        if self.body is None:
            return Deferred()
        gather(self.body)
        return succeed(None)

    def begin(self, **more: Any) -> Replica:
        """Start to ask."""
        asked = replica("gpu0", None, **more)
        self.asker = ModelAsker(self.clock, asked, self.answered)
        self.asker.start()
        return asked

    def answered(self, asked: Replica, entries: list[dict[str, Any]]) -> None:
        """In the keeper's place."""
        asked.models = tuple(entry["id"] for entry in entries)
        self.answers.append(entries)

    def test_what_is_asked(self) -> None:
        """Its own address below its prefix, with its own key and with no other."""
        self.begin()
        url, more = self.asked[0]
        self.assertEqual(url, "http://x:1/v1/models")
        self.assertEqual(more["timeout"], TIMEOUT_S)
        self.assertNotIn("authorization", more["headers"])
        self.begin(prefix=b"/api", authorization=b"Bearer k")
        url, more = self.asked[1]
        self.assertEqual((url, more["headers"]["authorization"]), ("http://x:1/api/v1/models", b"Bearer k"))

    def test_until_answered_and_then_seldom(self) -> None:
        """Every second while it fails, one question at a time; every half a minute once it has answered."""
        self.begin()
        self.clock.pump([ASK_INTERVAL_S] * 3)
        self.assertEqual(len(self.asked), 1, "one at a time")
        self.waiting.errback(ConnectionRefusedError())
        self.clock.advance(ASK_INTERVAL_S)
        self.assertEqual(len(self.asked), 2)
        self.waiting.callback(Response(200))
        self.assertEqual(self.answers, [[{"id": "m"}]])
        self.clock.pump([1.0] * int(LOOK_INTERVAL_S - 1))
        self.assertEqual(len(self.asked), 2)
        self.clock.pump([1.0] * 2)
        self.assertEqual(len(self.asked), 3)

    def test_what_cannot_be_used(self) -> None:
        """Each keeps the models known before, and says why in the replica's last error."""
        for code, body, words in (
            (503, LIST, "status 503"),
            (200, b"<html>", "not JSON"),
            (200, b"[]", "expected an object"),
            (200, b"x" * (MAX_LIST_BYTES + 1), "over"),
        ):
            self.body = body
            asked = self.begin()
            asked.models = ("before",)
            self.waiting.callback(Response(code))
            self.assertIn(words, asked.last_error)
            self.assertEqual((asked.models, self.answers), (("before",), []))

    def test_a_body_that_does_not_end(self) -> None:
        """Given up in time, and asked for again."""
        self.body = None
        asked = self.begin()
        self.waiting.callback(Response(200))
        self.clock.pump([0.5] * int(TIMEOUT_S * 2))
        self.assertTrue(asked.last_error)
        self.clock.pump([0.5] * 4)
        self.assertEqual(len(self.asked), 2)

    def test_logged_when_it_changes(self) -> None:
        """Not each time: a replica that is down for a day is a line, and so is its return."""
        self.begin()
        levels = []
        for fault in ("a", "a", "b", "", "", "b"):
            if fault:
                self.waiting.errback(ValueError(fault))
            else:
                self.waiting.callback(Response(200))
            levels.append([level for level, _ in self.logged])
            self.logged.clear()
            self.clock.pump([1.0] * int(LOOK_INTERVAL_S + 1))
        warn, info = [LogLevel.warn], [LogLevel.info]
        self.assertEqual(levels, [warn, [], warn, info, [], warn])

    def test_stopped_while_asking(self) -> None:
        """It asks no more, and its own cancel is no fault of the replica's, whatever the network calls it."""
        for error in (CancelledError(), ConnectingCancelledError(None)):
            self.cancelled_with = error
            asked = self.begin()
            count = len(self.asked)
            self.asker.stop()
            self.asker.stop()
            self.clock.pump([1.0] * 5)
            self.assertEqual(len(self.asked), count)
            self.assertEqual((asked.last_error, self.logged), ("", []), error)
