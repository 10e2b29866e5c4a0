"""Bodies that are no streams."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibrix_twisted.interfaces import IBodyDecoder, Payload
from aibrix_twisted.wire import jsonbody
from aibrix_twisted.wire.jsonbody import WholeBody
from aibrix_twisted.wire.usage import Usage
from tests.cuts import every_cut

BODY = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'


class WholeBodyTests(SynchronousTestCase):
    """Gathered, decoded once, judged."""

    def test_every_cut(self) -> None:
        """Whole, with its usage."""
        for pieces in every_cut(BODY):
            body = WholeBody(decoded=True, max_bytes=1000)
            self.assertEqual(b"".join(body.feed(piece) for piece in pieces), b"")
            self.assertEqual((body.finish(), body.usage, body.body()), (Payload.WHOLE, Usage(3, 2), BODY))

    def test_every_truncation(self) -> None:
        """Not whole, nothing lost."""
        for end in range(1, len(BODY)):
            body = WholeBody(decoded=True, max_bytes=1000)
            body.feed(BODY[:end])
            self.assertEqual((body.finish(), body.usage, body.body()), (Payload.CUT, None, BODY[:end]))

    def test_an_empty_body_is_not_decoded(self) -> None:
        """The decoder never sees an empty buffer: that was the error which the project began with."""
        body = WholeBody(decoded=True, max_bytes=1000)
        with mock.patch.object(jsonbody.orjson, "loads", side_effect=AssertionError("decoded")):
            self.assertEqual(body.finish(), Payload.CUT)

    def test_decoded_once(self) -> None:
        """One body, one decode."""
        body = WholeBody(decoded=True, max_bytes=1000)
        body.feed(BODY)
        with mock.patch.object(jsonbody.orjson, "loads", wraps=jsonbody.orjson.loads) as loads:
            body.finish()
        self.assertEqual(loads.call_count, 1)

    def test_beyond_the_bound_it_passes(self) -> None:
        """All there was, then each piece; judged by its framing alone."""
        body = WholeBody(decoded=True, max_bytes=4)
        self.assertEqual([body.feed(piece) for piece in (b"ab", b"cd", b"e", b"f")], [b"", b"", b"abcde", b"f"])
        self.assertEqual((body.finish(), body.body()), (Payload.OPAQUE, b""))

    def test_what_is_not_json_is_opaque(self) -> None:
        """Audio, say."""
        body = WholeBody(decoded=False, max_bytes=100)
        body.feed(b"\x00\x01")
        self.assertEqual((body.finish(), body.body()), (Payload.OPAQUE, b"\x00\x01"))

    def test_it_is_a_decoder(self) -> None:
        """By its interface."""
        verifyObject(IBodyDecoder, WholeBody(decoded=True, max_bytes=1))
