"""Names and name servers: what is taken, and what is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.dns_names import dns_name, name_server


class DnsNameTests(SynchronousTestCase):
    """Names."""

    def test_names(self) -> None:
        """Hosts and services, spelled in one way."""
        for text, name in (
            ("gpu.example.org", b"gpu.example.org"),
            ("GPU.Example.org.", b"gpu.example.org"),
            ("_vllm._tcp.gpu.example.org", b"_vllm._tcp.gpu.example.org"),
            ("xn--bcher-kva.example", b"xn--bcher-kva.example"),
            ("host", b"host"),
            ("a" * 63 + ".b", b"a" * 63 + b".b"),
        ):
            self.assertEqual(dns_name(text), name)

    def test_what_is_no_name(self) -> None:
        """Refused, before anybody is asked."""
        for text in (
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "-a",
            "a-",
            "bücher.example",
            "a" * 64,
            "a." * 127 + "a",
            "a\n",
            "a:1",
        ):
            self.assertIn("expected a name", str(self.assertRaises(ValueError, dns_name, text)))

    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """A name that can be encoded, or a ValueError."""
        try:
            name = dns_name(text)
        except ValueError:
            return
        self.assertTrue(all(0 < len(label) < 64 for label in name.split(b".")))


class NameServerTests(SynchronousTestCase):
    """Name servers."""

    def test_servers(self) -> None:
        """Both kinds of address, with a port and without, as the system spells them."""
        for text, server in (
            ("127.0.0.1:5353", ("127.0.0.1", 5353)),
            ("127.0.0.1", ("127.0.0.1", 53)),
            ("[::1]:53", ("::1", 53)),
            ("[::1]", ("::1", 53)),
            ("[2001:DB8:0:0::1]:54", ("2001:db8::1", 54)),
        ):
            self.assertEqual(name_server(text), server)

    def test_what_is_no_server(self) -> None:
        """Refused: a server's own name would have to be asked for first."""
        for text in (
            "",
            "ns.example.org:53",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "1.2.3:53",
            "::1",
            "[::1]x",
            "[1.2.3.4]:53",
        ):
            self.assertIn("expected a name server's", str(self.assertRaises(ValueError, name_server, text)))
