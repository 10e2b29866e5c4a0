"""Where the admin API is."""

from __future__ import annotations

import socket
import tempfile
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.target import Target, target_of


class TargetTests(SynchronousTestCase):
    """URLs, taken apart."""

    def test_good_ones(self) -> None:
        """Scheme, address, port, prefix."""
        for text, expected in {
            "http://127.0.0.1:9090": ("http", "127.0.0.1", 9090, ""),
            "http://gpu0": ("http", "gpu0", None, ""),
            "http://[::1]:9090/": ("http", "::1", 9090, ""),
            "https://gw.example/admin/": ("https", "gw.example", None, "/admin"),
            "unix:/run/admin.sock": ("unix", "/run/admin.sock", None, ""),
        }.items():
            self.assertEqual(target_of(text), Target(text, *expected))

    def test_bad_ones(self) -> None:
        """Each is refused with what would have been right."""
        for text in (
            "", "9090", "127.0.0.1:9090", "ftp://a", "http://", "http://a:x", "http://a:99999", "http://u@a", "http://a?b",
            "http://a/#b", "http://a..b", "unix:", "http://[::1",
        ):  # fmt: skip
            error = self.assertRaises(ValueError, target_of, text)
            self.assertIn("expected http://host:port, https://host:port or unix:/path", str(error), text)


class ConnectionTests(SynchronousTestCase):
    """What is made of them."""

    def test_a_unix_socket(self) -> None:
        """The path is where the connection goes."""
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        path = str(Path(place.name, "admin.sock"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen()
            with closing(target_of(f"unix:{path}").connection(5.0)) as connection:
                connection.request("GET", "/api/replicas")
                peer, _ = listening.accept()
                with peer:
                    self.assertTrue(peer.recv(4096).startswith(b"GET /api/replicas HTTP/1.1\r\nHost: localhost\r\n"))

    def test_tls(self) -> None:
        """https is encrypted, and its certificate is verified: against what the system trusts."""
        connection = target_of("https://gw.example").connection(5.0)
        self.assertIsInstance(connection, HTTPSConnection)
        self.assertEqual((connection.host, connection.port), ("gw.example", 443))

    def test_an_ipv6_address(self) -> None:
        """Brackets are for URLs only."""
        connection = target_of("http://[::1]:9090").connection(5.0)
        self.assertEqual((connection.host, connection.port, connection.timeout), ("::1", 9090, 5.0))
