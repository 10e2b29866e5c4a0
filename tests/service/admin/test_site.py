"""The admin listener, asked as twisted.web asks it."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.admin.site import admin_site
from tests.service.telemetry.test_metrics import State


class AdminState(State):
    """With readiness."""

    ready = True

    def readiness(self) -> tuple[bool, bytes]:
        return self.ready, b'{"status":"x"}'


class SiteTests(SynchronousTestCase):
    """Every path."""

    def ask(
        self, path: bytes, method: bytes = b"GET", state: Any = None, headers: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        site = admin_site(state or AdminState())
        channel = site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(
            method + b" " + path + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + headers + b"\r\n"
        )
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head[9:12]), head, body

    def test_documents(self) -> None:
        """Each is there, with its kind."""
        for path, kind, part in (
            (b"/", b"text/html", b"aibrix-gateway"),
            (b"/healthz", b"application/json", b"ok"),
            (b"/readyz", b"application/json", b"status"),
            (b"/metrics", b"text/plain", b"aibrix_gateway_replica_up"),
            (b"/api/replicas", b"application/json", b"gpu0"),
        ):
            status, head, body = self.ask(path)
            self.assertEqual(status, 200, path)
            self.assertIn(kind, head.lower().replace(b"content-type: ", b""))
            self.assertIn(part, body)
            status, head, body = self.ask(path, b"HEAD")
            self.assertEqual((status, body), (200, b""))

    def test_replicas(self) -> None:
        """What is known of each."""
        _, _, body = self.ask(b"/api/replicas")
        known, unknown = orjson.loads(body)["replicas"]
        self.assertEqual((known["name"], known["models"], known["up"], known["in_flight"]), ("gpu0", ["m"], True, 0))
        self.assertEqual((unknown["models"], unknown["up"]), (None, False))

    def test_not_ready(self) -> None:
        """503 with the reason."""
        state = AdminState()
        state.ready = False
        self.assertEqual(self.ask(b"/readyz", state=state)[0], 503)

    def test_openmetrics(self) -> None:
        """For a scraper that prefers it."""
        _, head, body = self.ask(b"/metrics", headers=b"accept: application/openmetrics-text; version=1.0.0\r\n")
        self.assertIn(b"openmetrics", head)
        self.assertTrue(body.endswith(b"# EOF\n"))

    def test_what_there_is_not(self) -> None:
        """404 and 405 as OpenAI's error object."""
        for path, method, status, code in (
            (b"/nowhere", b"GET", 404, "unknown_path"),
            (b"/api/", b"GET", 404, "unknown_path"),
            (b"/api", b"GET", 404, "unknown_path"),
            (b"/api/replicas", b"POST", 405, "method_not_allowed"),
        ):
            found, head, body = self.ask(path, method)
            self.assertEqual(found, status, path)
            self.assertEqual(orjson.loads(body)["error"]["code"], code)
            if status == 405:
                self.assertIn(b"allow: get, head", head.lower())
