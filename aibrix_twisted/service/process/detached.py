"""A thread that the process does not wait for at its end, for what may block for longer than anyone has patience."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads


def in_detached_thread(reactor: IReactorFromThreads, call: Callable[[], None]) -> Deferred[None]:
    """Call it there.

    @return: fires in the reactor's thread once it has returned, or raised: then Python itself says so.  May be
        cancelled; the thread goes on.
    """
    done: Deferred[None] = Deferred()

    def run() -> None:
        try:
            call()
        finally:
            reactor.callFromThread(done.callback, None)

    Thread(target=run, daemon=True, name="aibrix-detached").start()
    return done
