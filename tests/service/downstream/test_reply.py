"""One reply: framed as its version and its method have it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.downstream.reply import Reply


class Line:
    """Remembers what was said to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.over: list[object] = []

    @property
    def write(self) -> Any:
        return self.pieces.append

    def reply_over(self, *, keep: bool) -> None:
        self.over.append(keep)

    def reply_cut(self) -> None:
        self.over.append("cut")


class ReplyTests(SynchronousTestCase):
    """Every framing, and both ends."""

    def reply(self, *, minor_version: int = 1, keep_alive: bool = True, without_body: bool = False) -> Reply:
        """To a new line."""
        self.line = Line()
        return Reply(self.line, minor_version=minor_version, keep_alive=keep_alive, without_body=without_body)

    def test_framing(self) -> None:
        """By length where it is known, in chunks where not, by the close towards HTTP/1.0."""
        for version, keep, length, lines, body, kept in (
            (1, True, 2, b"content-length: 2\r\n", b"ab", True),
            (1, False, 2, b"content-length: 2\r\nconnection: close\r\n", b"ab", False),
            (1, True, None, b"transfer-encoding: chunked\r\n", b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", True),
            (0, False, 2, b"content-length: 2\r\nconnection: close\r\n", b"ab", False),
            (0, True, None, b"connection: close\r\n", b"ab", False),
        ):
            reply = self.reply(minor_version=version, keep_alive=keep)
            reply.begin(200, b"OK", b"a: b\r\n", b"a", length=length)
            self.assertEqual(len(self.line.pieces), 1, "a head and its first bytes are one write")
            reply.write(b"b")
            reply.finish()
            reply.let_go()
            self.assertEqual(b"".join(self.line.pieces), b"HTTP/1.1 200 OK\r\na: b\r\n" + lines + b"\r\n" + body)
            self.assertEqual((self.line.over, reply.bytes_out, reply.status), ([kept], 2, 200))

    def test_no_body(self) -> None:
        """To HEAD the framing is told and nothing follows; a 204 has none; an empty first piece is no chunk."""
        for status, without, length, lines in (
            (200, True, 7, b"content-length: 7\r\n"),
            (200, True, None, b"transfer-encoding: chunked\r\n"),
            (204, False, None, b""),
            (304, False, 0, b""),
        ):
            reply = self.reply(without_body=without)
            reply.begin(status, b"X", b"", b"" if status != 200 else b"ignored", length=length)
            reply.finish()
            reply.let_go()
            self.assertEqual(self.line.pieces, [b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines)])
            self.assertEqual((self.line.over, reply.bytes_out), ([True], 0))
        reply = self.reply()
        reply.begin(200, b"OK", b"", b"", length=None)
        reply.finish()
        self.assertEqual(self.line.pieces[1:], [b"0\r\n\r\n"])

    def test_cut(self) -> None:
        """The last event if there is one, never the last chunk, and the line is told."""
        for event in (b"", b"data: {}\n\n"):
            reply = self.reply()
            reply.begin(200, b"OK", b"", b"a", length=None)
            reply.cut(event)
            reply.let_go()
            wanted = [b"%x\r\n%b\r\n" % (len(event), event)] if event else []
            self.assertEqual(self.line.pieces[1:], wanted)
            self.assertEqual((self.line.over, reply.whole), (["cut"], False))

    def test_close_after(self) -> None:
        """Asked before the head it is said; asked after it, the connection ends all the same."""
        for early in (True, False):
            reply = self.reply()
            if early:
                reply.close_after()
            reply.begin(200, b"OK", b"", b"", length=0)
            reply.close_after()
            reply.finish()
            reply.let_go()
            self.assertEqual(b"connection: close" in self.line.pieces[0], early)
            self.assertEqual(self.line.over, [False])
