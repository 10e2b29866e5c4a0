"""The admin listener, asked as twisted.web asks it."""

from __future__ import annotations

import tempfile

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.admin.api import MAX_BODY_BYTES
from tests.service.admin.listener import HERE, Listener


class SiteTests(SynchronousTestCase):
    """Every path."""

    def setUp(self) -> None:
        self.listener = Listener()

    def test_documents(self) -> None:
        """Each is there, with its kind and its length, and is kept by nobody; HEAD says the same without it."""
        for path, kind, part in (
            (b"/", b"text/html; charset=utf-8", b"aibrix-gateway"),
            (b"/healthz", b"application/json", b"ok"),
            (b"/readyz", b"application/json", b"status"),
            (b"/metrics", b"text/plain; version=0.0.4; charset=utf-8", b"aibrix_gateway_replica_up"),
            (b"/api/replicas", b"application/json", b"gpu0"),
            (b"/api/models", b"application/json", b'"m"'),
        ):
            said = self.listener.ask(b"GET", path)
            self.assertEqual((said.status, said.headers[b"content-type"]), (200, kind), path)
            self.assertEqual(said.headers[b"cache-control"], b"no-store")
            self.assertEqual(said.headers[b"content-length"], b"%d" % len(said.body))
            self.assertIn(part, said.body)
            headless = self.listener.ask(b"HEAD", path)
            self.assertEqual((headless.status, headless.body), (200, b""))
            if path != b"/metrics":  # the process's own figures change from one look to the next
                self.assertEqual(headless.headers[b"content-length"], said.headers[b"content-length"])

    def test_not_ready(self) -> None:
        """503 with the reason."""
        self.listener.state.ready = False
        said = self.listener.ask(b"GET", b"/readyz")
        self.assertEqual((said.status, said.document), (503, {"status": "x"}))

    def test_openmetrics(self) -> None:
        """For a scraper that prefers it; one that says nothing sensible gets the plain text."""
        said = self.listener.ask(b"GET", b"/metrics", None, b"accept: application/openmetrics-text; version=1.0.0")
        self.assertIn(b"openmetrics", said.headers[b"content-type"])
        self.assertTrue(said.body.endswith(b"# EOF\n"))
        said = self.listener.ask(b"GET", b"/metrics", None, b"accept: \xff")
        self.assertEqual((said.status, said.headers[b"content-type"][:10]), (200, b"text/plain"))

    def test_what_there_is_not(self) -> None:
        """404 and 405 as OpenAI's error object; whoever asks for what is not there needs no token."""
        for path, method, status, code in (
            (b"/nowhere", b"GET", 404, "unknown_path"),
            (b"/nowhere/%ff", b"POST", 404, "unknown_path"),
            (b"/api/", b"GET", 404, "unknown_path"),
            (b"/api", b"GET", 404, "unknown_path"),
            (b"/api", b"DELETE", 404, "unknown_path"),
            (b"/metrics", b"POST", 405, "method_not_allowed"),
            (b"/", b"PUT", 405, "method_not_allowed"),
            (b"/healthz", b"OPTIONS", 405, "method_not_allowed"),
        ):
            said = self.listener.ask(method, path)
            self.assertEqual((said.status, said.code), (status, code), path)
            self.assertEqual(sorted(said.document["error"]), ["code", "message", "param", "type"])
            self.assertEqual(said.document["error"]["type"], "invalid_request_error")
            if status == 405:
                self.assertEqual(said.headers[b"allow"], b"GET, HEAD")

    def test_a_body_is_kept_to_a_bound(self) -> None:
        """Whoever sends it, and however much: it is read before anybody is asked."""
        kept = []

        class Watched(self.listener.site.requestFactory):  # type: ignore[misc,name-defined]
            """Remembers how much was kept of its body."""

            def requestReceived(self, *arguments: bytes) -> None:
                kept.append(self.content.seek(0, 2))
                super().requestReceived(*arguments)

        self.listener.site.requestFactory = Watched
        for extra in (0, 1, 2, 3 * MAX_BODY_BYTES):
            body = b" " * (MAX_BODY_BYTES + extra)
            said = self.listener.ask(b"POST", b"/api/replicas", body)
            self.assertEqual(said.code, "body_too_large" if extra else "invalid_body")
            self.assertEqual(kept.pop(), MAX_BODY_BYTES + min(extra, 1))
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        said = self.listener.send(
            b"POST /api/replicas HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            + piece * 40
            + b"0\r\n\r\n",
            HERE,
        )
        self.assertEqual((said.code, kept), ("body_too_large", [MAX_BODY_BYTES + 1]))

    def test_no_body_is_written_to_a_file(self) -> None:
        """However long it may be: the file system may be one that is only read."""

        def no_place(*_: object) -> None:
            raise FileNotFoundError("No usable temporary directory found")

        self.patch(tempfile, "TemporaryFile", no_place)
        said = self.listener.ask(b"POST", b"/api/replicas", b" " * MAX_BODY_BYTES)
        self.assertEqual(said.code, "invalid_body")

    def test_a_whole_session(self) -> None:
        """Added, drained, seen, removed: what each says is what the next one shows."""
        said = self.listener.ask(b"POST", b"/api/replicas", {"url": "http://192.0.2.9:1", "models": ["n"]})
        self.assertEqual((said.status, said.document["name"]), (201, "192.0.2.9:1"))
        for method, path, status, state in (
            (b"POST", b"/api/replicas/192.0.2.9:1/drain", 200, "draining"),
            (b"POST", b"/api/replicas/192.0.2.9:1/undrain", 200, "up"),
            (b"DELETE", b"/api/replicas/192.0.2.9:1", 202, "leaving"),
        ):
            said = self.listener.ask(method, path)
            self.assertEqual((said.status, said.document["state"]), (status, state), path)
        listed = orjson.loads(self.listener.ask(b"GET", b"/api/replicas").body)
        self.assertEqual([replica["name"] for replica in listed["replicas"]], ["gpu0", "gpu1"])
