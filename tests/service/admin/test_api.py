"""The admin API: each path and method, each status, each error's code."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import ReplicaSettings, Settings
from aibrix_twisted.service.admin.api import MAX_BODY_BYTES
from aibrix_twisted.service.admin.documents import Denied
from tests.service.admin.listener import STATIC, AdminState, Listener, Said

NEW = {"url": "http://192.0.2.9:8000", "models": ["n"]}
NAME = b"192.0.2.9:8000"


class ApiTestCase(SynchronousTestCase):
    """A listener on this host."""

    def setUp(self) -> None:
        self.listener = Listener()

    def ask(self, method: bytes, path: bytes, body: Any = None, *lines: bytes) -> Said:
        """Below C{/api}."""
        return self.listener.ask(method, b"/api" + path, body, *lines)

    def names(self) -> list[str]:
        """Of all replicas."""
        return [replica["name"] for replica in self.ask(b"GET", b"/replicas").document["replicas"]]

    def refused(self, said: Said, status: int, code: str) -> str:
        """It is an error of these.

        @return: its message.
        """
        self.assertEqual((said.status, said.code), (status, code), said)
        error = said.document["error"]
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])
        message: str = error["message"]
        return message


class ReplicasTests(ApiTestCase):
    """C{/api/replicas}."""

    def test_list(self) -> None:
        """In the order of the configuration."""
        document = self.ask(b"GET", b"/replicas").document
        self.assertEqual(sorted(document), ["problems", "replicas"])
        self.assertEqual(
            [(one["name"], one["state"]) for one in document["replicas"]], [("gpu0", "up"), ("gpu1", "unknown")]
        )

    def test_add(self) -> None:
        """201 with the replica as it is then listed; named after its address where nothing was said."""
        said = self.ask(b"POST", b"/replicas", NEW)
        self.assertEqual((said.status, said.document["name"], said.document["source"]), (201, NAME.decode(), "admin"))
        self.assertEqual(self.ask(b"GET", b"/replicas").document["replicas"][-1], said.document)

    def test_a_name_that_is_taken(self) -> None:
        """409, whoever has it; nothing changes."""
        self.refused(self.ask(b"POST", b"/replicas", {**NEW, "name": "gpu0"}), 409, "replica_exists")
        self.ask(b"POST", b"/replicas", NEW)
        self.assertIn(NAME.decode(), self.refused(self.ask(b"POST", b"/replicas", NEW), 409, "replica_exists"))
        self.assertEqual(self.names(), ["gpu0", "gpu1", NAME.decode()])

    def test_tables_that_are_wrong(self) -> None:
        """400 with a line for each fault."""
        tables: tuple[tuple[Any, str], ...] = (
            ({}, "url"),
            ({"url": ""}, "url"),
            ({"url": "ftp://x"}, "url"),
            ({"url": "http://x:99999"}, "url"),
            ({"url": 1}, "url"),
            ({**NEW, "name": "a b"}, "name"),
            ({**NEW, "name": "\u00e9"}, "name"),
            ({**NEW, "name": None}, "name"),
            ({**NEW, "weight": 0}, "weight"),
            ({**NEW, "weight": 1e9}, "weight"),
            ({**NEW, "max_in_flight": -1}, "max_in_flight"),
            ({**NEW, "engine": "vllmm"}, "engine"),
            ({**NEW, "models": "m"}, "models"),
            ({**NEW, "labels": {"a": 1}}, "labels"),
            ({**NEW, "api_key_file": "/nonexistent"}, "api_key_file"),
            ({**NEW, "surprise": 1}, "surprise"),
            ([], "replica[0]"),
            ([NEW], "replica[0]"),
            ("http://192.0.2.9:8000", "replica[0]"),
            (17, "replica[0]"),
        )
        for table, part in tables:
            said = self.ask(b"POST", b"/replicas", table)
            self.refused(said, 400, "invalid_replica")
            self.assertTrue(any(part in problem for problem in said.document["problems"]), said)
        said = self.ask(b"POST", b"/replicas", {"url": "x", "weight": -1, "surprise": 1})
        self.assertEqual(len(said.document["problems"]), 2, "all that the types say at once")
        self.refused(self.ask(b"POST", b"/replicas", b"null"), 400, "invalid_replica")
        self.assertEqual(self.names(), ["gpu0", "gpu1"])

    def test_bodies_that_are_no_json(self) -> None:
        """400, and 413 where there is too much of it."""
        for body in (b"", b"  ", b"{", b"\xff", b"url=http", b'{"url": NaN}', b'"\\ud800"', b"[" * 5000, b"{}{}"):
            self.refused(self.ask(b"POST", b"/replicas", body), 400, "invalid_body")
        self.refused(self.ask(b"POST", b"/replicas"), 400, "invalid_body")
        long = b" " * (MAX_BODY_BYTES + 1)
        self.refused(self.ask(b"POST", b"/replicas", long), 413, "body_too_large")
        self.refused(self.ask(b"PUT", b"/replicas/x", long), 413, "body_too_large")
        self.refused(self.ask(b"PUT", b"/replicas/x", b"{"), 400, "invalid_body")
        big = {**NEW, "labels": {"x": "y" * (MAX_BODY_BYTES - 200)}}
        self.assertEqual(self.ask(b"POST", b"/replicas", big).status, 201)

    def test_numbers_beyond_json(self) -> None:
        """They are faults, not crashes."""
        for number in (b"1" * 30, b"1e400", b"-1e400", b"18446744073709551616"):
            said = self.ask(b"POST", b"/replicas", b'{"url": "http://x", "max_in_flight": %b}' % number)
            self.assertIn(said.code, ("invalid_replica", "invalid_body"), number)
        nested = b'{"url": "http://x", "labels": ' + b'{"a":' * 300 + b"1" + b"}" * 301
        self.refused(self.ask(b"POST", b"/replicas", nested), 400, "invalid_replica")

    def test_the_kind_of_the_body_does_not_matter(self) -> None:
        """JSON is what it is, also as curl sends it by default."""
        lines = (b"content-type: application/x-www-form-urlencoded",)
        self.assertEqual(self.ask(b"POST", b"/replicas", NEW, *lines).status, 201)

    def test_methods(self) -> None:
        """405 says which there are; a slash too much is another path."""
        for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS"):
            said = self.ask(method, b"/replicas")
            self.refused(said, 405, "method_not_allowed")
            self.assertEqual(said.headers[b"allow"], b"GET, POST, HEAD")
        self.refused(self.ask(b"GET", b"/replicas/"), 404, "unknown_path")
        self.refused(self.ask(b"POST", b"/replicas/", NEW), 404, "unknown_path")


class ReplicaTests(ApiTestCase):
    """C{/api/replicas/NAME}."""

    def test_put(self) -> None:
        """201 where it is new, 200 where it was there; the path has its name."""
        said = self.ask(b"PUT", b"/replicas/gpu7", NEW)
        self.assertEqual((said.status, said.document["name"], said.document["source"]), (201, "gpu7", "admin"))
        said = self.ask(b"PUT", b"/replicas/gpu7", {**NEW, "weight": 2.0, "name": "gpu7"})
        self.assertEqual((said.status, said.document["weight"], said.document["expires_in_s"]), (200, 2.0, None))
        self.assertEqual(self.names(), ["gpu0", "gpu1", "gpu7"])

    def test_put_for_a_while(self) -> None:
        """With a time to live it is a registration, which an empty body renews; without one it stays."""
        said = self.ask(b"PUT", b"/replicas/gpu7?ttl=30", NEW)
        self.assertEqual(
            (said.status, said.document["source"], said.document["expires_in_s"]), (201, "registered", 30.0)
        )
        self.listener.state.reactor.advance(20)
        for body in (None, b"", b" \r\n"):
            said = self.ask(b"PUT", b"/replicas/gpu7?ttl=30", body)
            self.assertEqual(
                (said.status, said.document["expires_in_s"], said.document["url"]), (200, 30.0, NEW["url"])
            )
        said = self.ask(b"PUT", b"/replicas/gpu7")
        self.assertEqual((said.status, said.document["source"], said.document["expires_in_s"]), (200, "admin", None))

    def test_nothing_to_renew(self) -> None:
        """404: who has forgotten it, or never knew it, is to be told its URL; so is who is asked by an old name."""
        for path in (b"/replicas/gpu7?ttl=30", b"/replicas/gpu7", b"/replicas/%00"):
            self.refused(self.ask(b"PUT", path), 404, "replica_not_found")

    def test_times_to_live(self) -> None:
        """Seconds, above 0 and up to a day; the last one said counts."""
        for ttl in (
            b"0",
            b"-1",
            b"nan",
            b"inf",
            b"-inf",
            b"86400.1",
            b"1e9",
            b"",
            b"x",
            b"30s",
            b"0x10",
            b"%ff",
            b"3%000",
        ):
            said = self.ask(b"PUT", b"/replicas/gpu7?ttl=" + ttl, NEW)
            self.assertIn("expected seconds", self.refused(said, 400, "invalid_ttl"), ttl)
        self.assertEqual(self.names(), ["gpu0", "gpu1"])
        for ttl, seconds in ((b"86400", 86400.0), (b"1.5", 1.5), (b"1e1", 10.0), (b"%2030", 30.0), (b"x&ttl=7", 7.0)):
            self.assertEqual(self.ask(b"PUT", b"/replicas/gpu7?ttl=" + ttl, NEW).document["expires_in_s"], seconds)

    def test_the_body_is_of_another_name(self) -> None:
        """400; no name at all is the path's, and an empty one, too."""
        self.refused(self.ask(b"PUT", b"/replicas/gpu7", {**NEW, "name": "gpu8"}), 400, "invalid_replica")
        said = self.ask(b"PUT", b"/replicas/gpu7", {**NEW, "name": ""})
        self.assertEqual((said.status, said.document["name"]), (201, "gpu7"))

    def test_a_body_of_nothing(self) -> None:
        """C{null} is no empty body: it renews nothing."""
        self.ask(b"PUT", b"/replicas/gpu7?ttl=30", NEW)
        self.refused(self.ask(b"PUT", b"/replicas/gpu7?ttl=30", b" null "), 400, "invalid_replica")
        self.assertEqual(self.ask(b"PUT", b"/replicas/gpu7?ttl=30", b" \n").status, 200)

    def test_whole_numbers(self) -> None:
        """JSON does not tell C{4.0} from C{4}; C{4.5} is no count."""
        said = self.ask(b"PUT", b"/replicas/gpu7", {**NEW, "max_in_flight": 4.0, "weight": 2})
        self.assertEqual((said.document["max_in_flight"], said.document["weight"]), (4, 2.0))
        self.refused(self.ask(b"PUT", b"/replicas/gpu7", {**NEW, "max_in_flight": 4.5}), 400, "invalid_replica")

    def test_put_of_what_is_wrong(self) -> None:
        """400 as for POST."""
        for body in ([], [NEW], "x", 1, {"weight": 1}):
            self.refused(self.ask(b"PUT", b"/replicas/gpu7", body), 400, "invalid_replica")

    def test_put_over_the_configuration(self) -> None:
        """409: what others say is not overruled, and not renewed either."""
        for body in (NEW, None):
            self.assertIn(
                "static", self.refused(self.ask(b"PUT", b"/replicas/gpu0?ttl=9", body), 409, "replica_exists")
            )

    def test_delete(self) -> None:
        """202 with what it was, and it is gone; 404 where there is none; 409 where it is not of this API."""
        self.ask(b"POST", b"/replicas", NEW)
        self.ask(b"PUT", b"/replicas/gpu7?ttl=30", {"url": "http://192.0.2.8:1"})
        for name in (NAME, b"gpu7"):
            said = self.ask(b"DELETE", b"/replicas/" + name)
            self.assertEqual(
                (said.status, said.document["state"], said.document["name"]), (202, "leaving", name.decode())
            )
            self.refused(self.ask(b"DELETE", b"/replicas/" + name), 404, "replica_not_found")
        message = self.refused(self.ask(b"DELETE", b"/replicas/gpu0"), 409, "replica_not_ours")
        self.assertIn("is in the configuration file: remove it there, or drain it", message)
        self.assertEqual(self.names(), ["gpu0", "gpu1"])

    def test_of_another_source(self) -> None:
        """The refusal says which."""
        self.listener.state.keeper.says("file /x.toml", (ReplicaSettings(name="f", url="http://192.0.2.3:1"),))
        self.assertIn("of file /x.toml", self.refused(self.ask(b"DELETE", b"/replicas/f"), 409, "replica_not_ours"))

    def test_verbs(self) -> None:
        """Each says the state that it made; each may be said twice."""
        for verb, state in (
            (b"drain", "draining"), (b"drain", "draining"), (b"undrain", "up"), (b"undrain", "up"),
            (b"eject", "ejected"), (b"drain", "draining"), (b"restore", "draining"), (b"undrain", "up"),
            (b"eject", "ejected"), (b"restore", "up"), (b"restore", "up"),
        ):  # fmt: skip
            said = self.ask(b"POST", b"/replicas/gpu0/" + verb)
            self.assertEqual((said.status, said.document["state"], said.document["name"]), (200, state, "gpu0"), verb)
            self.assertEqual(said.document["reason"], "" if state == "up" else "by hand", verb)

    def test_verbs_that_there_are_not(self) -> None:
        """404, before anything is asked for by name; a known one takes POST only."""
        for path in (
            b"/gpu0/kill",
            b"/gpu0/",
            b"/gpu0/drain/",
            b"/gpu0/drain/now",
            b"//drain",
            b"/gpu0//drain",
            b"/gpu0/DRAIN",
        ):
            self.refused(self.ask(b"POST", b"/replicas" + path), 404, "unknown_path")
        for verb in (b"drain", b"undrain", b"eject", b"restore"):
            for method in (b"GET", b"PUT", b"DELETE"):
                said = self.ask(method, b"/replicas/gpu0/" + verb)
                self.refused(said, 405, "method_not_allowed")
                self.assertEqual(said.headers[b"allow"], b"POST")
            self.refused(self.ask(b"POST", b"/replicas/nobody/" + verb), 404, "replica_not_found")
        for method in (b"GET", b"POST", b"HEAD"):
            self.assertEqual(self.ask(method, b"/replicas/gpu0").headers[b"allow"], b"PUT, DELETE")

    def test_names(self) -> None:
        """Whatever a name is made of, quoted or not, is found again; what can be no name is refused as it was sent."""
        for name, path in (
            ("10.0.0.1:8000", b"10.0.0.1:8000"),
            ("[2001:db8::1]:8000", b"[2001:db8::1]:8000"),
            ("[2001:db8::2]:8000", b"%5B2001%3Adb8%3A%3A2%5D%3a8000"),
            ("rack/gpu", b"rack%2Fgpu"),
            ("a%2Fb", b"a%252Fb"),
            ("..", b".."),
            ("drain", b"drain"),
            ("q?x#y", b"q%3Fx%23y"),
            ("a+b", b"a+b"),
        ):
            said = self.ask(b"PUT", b"/replicas/" + path, {"url": "http://192.0.2.9:1"})
            self.assertEqual((said.status, said.document["name"]), (201, name))
            self.assertEqual(self.ask(b"POST", b"/replicas/%b/drain" % path).document["state"], "draining", name)
            self.assertEqual(self.ask(b"DELETE", b"/replicas/" + path).status, 202, name)
        for path, shown in ((b"%C3%A9", "\u00e9"), (b"%FF", "\ufffd"), (b"a%20b", "a b"), (b"%00", "\\x00")):
            message = self.refused(self.ask(b"PUT", b"/replicas/" + path, {"url": "http://x"}), 400, "invalid_replica")
            self.assertIn(shown, message)
            self.assertIn(shown, self.refused(self.ask(b"DELETE", b"/replicas/" + path), 404, "replica_not_found"))

    @given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20))
    def test_any_name(self, name: str) -> None:
        """Of visible ASCII characters."""
        listener = Listener(AdminState(Settings()))
        path = b"/api/replicas/" + quote(name, safe="").encode()
        self.assertEqual(listener.ask(b"PUT", path, {"url": "http://192.0.2.9:1"}).document["name"], name)
        self.assertEqual(listener.ask(b"POST", path + b"/drain").document["state"], "draining")
        self.assertEqual(listener.ask(b"DELETE", path).document["name"], name)


class OtherPathsTests(ApiTestCase):
    """C{/api/models} and C{/api/reload}."""

    def test_models(self) -> None:
        """Read only."""
        self.assertEqual([model["name"] for model in self.ask(b"GET", b"/models").document["models"]], ["m"])
        self.refused(self.ask(b"POST", b"/models"), 405, "method_not_allowed")

    def test_reload(self) -> None:
        """200 with what it says; 422 with each problem."""
        said = self.ask(b"POST", b"/reload")
        self.assertEqual((said.status, said.document), (200, {"status": "reloaded", "replicas": len(STATIC)}))
        self.listener.state.refusal = Denied(422, "not reloaded", "invalid_configuration", ["a", "b"])
        said = self.ask(b"POST", b"/reload")
        self.refused(said, 422, "invalid_configuration")
        self.assertEqual(said.document["problems"], ["a", "b"])
        self.refused(self.ask(b"GET", b"/reload"), 405, "method_not_allowed")
        self.assertEqual(self.listener.state.reloads, 2)
