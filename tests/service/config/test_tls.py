"""What is wrong with settings of TLS is said where it stands in the file."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.config.load import ConfigError, Source
from tests.authority import Authority
from tests.service.tls.peer import folder_of


class TlsFaultTests(SynchronousTestCase):
    """Files of settings."""

    def setUp(self) -> None:
        self.folder = folder_of(self)
        self.authority = Authority(self.folder)
        self.issued = self.authority.issue("a.example")
        self.other = self.authority.issue("b.example")
        self.path = self.folder / "gateway.toml"

    def problems(self, text: str) -> list[str]:
        """Of a file; C{CERT}, C{KEY}, C{OTHER} and C{CA} stand for paths."""
        for word, path in (
            ("CERT", self.issued.cert), ("OTHER", self.other.key), ("KEY", self.issued.key), ("CA", self.authority.path),
        ):  # fmt: skip
            text = text.replace(word, path)
        self.path.write_text(text)
        try:
            Source(str(self.path), {}).load()
        except ConfigError as error:
            return [problem.removeprefix(f"{self.path}:") for problem in error.problems]
        return []

    def test_good_ones(self) -> None:
        """Every way to say it."""
        own = '[[tls.certificate]]\ncert = "CERT"\nkey = "KEY"\n'
        for text in (
            'listen = ["ssl:1"]\n' + own,
            'listen = ["ssl:1:privateKey=KEY:certKey=CERT"]\n',
            'listen = []\n[tls]\nlisten = ["tcp:1"]\n' + own,
            'admin = "ssl:1"\n' + own,
            'listen = ["ssl:1"]\n[tls]\nredirect = true\nclient_ca = "CA"\nclient_auth = "required"\n' + own,
            '[[replica]]\nurl = "https://a"\n',
            '[[replica]]\nurl = "https://a"\n[replica.tls]\nca = "CA"\ncert = "CERT"\nkey = "KEY"\nserver_name = "b"\n',
            '[[replica]]\nurl = "https://a"\ntls = {insecure = true}\n',
        ):
            self.assertEqual(self.problems(text), [], text)

    def test_bad_ones(self) -> None:
        """Each with its line, its path, what was found and what was expected."""
        own = '[[tls.certificate]]\ncert = "CERT"\nkey = "KEY"\n'
        secure = '[[replica]]\nurl = "https://a"\n[replica.tls]\n'
        for text, expected in (
            ('listen = ["ssl:1"]', "1: listen[0]: found 'ssl:1', expected privateKey and certKey in it, or [[tls.cert"),
            ('listen = ["ssl:x"]\n' + own, "1: listen[0]: found 'ssl:x', expected an endpoint such as tcp:8080"),
            (
                'listen = ["ssl:1:privateKey=/no"]',
                "1: listen[0]: found 'ssl:1:privateKey=/no': found '/no', expected a",
            ),
            (
                'listen = ["ssl:1:nonsense=1"]',
                "1: listen[0]: found 'ssl:1:nonsense=1', 'nonsense' in it, expected port",
            ),
            ('admin = "ssl:1"', "1: admin: found 'ssl:1', expected privateKey"),
            ('[tls]\nlisten = ["tcp:1"]', "2: tls.listen: found listeners, expected [[tls.certificate]] for them"),
            ('[tls]\nlisten = ["ssl:1"]\n' + own, "2: tls.listen[0]: found 'ssl:1', expected it without ssl:"),
            ('[tls]\nlisten = ["x:1"]\n' + own, "2: tls.listen[0]: found 'x:1', expected an endpoint"),
            ('[[tls.certificate]]\ncert = "CERT"', "1: tls.certificate[0].key: found nothing, expected a value"),
            (
                own.replace("KEY", "OTHER"),
                "3: tls.certificate[0].key: found '",
            ),
            (
                own + own.replace("CERT", "/no"),
                "5: tls.certificate[1].cert: found '/no', expected a file that can be re",
            ),
            ('[tls]\nmin_version = "1.1"', "2: tls.min_version: found \"1.1\", expected one of '1.2' or '1.3'"),
            ('[tls]\nclient_auth = "required"', "2: tls.client_auth: found 'required', expected client_ca beside it"),
            ('[tls]\nclient_ca = "CA"', "2: tls.client_ca: found '"),
            ('[tls]\nclient_ca = "KEY"\nclient_auth = "optional"', "2: tls.client_ca: found '"),
            ("[tls]\nredirect = true", "2: tls.redirect: found true, expected a listener with TLS to redirect to"),
            ("[tls]\nhsts_max_age = -1", "2: tls.hsts_max_age: found -1, expected a number not below 0"),
            (
                "[tls]\nciphers = 'RC4'",
                "2: tls.ciphers: found an unknown key, expected one of certificate, client_auth",
            ),
            (
                '[[replica]]\nurl = "http://a"\ntls = {}',
                "3: replica[0].tls: found it for a URL that begins with http://",
            ),
            (
                secure + 'ca = "CA"\ninsecure = true',
                "5: replica[0].tls.insecure: found true beside ca, expected one of",
            ),
            (secure + 'cert = "CERT"', "4: replica[0].tls.cert: found it without key, expected both or none"),
            (secure + 'key = "KEY"', "4: replica[0].tls.key: found it without cert, expected both or none"),
            (secure + 'cert = "CERT"\nkey = "OTHER"', "5: replica[0].tls.key: found '"),
            (secure + 'ca = "KEY"', "4: replica[0].tls.ca: found '"),
            (
                secure + 'server_name = "\\u00e9"',
                "4: replica[0].tls.server_name: found '\u00e9', expected the name of a",
            ),
            (secure + 'server_name = "a b"', "4: replica[0].tls.server_name: found 'a b', expected the name of a host"),
            (
                secure + "verify = false",
                "4: replica[0].tls.verify: found an unknown key, expected one of ca, cert, insec",
            ),
        ):
            problems = self.problems(text)
            self.assertTrue(problems and problems[0].startswith(expected), (text, problems))
