"""What the gateway answers by itself: the models it serves, and whether it lives and can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import DEFECT, ClientGone, Draining, GatewayError, InternalError, UnknownModel
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.respond import send_document, send_error, send_own
from aibrix_twisted.service.exchange.settle import settle_exchange
from aibrix_twisted.wire.routes import OWN_PATHS, ROUTES

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges

MODELS: Final = b"/v1/models"
HEALTH: Final = b"/healthz"
READY: Final = b"/readyz"


class Local:
    """An exchange that needs no engine, and so is over as soon as its request is there."""

    __slots__ = ("_exchanges", "_over", "_reply", "exchange")

    def __init__(self, exchanges: Exchanges, exchange: Exchange, reply: Reply) -> None:
        self._exchanges = exchanges
        self.exchange = exchange
        self._reply = reply
        self._over = False

    @property
    def held(self) -> tuple[int, int]:
        """It keeps nothing."""
        return 0, 0

    def begin(self, body: bytes) -> None:
        """Answer.  A body, should there be one, means nothing."""
        exchange = self.exchange
        exchange.stamps.read = self._exchanges.seconds()
        path = exchange.path.encode("latin-1")
        try:
            if exchange.method == "OPTIONS":
                send_own(204, [(b"allow", allowed(path))], b"", exchange, self._reply)
            elif path == HEALTH:
                send_document(b'{"status":"ok"}', exchange, self._reply)
            elif path == READY:
                ready, why = self._exchanges.readiness()
                send_document(why, exchange, self._reply, status=200 if ready else 503)
            else:
                send_document(self._models(path), exchange, self._reply)
        except GatewayError as error:
            exchange.failed(error)
            send_error(error, exchange, self._reply)
        self._settle()

    def refuse(self, error: GatewayError) -> None:
        """The request turned out to be malformed."""
        if not self._over:
            self.exchange.failed(error)
            send_error(error, self.exchange, self._reply)
            self._settle()

    def client_gone(self, why: str) -> None:
        """It left before its request was whole."""
        if not self._over:
            self._over = True
            self.exchange.cause, self.exchange.outcome = Cause.CLIENT_GONE, Outcome.ABANDONED
            self.exchange.failed(ClientGone(why))
            settle_exchange(self.exchange, self._reply, self._exchanges)

    def pause(self) -> None:
        """There is nothing to pause."""

    def resume(self) -> None:
        """There is nothing to resume."""

    def check(self, now: float) -> None:
        """There is nothing that could be late."""

    def expire(self, reason: str) -> None:
        """It is over as soon as its request is there; one that is not yet is refused."""
        self.refuse(Draining(reason))

    def fail(self) -> None:
        """A defect of the gateway's."""
        self.refuse(InternalError(DEFECT))

    def _settle(self) -> None:
        self._over = True
        settle_exchange(self.exchange, self._reply, self._exchanges)
        self._reply.let_go()

    def _models(self, path: bytes) -> bytes:
        if path == MODELS:
            return self._exchanges.catalogue.listed()
        name = unquote(path[len(MODELS) + 1 :].decode("latin-1"))
        entry = self._exchanges.catalogue.entry(name)
        if entry is None:
            raise UnknownModel(f"the model {name!r} does not exist", param="model")
        return entry


def is_local(path: bytes) -> bool:
    """Whether the gateway answers this path by itself."""
    return path in (MODELS, HEALTH, READY) or path.startswith(MODELS + b"/")


def label_of(path: bytes) -> str:
    """The route of a path, as the metrics say it; C{other} for what is not one."""
    route = ROUTES.get(path)
    if route is not None:
        return route.name
    return OWN_PATHS.get(path, "models" if path.startswith(MODELS + b"/") else "other")


def allowed(path: bytes) -> bytes:
    """The methods that a path takes, as the value of C{Allow} (RFC 9110 §10.2.1)."""
    return (
        b"GET, HEAD, OPTIONS" if is_local(path) else b"POST, OPTIONS" if path in ROUTES else b"GET, HEAD, POST, OPTIONS"
    )
