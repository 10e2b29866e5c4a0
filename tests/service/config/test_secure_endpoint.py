"""C{ssl:} endpoint strings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import CertificateSettings, Settings, TlsSettings
from aibrix_twisted.service.config.secure_endpoint import Door, door, doors


class DoorTests(SynchronousTestCase):
    """What of a string is an endpoint, and what is of TLS."""

    def test_others_are_left_alone(self) -> None:
        """Whatever they are."""
        for said in ("tcp:8080", "unix:/run/x.sock", "systemd:domain=INET:index=0", "sslx:1"):
            self.assertEqual(door(said), Door(said, said, secure=False))

    def test_as_twisted_has_it(self) -> None:
        """A port, an interface, files; C{certKey} is the key's file where it is not said."""
        for said, endpoint, certificate in (
            ("ssl:8443", "tcp:8443", None),
            ("ssl:port=8443", "tcp:8443", None),
            ("ssl:8443:interface=127.0.0.1:backlog=7", "tcp:8443:interface=127.0.0.1:backlog=7", None),
            (r"ssl:8443:interface=\:\:1", r"tcp:8443:interface=\:\:1", None),
            ("ssl:1:privateKey=k.pem", "tcp:1", CertificateSettings(cert="k.pem", key="k.pem")),
            (
                r"ssl:1:privateKey=/a\:b/k.pem:certKey=c.pem:extraCertChain=d.pem",
                "tcp:1",
                CertificateSettings(cert="c.pem", key="/a:b/k.pem", chain="d.pem"),
            ),
        ):
            self.assertEqual(door(said), Door(said, endpoint, secure=True, certificate=certificate))
            serverFromString(None, endpoint)

    def test_what_it_has_not(self) -> None:
        """Named."""
        for said, expected in (
            ("ssl:1:sslmethod=TLSv1_METHOD", "'sslmethod' in it, expected port, interface"),
            ("ssl:1:dhParameters=x.pem", "'dhParameters' in it"),
            ("ssl:1:certKey=x.pem", "certKey without privateKey"),
        ):
            self.assertIn(expected, str(self.assertRaises(ValueError, door, said)))

    @settings(deadline=None)
    @given(st.text(alphabet="sl:\\=a1", max_size=12))
    def test_nothing_else_is_raised(self, text: str) -> None:
        """Whatever follows C{ssl:}."""
        try:
            self.assertTrue(door(f"ssl:{text}").secure)
        except ValueError as error:
            self.assertTrue(str(error))

    def test_all_of_them(self) -> None:
        """Those of C{listen}, and those of C{[tls]}, which all speak it."""
        found = doors(Settings(listen=("tcp:1", "ssl:2"), tls=TlsSettings(listen=("tcp:3", "unix:/x"))))
        self.assertEqual(
            [(each.endpoint, each.secure) for each in found],
            [("tcp:1", False), ("tcp:2", True), ("tcp:3", True), ("unix:/x", True)],
        )
