"""Who may change something: from where, with which token, in whose name."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tests.service.admin.listener import HERE, Listener

ELSEWHERE = IPv4Address("TCP", "10.0.0.1", 9090)
TOKEN = "s3cret"


class GuardTests(SynchronousTestCase):
    """Asked before a reload, as before every change."""

    def setUp(self) -> None:
        self.listener = Listener()

    def reload(self, *lines: bytes, at: Any = HERE, host: bytes = b"gw:9090") -> tuple[int, str]:
        """Status, and the error's code; whether it was done agrees with them."""
        before = self.listener.state.reloads
        said = self.listener.ask(b"POST", b"/api/reload", None, *lines, at=at, host=host)
        done = self.listener.state.reloads - before
        self.assertEqual(done, int(said.status == 200), said)
        return said.status, "" if said.status == 200 else said.code

    def test_from_this_host(self) -> None:
        """Loopback of either family, also as the other one writes it, and a Unix socket need no token."""
        for self.listener.state.admin_token in ("", TOKEN):
            for at in (
                HERE,
                IPv4Address("TCP", "127.8.9.1", 9090),
                IPv6Address("TCP", "::1", 9090),
                IPv6Address("TCP", "::ffff:127.0.0.1", 9090),
                UNIXAddress(b"/run/gateway.sock"),
                UNIXAddress(None),
            ):
                self.assertEqual(self.reload(at=at), (200, ""), at)

    def test_from_elsewhere(self) -> None:
        """Without a token that could be told, nobody; what kind of address it is makes no difference."""
        for at in (
            ELSEWHERE,
            IPv4Address("TCP", "0.0.0.0", 9090),
            IPv6Address("TCP", "::", 9090),
            IPv6Address("TCP", "2001:db8::1", 9090),
            IPv6Address("TCP", "fe80::1%eth0", 9090),
            IPv6Address("TCP", "::ffff:10.0.0.1", 9090),
            HostnameAddress(b"localhost", 9090),
        ):
            for lines in ((), (b"authorization: Bearer ",), (b"authorization: Bearer " + TOKEN.encode(),)):
                self.assertEqual(self.reload(*lines, at=at), (403, "no_token"), at)

    def test_token(self) -> None:
        """The right one does it, however its scheme is spelled; nothing else does."""
        self.listener.state.admin_token = TOKEN
        for given, found in (
            (b"Bearer s3cret", (200, "")),
            (b"bearer   s3cret  ", (200, "")),
            (b"Bearer s3crets", (401, "invalid_admin_token")),
            (b"Bearer s3cre", (401, "invalid_admin_token")),
            (b"Bearer", (401, "invalid_admin_token")),
            (b"Bearer s3cret s3cret", (401, "invalid_admin_token")),
            (b"Basic s3cret", (401, "invalid_admin_token")),
            (b"s3cret", (401, "invalid_admin_token")),
            (b"Bearer \xff\xfe", (401, "invalid_admin_token")),
            ("Bearer s3cr\u00e9t".encode(), (401, "invalid_admin_token")),
        ):
            self.assertEqual(self.reload(b"authorization: " + given, at=ELSEWHERE), found, given)
        self.assertEqual(self.reload(at=ELSEWHERE), (401, "invalid_admin_token"))

    def test_it_says_what_is_wanted(self) -> None:
        """401 names the scheme; the token itself is nowhere."""
        self.listener.state.admin_token = TOKEN
        said = self.listener.ask(b"POST", b"/api/reload", at=ELSEWHERE)
        self.assertEqual(said.headers[b"www-authenticate"], b"Bearer")
        self.assertNotIn(TOKEN.encode(), said.body)
        self.assertNotIn(b"www-authenticate", self.listener.ask(b"GET", b"/nowhere").headers)

    def test_a_reload_may_change_it(self) -> None:
        """The token of now counts, and none of before."""
        state = self.listener.state
        state.admin_token = TOKEN
        self.assertEqual(self.reload(b"authorization: Bearer s3cret", at=ELSEWHERE)[0], 200)
        state.admin_token = "other"
        self.assertEqual(self.reload(b"authorization: Bearer s3cret", at=ELSEWHERE)[0], 401)
        self.assertEqual(self.reload(b"authorization: Bearer other", at=ELSEWHERE)[0], 200)
        state.admin_token = ""
        self.assertEqual(self.reload(b"authorization: Bearer other", at=ELSEWHERE)[0], 403)

    def test_pages_of_others(self) -> None:
        """What a browser sends for them is refused, whatever else it has."""
        self.listener.state.admin_token = TOKEN
        for origin in (b"http://evil.example", b"https://gw", b"null", b"http://gw:9091", b"gw:9090", b"\xff"):
            for at in (HERE, ELSEWHERE, UNIXAddress(b"/run/gateway.sock")):
                found = self.reload(b"origin: " + origin, b"authorization: Bearer s3cret", at=at)
                self.assertEqual(found, (403, "foreign_origin"), (origin, at))

    def test_pages_of_our_own(self) -> None:
        """They may, under a name that is ours for certain."""
        for host in (b"localhost:9090", b"localhost", b"127.0.0.1:9090", b"[::1]:9090"):
            self.assertEqual(self.reload(b"origin: http://" + host, host=host), (200, ""), host)

    def test_a_name_that_was_given_to_this_host(self) -> None:
        """A page whose own name now leads here is of the same origin by the browser's rule; it needs the token."""
        for host in (b"evil.example:9090", b"localhost.evil.example", b"127.0.0.1.evil.example:9090", b"[", b"[::1"):
            origin = b"origin: http://" + host
            self.listener.state.admin_token = ""
            self.assertEqual(self.reload(origin, host=host), (403, "no_token"), host)
            self.listener.state.admin_token = TOKEN
            self.assertEqual(self.reload(origin, host=host), (401, "invalid_admin_token"), host)
            self.assertEqual(self.reload(origin, b"authorization: Bearer s3cret", host=host), (200, ""), host)

    def test_who_only_looks_is_not_asked(self) -> None:
        """Reading needs nothing, from anywhere."""
        for path in (b"/api/replicas", b"/api/models", b"/metrics", b"/readyz"):
            for method in (b"GET", b"HEAD"):
                said = self.listener.ask(method, path, None, b"origin: http://evil.example", at=ELSEWHERE)
                self.assertEqual(said.status, 200, path)

    def test_every_change_is_guarded(self) -> None:
        """No method that changes something is done for whoever comes."""
        for method, path in (
            (b"POST", b"/api/replicas"),
            (b"PUT", b"/api/replicas/x?ttl=30"),
            (b"DELETE", b"/api/replicas/gpu0"),
            (b"POST", b"/api/replicas/gpu0/drain"),
            (b"POST", b"/api/replicas/gpu0/undrain"),
            (b"POST", b"/api/replicas/gpu0/eject"),
            (b"POST", b"/api/replicas/gpu0/restore"),
            (b"POST", b"/api/reload"),
        ):
            before = self.listener.ask(b"GET", b"/api/replicas").body
            said = self.listener.ask(method, path, {"url": "http://192.0.2.9:1"}, at=ELSEWHERE)
            self.assertEqual((said.status, said.code), (403, "no_token"), path)
            self.assertEqual(self.listener.ask(b"GET", b"/api/replicas").body, before)
