"""A thread that says where the reactor hangs.

A reactor that does not turn serves nobody, and can log nothing by itself.  The wheel feeds this thread once a turn;
where it has not for a while, the thread writes the main thread's stack to the log, once for each time that it hangs.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

_log = Logger()

#: A reactor that has not turned for so long hangs.
HANGS_S: Final = 2.0


class Watchdog:
    """Joins the wheel, and is fed by it.

    @ivar hangs: how often the reactor was found hanging.
    """

    def __init__(self, seconds: Callable[[], float], hangs_s: float = HANGS_S) -> None:
        """@param seconds: a monotonic clock that may be read from any thread."""
        self._seconds = seconds
        self._hangs_s = hangs_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0
        self._fed = 0.0
        self.hangs = 0

    def start(self) -> None:
        """Watch the thread that calls this."""
        self._watched = threading.get_ident()
        self.check(self._seconds())
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def check(self, now: float) -> None:
        """From the wheel: the reactor turns."""
        self._fed = now

    def look(self) -> str:
        """Where the watched thread is, if it hangs; C{""}: it does not."""
        late = self._seconds() - self._fed
        if late < self._hangs_s:
            return ""
        frame = sys._current_frames().get(self._watched)
        return f"for {late:.1f} s, at\n" + "".join(traceback.format_stack(frame))

    def _watch(self) -> None:
        told = 0.0
        while not self._stopped.wait(self._hangs_s / 2):
            where = self.look()
            if where and told != self._fed:
                told = self._fed
                self.hangs += 1
                _log.error("the reactor has not turned {where}", where=where)
