"""A replica's connection: one assembly at a time, told of one ending, whatever the bytes do."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Cause
from aibrix_twisted.domain.settings import ReplicaTlsSettings
from aibrix_twisted.service.seldom import Seldom
from aibrix_twisted.service.tls.transport import NoGoodBye
from aibrix_twisted.service.upstream.protocol import ONE_WRITE_BYTES, UpstreamConnection
from aibrix_twisted.wire.head import ResponseHead
from tests.cuts import every_cut
from tests.fakes import Wire, answer


class Taken:
    """In an assembly's place."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.data = b""
        self.beneath_body: Any = None

    def head(self, head: ResponseHead, *, close_delimited: bool) -> None:
        self.told.append((head.status, close_delimited))

    def body(self, data: bytes) -> None:
        self.data += data
        if self.beneath_body is not None:
            self.beneath_body()

    def end(self, cause: Cause, *, unsigned: bool = False) -> None:
        self.told.append((cause, "unsigned") if unsigned else cause)


class UpstreamConnectionTests(SynchronousTestCase):
    """One connection, used and used up."""

    def setUp(self) -> None:
        self.homeless: list[UpstreamConnection] = []
        self.made: list[UpstreamConnection] = []
        self.seldom = Seldom(lambda: 0.0)
        self.connect()

    def lost(self, connection: UpstreamConnection) -> None:
        """In the pool's place."""
        self.homeless.append(connection)

    def connect(self) -> Taken:
        """A new connection with a request under way."""
        self.connection = UpstreamConnection(self, ("a", 1, None), self.made.append)
        self.wire = Wire(self.connection)
        self.connection.makeConnection(self.wire)  # type: ignore[arg-type]
        return self.ask()

    def ask(self) -> Taken:
        """The next request."""
        self.taken: Any = Taken()
        self.connection.send(self.taken, b"HEAD", b"BODY")
        return self.taken

    def test_sends_in_one_write_unless_it_is_large(self) -> None:
        """A large body is not copied to be joined to its head."""
        self.assertEqual((self.made, self.wire.take()), ([self.connection], b"HEADBODY"))
        pieces: list[bytes] = []
        self.wire.write = pieces.append  # type: ignore[method-assign]
        for size, count in ((ONE_WRITE_BYTES, 1), (ONE_WRITE_BYTES + 1, 2)):
            pieces.clear()
            self.connection.send(self.taken, b"HEAD", b"x" * size)
            self.assertEqual((len(pieces), len(b"".join(pieces))), (count, size + 4))
        self.assertEqual(self.connection.uses, 3)

    def test_every_cut_and_used_again(self) -> None:
        """The same facts, and fit for the next request, which begins with nothing of the last."""
        for pieces in every_cut(answer(b"{}")):
            taken = self.connect()
            self.assertFalse(self.connection.answered)
            for piece in pieces:
                self.connection.dataReceived(piece)
            self.assertEqual((taken.told, taken.data), ([(200, False), Cause.FINAL_CHUNK], b"{}"))
            self.assertTrue(self.connection.reusable)
            again = self.ask()
            self.assertEqual((self.connection.reusable, self.connection.answered), (False, False))
            self.connection.dataReceived(answer(b"[]"))
            self.assertEqual((again.data, taken.data), (b"[]", b"{}"))

    def test_not_fit_to_be_used_again(self) -> None:
        """The engine said that it closes, or sent more than one answer: whole all the same."""
        for raw in (answer(b"{}", b"connection: close"), answer(b"{}") + b"more"):
            taken = self.connect()
            self.connection.dataReceived(raw)
            self.assertEqual(taken.told[-1], Cause.FINAL_CHUNK)
            self.assertFalse(self.connection.reusable)

    def test_unasked_bytes(self) -> None:
        """Nobody waits for them: the connection is out of step, and is broken off."""
        self.connection.dataReceived(answer(b"{}"))
        self.assertTrue(self.connection.reusable)
        self.connection.dataReceived(b"H")
        self.assertTrue(self.wire.aborted)
        self.assertEqual(self.taken.told, [(200, False), Cause.FINAL_CHUNK])

    def test_closes_and_breaks(self) -> None:
        """A close is told from a reset, and only the second leaves a word of what went wrong."""
        for clean, cause in ((True, Cause.UPSTREAM_CLOSED), (False, Cause.UPSTREAM_BROKE)):
            taken = self.connect()
            self.wire.lose(clean=clean)
            self.assertEqual(taken.told, [cause])
            self.assertEqual(bool(self.connection.fault), not clean)
            self.assertIs(self.homeless[-1], self.connection)

    def test_a_close_that_tls_was_not_told_of(self) -> None:
        """Ends the response as one that is not to be believed, and says so."""
        self.connection.connectionLost(Failure(NoGoodBye()))
        self.assertEqual(self.taken.told, [(Cause.UPSTREAM_CLOSED, "unsigned")])
        self.assertEqual(
            (self.connection.fault, self.connection.tls_failed), ("it was closed without TLS's close_notify", False)
        )

    def test_a_close_right_after_the_handshake(self) -> None:
        """On a new connection, on which we have shown nothing: the engine may want to see something."""
        for key, uses, said in (
            (("a", 1, ReplicaTlsSettings()), 1, True),
            (("a", 1, ReplicaTlsSettings()), 2, False),
            (("a", 1, ReplicaTlsSettings(cert="x", key="y")), 1, False),
            (("a", 1, None), 1, False),
        ):
            self.connect()
            self.connection.key, self.connection.uses = key, uses
            self.wire.lose(clean=False)
            self.assertEqual("it may want a client's certificate" in self.connection.fault, said)
            self.assertEqual(self.taken.told, [Cause.UPSTREAM_BROKE])

    def test_tls_that_breaks(self) -> None:
        """Is a break, with OpenSSL's reason."""
        self.connection.connectionLost(Failure(SSL.Error([("a", "", "tlsv13 alert certificate required")])))
        self.assertEqual((self.taken.told, self.connection.tls_failed), ([Cause.UPSTREAM_BROKE], True))
        self.assertIn("TLS: tlsv13 alert certificate required (it wants", self.connection.fault)

    def test_what_is_not_http(self) -> None:
        """Broken once, though the abort loses the connection beneath it; the fault names its kind."""
        self.connection.dataReceived(b"SSH-2.0-x\r\n\r\n")
        self.assertEqual(self.taken.told, [Cause.UPSTREAM_BROKE])
        self.assertTrue(self.wire.aborted)
        self.assertTrue(self.connection.fault.endswith("]"), self.connection.fault)
        self.assertTrue(self.connection.answered)

    def test_the_rest_of_a_response_before(self) -> None:
        """What comes too late for the last response is nothing of this one: it may be sent again."""
        self.connection.dataReceived(answer(b"{}"))
        again = self.ask()
        self.connection.dataReceived(b"0\r\n\r\n")
        self.assertEqual((again.told, self.connection.answered), ([Cause.UPSTREAM_BROKE], False))

    def test_a_defect_of_ours(self) -> None:
        """Logged, and it costs this response only: no exception reaches the reactor."""

        def fail() -> None:
            raise ZeroDivisionError

        self.taken.beneath_body = fail
        self.connection.dataReceived(answer(b"{}"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.taken.told[1:], [Cause.UPSTREAM_BROKE])
        self.assertTrue(self.wire.aborted)

    def test_abandoned_beneath_a_frame(self) -> None:
        """The rest of the read finds nobody, and neither does the loss that follows."""
        self.taken.beneath_body = self.connection.abandon
        self.connection.dataReceived(answer(b"{}") + b"rest")
        self.assertEqual((self.taken.told, self.taken.data), ([(200, False)], b"{}"))
        self.assertTrue(self.wire.aborted)
        self.assertFalse(self.connection.reusable)

    def test_paused_by_the_last_bytes(self) -> None:
        """The next response has to be read; where there is no next one, nothing is."""
        for raw, reading in ((answer(b"{}"), True), (answer(b"{}", b"connection: close"), False)):
            taken = self.connect()
            taken.beneath_body = self.connection.pause
            self.connection.dataReceived(raw)
            self.assertEqual(self.wire.paused, not reading)
