"""Clients that are scripted: they ask, they read as fast as they like, and they leave when they like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.network import Event, Network
from tests.simulation.responses import NotHttp, ResponseReader, Seen
from tests.simulation.sockets import Socket
from tests.simulation.spelling import Question


@dataclass(eq=False)
class Call:
    """One request, and what its client saw of it.

    @ivar asked: C{None} for what no engine is asked.
    @ivar expected: the statuses that it may be answered with whatever happens; empty: whatever an engine may say.
    @ivar gap: seconds after the one before.
    @ivar sent_at: the last of it was handed to the network.
    @ivar ended: C{whole}, C{closed}, C{reset}, C{left}: as the client has it; empty while it is not over.
    """

    id: str
    wire: bytes
    path: str
    asked: Question | None = None
    body: bytes = b""
    expected: tuple[int, ...] = ()
    gap: float = 0.0
    stateful: bool = False
    patience: float = 0.0
    began_at: float | None = None
    sent_at: float | None = None
    first_at: float | None = None
    over_at: float | None = None
    seen: Seen | None = None
    ended: str = ""


@dataclass
class Manner:
    """How a client behaves.

    @ivar pipelined: requests that it sends before their answers.
    @ivar cut: it sends each request in pieces of about so many bytes; 0: in one.
    @ivar drip: seconds between such pieces.
    @ivar slow: it takes so many bytes each so many seconds; none: all there is.
    @ivar naps: after so many bytes it takes nothing for so many seconds, once.
    @ivar leaves_after: seconds after it has connected that it leaves,
    @ivar leaves_at: or once it has read so many bytes,
    @ivar rudely: and how: with a reset.
    @ivar cut_after: somebody between breaks the connection after so many seconds.
    """

    starts_at: float = 0.0
    pipelined: int = 1
    cut: int = 0
    drip: float = 0.0
    slow: tuple[int, float] | None = None
    naps: tuple[int, float] | None = None
    leaves_after: float | None = None
    leaves_at: int | None = None
    rudely: bool = False
    cut_after: float | None = None


@dataclass(eq=False)
class Client:
    """One connection to the gateway; it is closed when all has been asked and answered.

    @ivar end: C{""} while it is there; then C{done}, C{left}, C{closed}, C{reset}, C{refused}, or what was wrong.
    @ivar left_at: when it left of itself.
    """

    network: Network
    name: str
    address: str
    calls: list[Call]
    manner: Manner
    note: Callable[[str], None]
    port: int = 8080
    end: str = ""
    left_at: float | None = None
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = ResponseReader(self._begun, self._whole)
        self._socket: Socket | None = None
        self._unsent = bytearray()
        self._marks: list[tuple[int, Call]] = []
        self._put = self._sent = self._read = 0
        self._next = 0
        self._open: list[Call] = []
        self._reading: Event | None = None
        self._paused = self._napped = False
        self._planned = False
        self._dripping = False
        self.network.at(self.manner.starts_at, self._connect)

    @property
    def over(self) -> bool:
        """Nothing more will come of it."""
        return bool(self.end)

    def _say(self, what: str) -> None:
        self.note(f"{self.name} {what}")

    def _connect(self) -> None:
        self.network.connect((self.address, 40000), self.port, self._connected)

    def _connected(self, end: Socket | None) -> None:
        if end is None:
            self._over("refused")
            return
        self._socket = end
        end.heard, end.roomy = self._heard, self._flush
        manner = self.manner
        if manner.leaves_after is not None:
            self.network.after(manner.leaves_after, self._leave)
        if manner.cut_after is not None:
            self.network.after(manner.cut_after, self._cut)
        self._plan()

    # -- asking ----------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Ask the next, when its time has come."""
        if self.end or self._planned or self._next >= len(self.calls) or len(self._open) >= self.manner.pipelined:
            return
        self._planned = True
        self.network.after(self.calls[self._next].gap, self._ask)

    def _ask(self) -> None:
        self._planned = False
        if self.end:
            return
        call = self.calls[self._next]
        self._next += 1
        call.began_at = self.network.now
        self._open.append(call)
        self._put += len(call.wire)
        self._marks.append((self._put, call))
        self._unsent += call.wire
        if not self._dripping:
            self._flush()
        self._plan()

    def _flush(self) -> None:
        """Send, in one piece or by and by."""
        end, manner = self._socket, self.manner
        self._dripping = False
        while self._unsent and end is not None and not self.end:
            piece = self._unsent[: manner.cut] if manner.cut else self._unsent
            try:
                sent = end.send(piece)
            except BlockingIOError:
                return
            except OSError:
                return  # reading will tell
            del self._unsent[:sent]
            self._sent += sent
            while self._marks and self._marks[0][0] <= self._sent:
                call = self._marks.pop(0)[1]
                call.sent_at = self.network.now
                self._say(f"has asked {call.id} {call.path}")
            if manner.cut and self._unsent:
                self._dripping = True
                self.network.after(manner.drip, self._flush)
                return

    # -- reading ---------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        if self._paused or self.end:
            return
        if self.manner.slow is None:
            self._take(1 << 20)
        elif self._reading is None:
            self._reading = self.network.after(self.manner.slow[1], self._sip)

    def _sip(self) -> None:
        self._reading = None
        slow = self.manner.slow
        assert slow is not None
        if not self.end and not self._paused:
            self._take(slow[0])
            if self._socket is not None and self._socket.inbox:
                self._heard()

    def _take(self, most: int) -> None:
        end = self._socket
        assert end is not None
        naps = self.manner.naps
        try:
            data = end.recv(most)
        except BlockingIOError:
            return
        except OSError:
            self._ended("reset")
            return
        if not data:
            self._ended("closed")
            return
        self._read += len(data)
        try:
            self._reader.feed(data)
        except NotHttp as wrong:
            self.problems.append(f"{self.name}: {wrong}")
            self._ended("closed")
            return
        if self.end:
            return
        if self.manner.leaves_at is not None and self._read >= self.manner.leaves_at:
            self._leave()
        elif naps is not None and not self._napped and self._read >= naps[0]:
            self._paused = self._napped = True
            self._say(f"takes nothing for {naps[1]:g} s")
            self.network.after(naps[1], self._wake)
        else:
            self._heard_more()

    def _heard_more(self) -> None:
        """A FIN or a reset may be behind what was read."""
        end = self._socket
        if end is not None and not self.end and (end.inbox or end.eof or end.error):
            self.network.after(0.0, self._heard)

    def _wake(self) -> None:
        self._paused = False
        self._heard()

    def _begun(self, seen: Seen) -> None:
        if not self._open:
            self.problems.append(f"{self.name}: an answer to nothing: {seen.status}")
            return
        call = self._open[0]
        call.seen, call.first_at = seen, self.network.now

    def _whole(self, seen: Seen) -> None:
        if not self._open:
            return
        call = self._open.pop(0)
        self._finish(call, "whole")
        if not self._open and self._next >= len(self.calls):
            self._over("done")
            self._close()
        else:
            self._plan()

    def _finish(self, call: Call, how: str) -> None:
        call.ended, call.over_at = how, self.network.now
        status = call.seen.status if call.seen is not None else "nothing"
        self._say(f"sees {call.id} {how}: {status}")

    # -- the end ---------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        if not self.end:
            self.left_at = self.network.now
            self._say(f"leaves{' rudely' if self.manner.rudely else ''}")
            self._over("left")
            self._close()

    def _cut(self) -> None:
        if not self.end and self._socket is not None:
            self.left_at = self.network.now
            self._say("is cut off")
            self._socket.cut()

    def _ended(self, how: str) -> None:
        try:
            self._reader.closed(clean=how == "closed")
        except NotHttp as wrong:
            if how == "closed" and self.left_at is None:  # else it is only not all of it
                self.problems.append(f"{self.name}: {wrong}")
        if not self.end:
            self._over(how)
            self._close()

    def _over(self, how: str) -> None:
        self.end = how
        self._say(f"is over: {how}")
        for call in self._open:
            self._finish(call, how)
        self._open.clear()

    def _close(self) -> None:
        end, self._socket = self._socket, None
        if end is not None:
            if self.manner.rudely and self.end == "left":
                end.reset()
            else:
                end.close()
