"""Query strings, read strictly."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.admin.query import a_count, a_text, a_time, one_of, read_query, seconds

KNOWN = (
    one_of("state", "", ("now", "past")),
    a_text("model", ""),
    a_count("limit", "", 1, 10, 5),
    seconds("least", ""),
    seconds("long", "", above=0.0, most=60.0),
    a_time("since", ""),
)


def read(**given: bytes) -> dict[str, Any]:
    """The values of these."""
    return read_query({name.encode(): [value] for name, value in given.items()}, KNOWN)


class QueryTests(SynchronousTestCase):
    """read_query."""

    def refused(self, code: str, given: dict[bytes, list[bytes]]) -> Denied:
        """It is, with 400."""
        denied = self.assertRaises(Denied, read_query, given, KNOWN)
        self.assertEqual((denied.status, denied.code), (400, code), given)
        return denied

    def test_what_is_right(self) -> None:
        """Only what was given is there."""
        self.assertEqual(read(), {})
        said = read(
            state=b"now",
            model="\u00e9 x".encode(),
            limit=b"10",
            least=b"1.5e0",
            long=b"60",
            since=b"1970-01-01T00:01:00Z",
        )
        self.assertEqual(
            said, {"state": "now", "model": "\u00e9 x", "limit": 10, "least": 1.5, "long": 60.0, "since": 60.0}
        )
        self.assertEqual(read(model=b""), {"model": ""})
        self.assertEqual(read(since=b"1970-01-01t01:00:00.5+00:59"), {"since": 60.5})

    def test_what_is_wrong(self) -> None:
        """Each says which parameter, what was found, and what was expected."""
        for name, expected, values in (
            ("state", "one of now, past", (b"", b"Now", b"now ", b"all", b"\xff")),
            ("limit", "a whole number from 1 to 10", (b"", b"0", b"11", b"-1", b"1.0", b"1e0", b"+1", b"1_0", b" 1",
                                                      "\u0661".encode(), b"9" * 5000)),
            ("least", "seconds from 0 to 31536000", (b"", b"-1", b"nan", b"inf", b"1e999", b"x", b"1s", b"1_0", b" 1")),
            ("long", "seconds above 0, up to 60", (b"0", b"0.0", b"60.1", b"-0")),
            ("since", "a time such as 2026-01-31T12:00:00Z", (b"", b"0", b"2026-01-31", b"2026-01-31T12:00:00",
                                                              b"2026-02-30T12:00:00Z", b"2026-01-31T12:00:00 00:00",
                                                              b"0001-01-01T00:00:00+23:59", b"2026-01-31T25:00:00Z")),
        ):  # fmt: skip
            for value in values:
                denied = self.refused("invalid_parameter", {name.encode(): [value]})
                self.assertEqual(denied.param, name)
                self.assertTrue(str(denied).startswith(f"{name}: found "), denied)
                self.assertTrue(str(denied).endswith(f", expected {expected}"), denied)
                self.assertLess(len(str(denied)), 600)

    def test_strangers_and_doubles(self) -> None:
        """A name that is mistyped does not give what nobody asked for."""
        denied = self.refused("unknown_parameter", {b"stat\xff": [b"now"]})
        self.assertIn("expected state, model, limit, least, long, since", str(denied))
        self.refused("invalid_parameter", {b"state": [b"now", b"now"]})

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from([b"state", b"limit", b"least", b"long", b"since", b"x"]), st.lists(st.binary(), min_size=1)
        )
    )
    def test_whatever_is_given(self, query: dict[bytes, list[bytes]]) -> None:
        """It is read, or refused; nothing else comes of it."""
        try:
            read_query(query, KNOWN)
        except Denied as denied:
            self.assertEqual(denied.status, 400)
