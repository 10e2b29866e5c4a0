"""Questions and answers on a pair of sockets: what is sent, and what is made of what comes."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.client import Answer, Client
from aibrix_twisted.ctl.failures import Refused, Unreachable
from aibrix_twisted.ctl.target import Target

URL = "http://gw.example:9090"


class Paired(HTTPConnection):
    """Its socket is given."""

    def __init__(self, end: socket.socket | OSError) -> None:
        super().__init__("gw.example", 9090)
        self._end = end

    def connect(self) -> None:
        """Take it, or fail."""
        if isinstance(self._end, OSError):
            raise self._end
        self.sock = self._end


class PairedTarget(Target):
    """Leads to one end of a pair; the other is the test's."""

    def __init__(self, end: socket.socket | OSError, prefix: str = "") -> None:
        super().__init__(URL, "http", "gw.example", 9090, prefix)
        object.__setattr__(self, "end", end)

    def connection(self, timeout_s: float) -> HTTPConnection:
        """The one connection."""
        return Paired(self.end)  # type: ignore[attr-defined]


def head(status: int, length: int, kind: str = "application/json") -> bytes:
    """Of an answer."""
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n".encode()


class ClientTests(SynchronousTestCase):
    """Client.ask."""

    def setUp(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def ask(
        self, answer: bytes, method: str = "GET", path: str = "/api/replicas", body: Any = None, *, token: str = ""
    ) -> Answer:
        """Ask where this answer is ready."""
        self.theirs.sendall(answer)
        self.theirs.shutdown(socket.SHUT_WR)
        return Client(PairedTarget(self.ours, "/prefix"), token).ask(method, path, body)

    def sent(self) -> tuple[bytes, dict[str, str], bytes]:
        """Line, headers and body of the question."""
        whole = b""
        while part := self.theirs.recv(65536):
            whole += part
        said, _, body = whole.partition(b"\r\n\r\n")
        line, *headers = said.decode().split("\r\n")
        pairs = (header.partition(": ") for header in headers)
        return line.encode(), {name.lower(): value for name, _, value in pairs}, body

    def test_a_document(self) -> None:
        """It is there as it came, and as it reads; the connection is closed."""
        text = b'{ "replicas": [] }'
        answer = self.ask(head(200, len(text)) + text)
        self.assertEqual(answer, Answer(200, text.decode(), {"replicas": []}))
        line, headers, body = self.sent()
        self.assertEqual((line, body), (b"GET /prefix/api/replicas HTTP/1.1", b""))
        self.assertEqual(headers["host"], "gw.example:9090")
        self.assertNotIn("authorization", headers)
        self.assertNotIn("content-type", headers)

    def test_a_write(self) -> None:
        """Its kind, its length and the token go with it."""
        self.ask(head(201, 2) + b"{}", "POST", "/api/replicas", {"url": "http://a"}, token="s3cret")
        line, headers, body = self.sent()
        self.assertEqual((line, body), (b"POST /prefix/api/replicas HTTP/1.1", b'{"url":"http://a"}'))
        self.assertEqual(headers["authorization"], "Bearer s3cret")
        self.assertEqual((headers["content-type"], headers["content-length"]), ("application/json", "18"))

    def test_a_write_without_a_body(self) -> None:
        """It says that it has none."""
        self.ask(head(200, 2) + b"{}", "POST", "/api/reload")
        self.assertEqual(self.sent()[1]["content-length"], "0")

    def test_a_refusal(self) -> None:
        """The message and the problems, and the document for scripts."""
        text = orjson.dumps({"error": {"message": "no", "code": "invalid"}, "problems": ["a: b", "c: d"]})
        error = self.assertRaises(Refused, self.ask, head(422, len(text)) + text, "POST", "/api/reload")
        self.assertEqual((str(error), error.notes, error.answer), ("no", ["a: b", "c: d"], text.decode()))

    def test_a_refusal_for_want_of_a_token(self) -> None:
        """Where a token comes from is said."""
        text = orjson.dumps({"error": {"message": "who are you?"}})
        error = self.assertRaises(Refused, self.ask, head(401, len(text)) + text, "POST", "/api/reload")
        self.assertIn("--token-file", error.notes[0])

    def test_another_port_of_the_gateway(self) -> None:
        """What has no such path is not the admin listener, and that is no refusal."""
        text = orjson.dumps({"error": {"message": "there is no path /api/replicas", "code": "unknown_path"}})
        error = self.assertRaises(Unreachable, self.ask, head(404, len(text)) + text)
        self.assertEqual(str(error), f"{URL} is no admin listener: there is no path /api/replicas")
        self.assertIn("clients", error.notes[0])

    def test_something_else(self) -> None:
        """What is no document of the gateway's is named as what it is, whatever its status."""
        for status, body in (
            (200, b"<html>"),
            (200, b"[]"),
            (302, b"{}"),
            (404, b'{"detail":"Not Found"}'),
            (502, b"\xff"),
        ):
            self.ours, self.theirs = socket.socketpair()
            self.addCleanup(self.theirs.close)
            error = self.assertRaises(Unreachable, self.ask, head(status, len(body)) + body)
            self.assertEqual(str(error), f"what answers at {URL} is not the gateway's admin API (HTTP {status})")

    def test_an_answer_that_breaks_off(self) -> None:
        """A write may have been done; a read is only repeated."""
        whole = head(200, 2) + b"{}"
        for cut in range(len(whole)):
            for method in ("GET", "DELETE"):
                self.ours, self.theirs = socket.socketpair()
                self.addCleanup(self.theirs.close)
                error = self.assertRaises(Unreachable, self.ask, whole[:cut], method)
                self.assertEqual("may have done" in str(error), method == "DELETE", (cut, str(error)))

    def test_nobody_listens(self) -> None:
        """The URL, the reason, and what to look at; nothing was done."""
        for failure, reason in (
            (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
            (TimeoutError("timed out"), "no answer in time"),
            (OSError("AF_UNIX path too long"), "AF_UNIX path too long"),
        ):
            error = self.assertRaises(Unreachable, Client(PairedTarget(failure)).ask, "POST", "/api/reload")
            self.assertEqual(str(error), f"the gateway cannot be reached at {URL}: {reason}")
            self.assertIn("systemctl status aibrix-gateway", error.notes[0])
