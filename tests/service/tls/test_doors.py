"""The listeners' certificates, and how they are replaced."""

from __future__ import annotations

import shutil
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import CertificateSettings, Settings, TlsSettings
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.tls.doors import RENEW_S, Doors
from tests.authority import NOW, Authority, Issued
from tests.service.tls.peer import Peer, TlsWire, certificates, folder_of, trusting


class DoorsTests(SynchronousTestCase):
    """Of one gateway, without its sockets."""

    def setUp(self) -> None:
        self.said: list[LogEvent] = []
        globalLogPublisher.addObserver(self.said.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.said.append)
        self.authority = Authority(folder_of(self))
        self.issued = self.authority.issue("a.example")
        self.settings = self.with_tls(self.issued)
        self.clock = Clock()

    def with_tls(self, *issued: Issued, listen: tuple[str, ...] = ("tcp:1", "ssl:2"), **more: Any) -> Settings:
        """Settings."""
        return Settings(listen=listen, admin="none", tls=TlsSettings(certificate=certificates(*issued), **more))

    def doors(self, settings: Settings | None = None) -> Doors:
        """From the settings."""
        return Doors(self.clock, settings or self.settings, NOW.timestamp)

    def peer(self, doors: Doors, number: int = 1, context: Any = None) -> Peer:
        """A client at the door of this number."""
        made: Any = doors.factory(doors.clients[number], Factory.forProtocol(Protocol))
        transport = made.buildProtocol(None)
        wire = TlsWire(transport)
        transport.makeConnection(wire)
        return Peer(transport, wire, context or trusting(self.authority)).pump()

    def shown(self, doors: Doors, number: int = 1) -> Any:
        """The certificate at a door."""
        return self.peer(doors, number).tls.get_peer_certificate(as_cryptography=True)

    def replace(self, new: Issued, *, key: bool = True) -> None:
        """Another certificate in the files of the one in use."""
        shutil.copy(new.cert, self.issued.cert)
        if key:
            shutil.copy(new.key, self.issued.key)

    def test_doors(self) -> None:
        """Each with TLS where it speaks it; with its own certificate, or those of all."""
        own = self.authority.issue("own.example")
        settings = self.with_tls(
            self.issued, listen=("tcp:1", "ssl:2", f"ssl:3:privateKey={own.key}:certKey={own.cert}")
        )
        doors = self.doors(settings)
        plain = Factory.forProtocol(Protocol)
        self.assertIs(doors.factory(doors.clients[0], plain), plain)
        self.assertEqual(self.shown(doors, 1), self.issued.certificate)
        self.assertEqual(self.shown(doors, 2), own.certificate)
        self.assertIsNone(doors.admin)

    def test_the_port(self) -> None:
        """Of the first that speaks TLS, where it says one."""
        for listen, secure, port in (
            (("tcp:1", "ssl:2", "ssl:3"), (), 2),
            (("tcp:1",), ("unix:/x", "tcp:port=4:backlog=5"), 4),
            (("tcp:1",), ("unix:/x",), None),
            (("tcp:1",), (), None),
        ):
            tls = TlsSettings(listen=secure, certificate=certificates(self.issued))
            self.assertEqual(self.doors(Settings(listen=listen, admin="none", tls=tls)).port, port)

    def test_a_reload(self) -> None:
        """What is prepared is not in use before it is taken; then new clients get it, and old ones go on."""
        doors = self.doors()
        before = self.peer(doors)
        new = self.authority.issue("a.example")
        self.replace(new)
        take = doors.reloaded(self.settings)
        self.assertEqual(self.shown(doors), self.issued.certificate)
        take()
        self.assertEqual(self.shown(doors), new.certificate)
        before.say(b"still here")
        self.assertEqual(before.error, "")

    def test_a_bad_reload(self) -> None:
        """Nothing is taken, and what is wrong is said with its file and key: none, another's, one that has expired."""
        doors = self.doors()
        other = self.authority.issue("a.example")
        self.replace(other, key=False)
        error = self.assertRaises(ConfigError, doors.reloaded, self.settings)
        self.assertIn(f"tls: key: found '{self.issued.key}', which is not the key", error.problems[0])
        self.assertIn(self.issued.cert, error.problems[0])
        over = self.authority.issue("a.example", days=(-9, -2))
        self.replace(over)
        error = self.assertRaises(ConfigError, doors.reloaded, self.settings)
        self.assertRegex(
            error.problems[0], f"{self.issued.cert}: the certificate has expired on .*, expected one that has"
        )
        gone = Settings(listen=("ssl:2",), tls=TlsSettings(certificate=(CertificateSettings(cert="/no", key="/no"),)))
        self.assertIn("/no", self.assertRaises(ConfigError, doors.reloaded, gone).problems[0])
        self.assertEqual(self.shown(doors), self.issued.certificate)

    def test_one_that_expires_while_it_is_in_use(self) -> None:
        """Is no reason to refuse everything else; it is told of at the start and at each reload."""
        over = self.authority.issue("a.example", days=(-9, -2))
        settings = self.with_tls(over)
        doors = self.doors(settings)
        doors.reloaded(settings)()
        told = [each["doubt"] for each in self.said if "doubt" in each]
        self.assertEqual(len(told), 2)
        self.assertIn(over.cert, told[0])
        self.assertEqual(doors.expires, over.certificate.not_valid_after_utc.timestamp())

    def test_no_certificates_any_more(self) -> None:
        """The settings of a reload have none for a listener that there is: it keeps what it has."""
        doors = self.doors()
        doors.reloaded(Settings(listen=("tcp:1",)))()
        self.assertEqual(self.shown(doors), self.issued.certificate)

    def test_clients_authorities(self) -> None:
        """A reload takes other ones, too; that they cannot be read is said."""
        doors = self.doors()
        path = self.authority.folder / "clients.pem"
        shutil.copy(self.authority.path, path)
        settings = self.with_tls(self.issued, client_auth="required", client_ca=str(path))
        doors.reloaded(settings)()
        self.assertIn("certificate required", self.peer(doors).error)
        alice = self.authority.issue(subject="alice", client=True)
        self.assertEqual(self.peer(doors, context=trusting(self.authority, alice)).error, "")
        path.unlink()
        error = self.assertRaises(ConfigError, doors.reloaded, settings)
        self.assertIn(str(path), error.problems[0])
        doors.start()
        self.clock.advance(RENEW_S)
        doors.stop()
        self.assertEqual(sum("not renewed" in str(each.get("log_format")) for each in self.said), 1)

    def test_the_keys_of_tickets_are_renewed(self) -> None:
        """A session that began before is not resumed after; it is begun anew, and nobody sees a difference."""
        doors = self.doors()
        doors.start()
        context = doors._newest["ssl:2"].context
        self.clock.advance(RENEW_S)
        self.assertIsNot(doors._newest["ssl:2"].context, context)
        self.assertEqual(self.shown(doors), self.issued.certificate)
        doors.stop()
        doors.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_the_start(self) -> None:
        """What cannot be used is said."""
        settings = Settings(
            listen=("ssl:2",), tls=TlsSettings(certificate=(CertificateSettings(cert="/no", key="/no"),))
        )
        self.assertIn("/no", self.assertRaises(ConfigError, self.doors, settings).problems[0])
        self.assertIsNone(self.doors(Settings(admin="none")).expires)
