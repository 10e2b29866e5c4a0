"""Engines that are scripted: they answer as real ones do, or fail as real ones do, or worse.

What each of them was asked, what it said, and what became of it is kept as a L{Served}: the oracle's truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.simulation.line import Line
from tests.simulation.network import Address, Network
from tests.simulation.served import Served
from tests.simulation.sockets import Socket

#: What an engine can do with a request, besides answering it.  Those of the first group are over before anything of an
#: answer that is not streamed could have been delivered, and are no answer: they can be had from another engine.
HIDEABLE: Final = ("refuse_fin", "refuse_rst", "head_fin", "429", "503", "500", "503 later")
#: All that breaks a stream so that it may go on elsewhere.
BREAKS: Final = ("cut_fin", "cut_rst", "hang_after", "error_event", "early_done", "no_done", "unfinished", "bad_chunk",
                 "close_cut", "no_last_chunk")  # fmt: skip
STREAM_ENDS: Final = ("cut_fin", "cut_rst", "hang_after", "error_event", "early_done", "no_done", "unfinished")
FRAMING: Final = ("bad_chunk", "garbage", "extra", "twice", "close_delimited", "close_cut", "no_last_chunk", "interim")
OTHER: Final = ("400", "hang", "head_hang", "bad_json", "slow", "both_lengths", "empty")
FAULTS: Final = (*HIDEABLE, *STREAM_ENDS, *FRAMING, *OTHER)


@dataclass
class Habits:
    """How an engine answers.

    @ivar prefill: bounds of the time before the first word.
    @ivar gap: bounds of the time between two.
    @ivar fuse: tokens in an event of a stream.
    @ivar faults: with their weights; what is left of 1 is answered well.
    @ivar idle_s: after which an idle connection is closed.
    """

    profile: str = "vllm"
    models: tuple[str, ...] = ("m",)
    prefill: tuple[float, float] = (0.005, 0.05)
    gap: tuple[float, float] = (0.001, 0.02)
    fuse: int = 1
    faults: dict[str, float] = field(default_factory=dict)
    idle_s: float = 5.0
    metrics: bool = False


class Engine:
    """One engine process at one address, which may die, and come back.

    @ivar mode: C{up}; C{down}: nothing listens; C{deaf}: connects are not even refused; C{stopping}: it says of all
        that it is about to be gone; C{hung}: it takes requests, and that is all.
    """

    def __init__(
        self, network: Network, name: str, address: Address, habits: Habits, rng: Random, note: Callable[[str], None]
    ) -> None:
        self.network, self.name, self.address, self.habits, self.rng = network, name, address, habits, rng
        self._note = note
        self.mode = "up"
        self.served: list[Served] = []
        self.lines: dict[Line, None] = {}
        self.on_request: Callable[[Served], None] = lambda served: None
        network.servers[address] = self

    def note(self, what: str) -> None:
        """For the timeline."""
        self._note(f"{self.name} {what}")

    def knock(self) -> str:
        """Somebody connects."""
        return {"down": "refuse", "deaf": "ignore"}.get(self.mode, "accept")

    def accepted(self, end: Socket) -> None:
        """Somebody has connected."""
        self.lines[Line(self, end)] = None

    def turn(self, mode: str, *, reset: bool = True) -> None:
        """It dies, hangs, comes back, ..."""
        self.note(f"is {mode}")
        self.mode = mode
        if mode == "down":
            for line in tuple(self.lines):
                line.close(reset=reset)

    def fault(self) -> str:
        """What becomes of the next request."""
        if self.mode == "stopping":
            return "500"
        if self.mode == "hung":
            return "hang"
        lot = self.rng.random()
        for name, weight in self.habits.faults.items():
            lot -= weight
            if lot < 0:
                return name
        return ""
