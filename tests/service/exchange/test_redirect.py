"""Requests that come without TLS, where they are to come with it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import Settings, TlsSettings
from tests.fakes import Bench, post


class RedirectTests(SynchronousTestCase):
    """C{[tls] redirect}."""

    def bench(self, **tls: Any) -> Bench:
        """A gateway that redirects."""
        return Bench(Settings(tls=TlsSettings(redirect=True, **tls)))

    def location(self, raw: bytes, **tls: Any) -> bytes:
        """Where a request is sent."""
        client, wire = self.bench(**tls).client()
        client.dataReceived(raw)
        out = wire.take()
        self.assertIn(b" 308 Permanent Redirect\r\n", out)
        (line,) = [line for line in out.split(b"\r\n") if line.startswith(b"location: ")]
        return line.removeprefix(b"location: ")

    def test_where(self) -> None:
        """The same host, path and query, at the port of TLS; a name, or an address."""
        get = b"GET /v1/models?a=1&b HTTP/1.1\r\nhost: %b\r\n\r\n"
        for host, port, expected in (
            (b"gw.example", 0, b"https://gw.example/v1/models?a=1&b"),
            (b"gw.example:8080", 443, b"https://gw.example/v1/models?a=1&b"),
            (b"gw.example:8080", 8443, b"https://gw.example:8443/v1/models?a=1&b"),
            (b"[2001:db8::1]:80", 8443, b"https://[2001:db8::1]:8443/v1/models?a=1&b"),
        ):
            self.assertEqual(self.location(get % host, redirect_port=port), expected)

    def test_whatever_it_is(self) -> None:
        """A POST with its body, a path that there is not; absolute-form means what host says."""
        for raw in (post(), b"GET http://gw/x HTTP/1.1\r\nhost: gw\r\n\r\n", b"PUT /y HTTP/1.1\r\nhost: gw\r\n\r\n"):
            self.assertTrue(self.location(raw).startswith(b"https://gw/"))

    def test_no_engine_sees_it(self) -> None:
        """Nor does the connection end: the next request is told the same."""
        bench = self.bench()
        client, wire = bench.client()
        client.dataReceived(post() + post())
        self.assertEqual(wire.take().count(b"HTTP/1.1 308"), 2)
        self.assertEqual((bench.reactor.connects, wire.closing), ([], False))
        self.assertEqual([exchange.status for exchange in bench.log.seen], [308, 308])

    def test_no_host(self) -> None:
        """Of HTTP/1.0: nobody knows where it should go."""
        client, wire = self.bench().client()
        client.dataReceived(b"GET /v1/models HTTP/1.0\r\n\r\n")
        self.assertIn(b" 400 Bad Request\r\n", wire.take())

    def test_probes_are_answered(self) -> None:
        """Those of load balancers, and everything where it is off."""
        client, wire = self.bench().client()
        for path in (b"/healthz", b"/readyz"):
            client.dataReceived(b"GET %b HTTP/1.1\r\nhost: gw\r\n\r\n" % path)
            self.assertIn(b" 200 OK\r\n", wire.take())
        client, wire = Bench().client()
        client.dataReceived(b"GET /v1/models HTTP/1.1\r\nhost: gw\r\n\r\n")
        self.assertIn(b" 200 OK\r\n", wire.take())
