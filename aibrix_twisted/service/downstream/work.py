"""What a client's connection needs of the exchanges that its requests become."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Protocol as Typed

from aibrix_twisted.domain.client import Client
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.memory import Memory
from aibrix_twisted.domain.overload import Overload
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.errors import GatewayError
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.downstream.spools import Spools
from aibrix_twisted.service.seldom import Seldom
from aibrix_twisted.service.tls.handshakes import Handshakes
from aibrix_twisted.service.wheel import Wheel
from aibrix_twisted.wire.head import RequestHead

if TYPE_CHECKING:
    from aibrix_twisted.service.downstream.protocol import DownstreamConnection


class Work(Typed):
    """What runs an exchange, as the connection sees it."""

    @property
    def exchange(self) -> Exchange:
        """Whose it is."""
        ...

    @property
    def held(self) -> tuple[int, int]:
        """Bytes that it keeps: of an answer, and of a stream for healing."""
        ...

    def begin(self, body: bytes) -> None:
        """The request is there whole."""
        ...

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error."""
        ...

    def client_gone(self, why: str) -> None:
        """The client left.

        @param why: for people.
        """
        ...

    def pause(self) -> None:
        """The client does not keep up."""
        ...

    def resume(self) -> None:
        """It does again."""
        ...

    def check(self, now: float) -> None:
        """See whether a deadline has passed."""
        ...

    def expire(self, reason: str) -> None:
        """End it now, with an error that the client can see."""
        ...

    def fail(self) -> None:
        """The same, for a defect of the gateway."""
        ...


class Exchanges(Typed):
    """Where requests go: makes the work of each."""

    wheel: Wheel
    memory: Memory
    spools: Spools
    overload: Overload
    seldom: Seldom
    draining: bool
    draining_idle_s: float
    handshakes: Handshakes
    hsts: bytes

    @property
    def settings(self) -> Settings:
        """Those in force now."""
        ...

    def seconds(self) -> float:
        """The clock of what is stamped."""
        ...

    def taken(self, exchange: Exchange, size: int, seconds: float) -> None:
        """A client that did not keep up took so much in this time."""
        ...

    def open(self, head: RequestHead, reply: Reply, client: Client, accepted: float) -> Work | GatewayError:
        """A head came.  An error says that the request is refused whatever its body; see L{refuse}.

        @param accepted: when the first byte of it did.
        """
        ...

    def refuse(
        self, error: GatewayError, head: RequestHead | None, reply: Reply, client: Client, accepted: float
    ) -> None:
        """Answer, count and log a request that gets no work."""
        ...

    @property
    def flooded(self) -> bool:
        """There are so many clients that no more can even be told so."""
        ...

    def spoke(self, connection: DownstreamConnection) -> None:
        """A client has made its first request."""
        ...

    def may_tell(self) -> bool:
        """Whether one more client is told why it is disconnected."""
        ...

    def dropped(self, reason: str) -> None:
        """A client's connection was closed without an answer."""
        ...

    def connected(self, connection: DownstreamConnection) -> GatewayError | None:
        """A client is here.

        @return: why it is not welcome.
        """
        ...

    def disconnected(self, connection: DownstreamConnection) -> None:
        """It is gone."""
        ...
