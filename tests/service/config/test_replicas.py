"""Lists of replicas: from files of both kinds and from documents, and what is said of those that cannot be used."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.replicas import ConfigError, read_replicas, replicas_of

A = ReplicaSettings(url="http://a:1", name="a:1")


class DocumentTests(SynchronousTestCase):
    """A list of tables, as the admin API is given one."""

    def problems(self, document: object, where: str = "") -> list[str]:
        """What is wrong with it."""
        return self.assertRaises(ConfigError, replicas_of, document, where).problems

    def test_replicas(self) -> None:
        """With all that C{[[replica]]} may say; a name is made where none is given."""
        table = {"url": "http://[2001:db8::1]:8000/x", "engine": "vllm", "models": ["m"], "labels": {"rack": "r1"}}
        (replica,) = replicas_of([table], "")
        self.assertEqual((replica.name, replica.models), ("[2001:db8::1]:8000", ("m",)))
        self.assertEqual(replicas_of([], ""), ())

    def test_what_is_wrong_is_named(self) -> None:
        """Path, what was found, what was expected; everything at once."""
        for document, expected in (
            ({"url": "http://a:1"}, 'replica: found {"url":"http://a:1"}, expected a list'),
            (None, "replica: found null, expected a list"),
            (["http://a:1"], 'replica[0]: found "http://a:1", expected a table'),
            ([{"url": "http://a:1", "wieght": 2}], "replica[0].wieght: found an unknown key, expected one of api_key"),
            ([{"url": "http://a:1", "weight": "2"}], 'replica[0].weight: found "2", expected a number'),
            ([{"name": "a"}], "replica[0].url: found nothing, expected a value"),
            ([{"url": "ftp://a"}], "replica[0].url: found 'ftp://a', expected a URL"),
            ([{"url": "http://a:1"}] * 2, "replica[1].name: found 'a:1' a second time"),
            ([{"url": "http://a:1", "api_key_file": "/nowhere"}], "replica[0].api_key_file: found '/nowhere'"),
            ([{"url": "http://a:1", "max_in_flight": 1 << 70}], "replica: found what cannot be a setting: Integer"),
        ):
            self.assertTrue(self.problems(document)[0].startswith(expected), (self.problems(document), expected))
        self.assertEqual(len(self.problems([{"name": "a", "x": 1}, {"url": "http://a:1", "engine": "x"}])), 3)

    def test_where(self) -> None:
        """Begins each problem."""
        self.assertEqual(self.problems([{}], "body"), ["body: replica[0].url: found nothing, expected a value"])


class FileTests(SynchronousTestCase):
    """TOML and JSON, by the file's name."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())

    def read(self, name: str, text: str | bytes) -> tuple[ReplicaSettings, ...]:
        """Write it, and read it."""
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_replicas(str(path))

    def problem(self, name: str, text: str | bytes) -> str:
        """The first that is wrong with it, the folder left out."""
        error = self.assertRaises(ConfigError, self.read, name, text)
        return error.problems[0].replace(f"{self.folder}/", "")

    def test_all_forms(self) -> None:
        """The same list in each."""
        for name, text in (
            ("r.toml", '[[replica]]\nurl = "http://a:1"\n'),
            ("r.toml", 'replica = [{url = "http://a:1"}]'),
            ("r.json", '[{"url": "http://a:1"}]'),
            ("r.json", '{"replica": [{"url": "http://a:1"}]}'),
        ):
            self.assertEqual(self.read(name, text), (A,), text)

    def test_no_replicas_must_be_said(self) -> None:
        """An empty file is an accident; an empty list is not."""
        for name, text in (("r.toml", "replica = []"), ("r.json", "[]"), ("r.json", '{"replica": []}')):
            self.assertEqual(self.read(name, text), ())
        for name, text in (("r.toml", ""), ("r.toml", "# nothing\n"), ("r.json", "{}")):
            self.assertIn("replica: found nothing, expected a list", self.problem(name, text))
        self.assertIn("r.json:1: not JSON", self.problem("r.json", ""))

    def test_what_is_wrong_is_named(self) -> None:
        """File, line where it is known, path, what was found and expected."""
        for name, text, expected in (
            (
                "r.toml",
                '\n[[replica]]\nurl = "http://a:1"\nweight = 0\n',
                "r.toml:4: replica[0].weight: found 0, expec",
            ),
            ("r.toml", '[[replica]]\nurl = "http://a', "r.toml: not TOML: "),
            ("r.toml", 'policy = "random"\nreplica = []', "r.toml:1: policy: found an unknown key, expected replica"),
            ("r.toml", b"\xff", "r.toml: cannot be read: it is not UTF-8"),
            ("r.json", '[{"url": "http://a:1"},\n', "r.json:2: not JSON: "),
            ("r.json", '{"replica": [], "x": 1}', "r.json: x: found an unknown key, expected replica"),
            ("r.json", '"http://a:1"', "r.json: found no table and no list"),
            ("r.json", '[{"url": 1}]', "r.json: replica[0].url: found 1, expected a string"),
            ("r.yaml", "replica: []", "r.yaml: found a file of no known kind, expected a name that ends with .toml or"),
        ):
            self.assertTrue(self.problem(name, text).startswith(expected), (self.problem(name, text), expected))

    def test_a_file_that_is_cut_anywhere(self) -> None:
        """Is refused, or has whole replicas: nothing is ever made of half of one."""
        text = '[{"url": "http://a:1"}, {"url": "http://b:1"}]'
        for end in range(len(text)):
            self.assertIn("not JSON", self.problem("r.json", text[:end]))

    def test_a_file_that_is_not_there(self) -> None:
        """Said so."""
        error = self.assertRaises(ConfigError, read_replicas, str(self.folder / "x.toml"))
        self.assertIn("x.toml: cannot be read: No such file", str(error))
