"""What of TLS is spoken, and which certificate a client is shown; OpenSSL on both ends, in memory."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import TlsSettings
from aibrix_twisted.service.config.pem import read_credentials
from aibrix_twisted.service.tls.contexts import MAX_DEPTH, TICKET_S, found_for, listener_context, names_of
from tests.authority import Authority, Issued
from tests.service.tls.peer import folder_of, trusting


class _Told:
    """In the place of a transport: told why a certificate is not believed."""

    why = ""

    def failVerification(self, reason: Any) -> None:
        self.why = reason.getErrorMessage()


class Meeting:
    """A handshake between two contexts.

    @ivar error: why it failed, on either side.
    @ivar told: why the client's certificate is not believed.
    """

    def __init__(self, server: SSL.Context, client: SSL.Context, name: str = "", session: Any = None) -> None:
        self.server, self.client = SSL.Connection(server), SSL.Connection(client)
        self.server.set_accept_state()
        self.client.set_connect_state()
        self._told = _Told()
        self.server.set_app_data(self._told)
        if name:
            self.client.set_tlsext_host_name(name.encode())
        if session is not None:
            self.client.set_session(session)
        self.error = ""
        for _ in range(10):
            for one, other in ((self.client, self.server), (self.server, self.client)):
                self._step(one)
                try:
                    other.bio_write(one.bio_read(1 << 20))
                except SSL.WantReadError:
                    pass

    @property
    def told(self) -> str:
        return self._told.why

    @property
    def shown(self) -> Any:
        """The certificate that the client got."""
        return self.client.get_peer_certificate(as_cryptography=True)

    @property
    def session(self) -> Any:
        """The client's, which has said good-bye: OpenSSL takes one that broke off for one that may not be resumed."""
        self.client.shutdown()
        return self.client.get_session()

    def _step(self, side: SSL.Connection) -> None:
        try:
            side.do_handshake()
            side.recv(1)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = self.error or str(error)


class ContextTests(SynchronousTestCase):
    """A listener's."""

    def setUp(self) -> None:
        self.folder = folder_of(self)
        self.authority = Authority(self.folder)
        self.first = self.authority.issue("a.example", "b.example")
        self.second = self.authority.issue("B.example", "*.c.example")

    def listener(self, *issued: Issued, **settings: Any) -> SSL.Context:
        """Its context."""
        shown = [read_credentials(one.cert, one.key) for one in issued or (self.first, self.second)]
        return listener_context(shown, TlsSettings(**settings))

    def test_by_name(self) -> None:
        """The first that has the name, a wildcard for one label, else the first of all."""
        context, client = self.listener(), trusting(self.authority)
        for name, issued in (
            ("a.example", self.first), ("A.EXAMPLE", self.first), ("b.example", self.first), ("x.c.example", self.second),
            ("c.example", self.first), ("x.y.c.example", self.first), ("elsewhere.example", self.first), ("", self.first),
        ):  # fmt: skip
            meeting = Meeting(context, client, name)
            self.assertEqual((meeting.error, meeting.shown), ("", issued.certificate), name)

    def test_names(self) -> None:
        """Those of the alternatives; the common name where there are none; found without regard to case and last dots."""
        self.assertEqual(names_of(self.second.certificate), ["b.example", "*.c.example"])
        self.assertEqual(names_of(self.authority.issue(subject="Old.example").certificate), ["old.example"])
        self.assertEqual(names_of(self.authority.issue("192.0.2.1", subject="x").certificate), [])
        by_name: Any = {"a.example": 1, "*.c.example": 2}
        for name, found in (("A.Example.", 1), ("x.c.example", 2), ("*.c.example", 2), ("c.example", None), ("", None)):
            self.assertEqual(found_for(name, by_name), found)

    def test_versions(self) -> None:
        """1.2 and 1.3, or 1.3 only; with ciphers that have forward secrecy and are authenticated."""
        v12, v13 = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION
        for least, highest, spoken in (
            ("1.2", v13, "TLSv1.3"), ("1.2", v12, "TLSv1.2"), ("1.3", v13, "TLSv1.3"), ("1.3", v12, ""),
        ):  # fmt: skip
            client = trusting(self.authority, versions=(v12, highest))
            meeting = Meeting(self.listener(min_version=least), client)
            self.assertEqual(bool(meeting.error), not spoken)
            if spoken:
                self.assertEqual(meeting.client.get_protocol_version_name(), spoken)
        ciphers = SSL.Connection(self.listener()).get_cipher_list()
        self.assertEqual([one for one in ciphers if not one.startswith(("TLS_", "ECDHE-"))], [])
        self.assertEqual([one for one in ciphers if "GCM" not in one and "POLY1305" not in one], [])

    def test_alpn(self) -> None:
        """HTTP/1.1 of what a client offers; none where it offers none; the handshake fails where it wants others only."""
        for offered, spoken, fails in (
            ([b"h2", b"http/1.1"], b"http/1.1", False), ([], b"", False), ([b"h2"], b"", True), ([b"h2", b"h3"], b"", True),
        ):  # fmt: skip
            client = trusting(self.authority)
            if offered:
                client.set_alpn_protos(offered)
            meeting = Meeting(self.listener(), client, "x.c.example")
            self.assertEqual((meeting.client.get_alpn_proto_negotiated(), bool(meeting.error)), (spoken, fails))
            if fails:
                self.assertIn("no application protocol", meeting.error)

    def test_a_session_is_resumed(self) -> None:
        """By the tickets of both versions, under each name; not by another generation of contexts."""
        listener = self.listener()
        self.assertEqual(listener.get_timeout(), TICKET_S)
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            for name in ("a.example", "x.c.example"):
                client, checked = trusting(self.authority, versions=(version, version)), []

                def verify(*given: Any, checked: list[int] = checked) -> bool:
                    checked.append(1)
                    return bool(given[-1])

                client.set_verify(SSL.VERIFY_PEER, verify)
                session = Meeting(listener, client, name).session
                self.assertTrue(checked)
                checked.clear()
                again = Meeting(listener, client, name, session)
                self.assertEqual((again.error, checked), ("", []), "resumed: no certificate is shown")
                renewed = Meeting(self.listener(), client, name, session)
                self.assertEqual((renewed.error, bool(checked)), ("", True))

    def test_clients(self) -> None:
        """Their certificates are asked for, verified, and required, as the settings say; and why one is refused is told."""
        other = Authority(self.folder, "Another")
        good = self.authority.issue(subject="alice", client=True)
        for auth, shown, refused in (
            ("none", None, ""), ("none", good, ""), ("optional", None, ""), ("optional", good, ""), ("required", good, ""),
            ("required", None, "peer did not return a certificate"),
            ("optional", other.issue(subject="mallory", client=True), "CN=mallory: its issuer is not one that is trusted"),
            ("required", self.authority.issue(subject="old", client=True, days=(-9, -2)), "CN=old: it has expired"),
            ("required", self.authority.issue(subject="new", client=True, days=(2, 9)), "CN=new: it is not valid yet"),
            ("required", self.authority.issue("a.example", subject="srv"), "CN=srv: it is for another purpose"),
        ):  # fmt: skip
            ca = "" if auth == "none" else self.authority.path
            listener = self.listener(client_auth=auth, client_ca=ca)
            meeting = Meeting(listener, trusting(self.authority, shown))
            self.assertEqual(bool(meeting.error), bool(refused), (auth, meeting.error))
            self.assertIn(refused, meeting.told or meeting.error)
            seen = meeting.server.get_peer_certificate(as_cryptography=True)
            if not refused:
                self.assertEqual(seen, shown.certificate if shown and auth != "none" else None)

    def test_clients_whose_sessions_are_resumed(self) -> None:
        """They are who they were."""
        good = self.authority.issue(subject="alice", client=True)
        listener = self.listener(client_auth="required", client_ca=self.authority.path)
        client = trusting(self.authority, good)
        for name in ("", "x.c.example"):
            session = Meeting(listener, client, name).session
            again = Meeting(listener, client, name, session)
            self.assertEqual(again.error, "")
            self.assertEqual(again.server.get_peer_certificate(as_cryptography=True), good.certificate)

    def test_a_long_way_to_the_authority(self) -> None:
        """So many between may there be, and no more."""
        for count, refused in ((MAX_DEPTH, False), (MAX_DEPTH + 1, True)):
            above = self.authority
            for number in range(count):
                above = Authority(self.folder, f"Between {count} {number}", above)
            listener = self.listener(client_auth="required", client_ca=self.authority.path)
            meeting = Meeting(listener, trusting(self.authority, above.issue(subject="far", client=True)))
            self.assertEqual(bool(meeting.error), refused, meeting.error)
            self.assertEqual("too many certificates" in meeting.told, refused, meeting.told)

    def test_more_than_is_read(self) -> None:
        """A chain of over 100 KiB ends the handshake."""
        good = self.authority.issue(subject="alice", client=True)
        client = trusting(self.authority, good)
        stuffing = self.authority.issue(*(f"{'x' * 50}{number}.example" for number in range(900))).certificate
        for _ in range(3):
            client.add_extra_chain_cert(stuffing)
        meeting = Meeting(self.listener(client_auth="required", client_ca=self.authority.path), client)
        self.assertIn("excessive message size", meeting.error)
