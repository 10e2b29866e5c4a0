"""The seams of the gateway: every interface of the package, each with its contract.

Nothing here imports anything of ours, so that every room may import this one.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

from zope.interface import Attribute, Interface


class Payload(enum.Enum):
    """What a decoder makes of a whole body, once it has been told that no more comes."""

    WHOLE = "whole"  # it stands on its own: JSON that decodes, a stream with every choice finished
    CUT = "cut"  # something that had to be in it is missing
    BROKEN = "broken"  # the engine itself said, inside the body, that it failed
    OPAQUE = "opaque"  # not a kind of body that says of itself whether it is whole (audio, say)


class IBodyDecoder(Interface):
    """Judges a response's payload.  Fed as the body comes, finished once, by the terminal event and by it only."""

    def feed(data: bytes) -> bytes:
        """Take the next piece of the body, of any length but 0, cut anywhere.

        @return: what may go to the client now.  It is C{data} itself unless something is withheld.
        """

    def finish() -> Payload:
        """The body is over.  Decodes what has to be decoded, at most once, and never an empty buffer."""


class IBodyConsumer(Interface):
    """Takes one response as it comes: its head once, then its body any number of times, then its ending.

    The caller promises that order, that the ending comes exactly once, and that nothing follows it.  It may
    come without a head.  The consumer may cause the ending beneath any of its own frames, it does not block,
    does not log per chunk, and keeps no memoryview.  It does not raise for reasons of its own; should it, the
    caller ends the response as broken and the error is logged.
    """

    def headReceived(head: Any) -> None:
        """The status and the headers are here; the body follows.

        @param head: the L{aibrix_twisted.wire.head.ResponseHead}.
        """

    def bodyReceived(data: bytes) -> None:
        """More of the body: at least one byte, framing taken off."""

    def payloadJudged() -> Payload:
        """Told that the body is over, says what the payload is.  Called at most once, just before C{ended}.

        It is not called where no head came.
        """

    def ended(ending: Any) -> None:
        """It is over.  No call follows.

        @param ending: the L{aibrix_twisted.domain.assembly.Ending}.
        """


class Random(Protocol):
    """What a policy needs of a source of randomness; L{random.Random} is one."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def randrange(self, stop: int, /) -> int:
        """A whole number in [0, stop)."""
        ...


class IPolicy(Interface):
    """Chooses a replica.  Pure: time and randomness come as arguments, and what a choice depends on beside them and the
    replicas is what the policy was told before.

    C{choose} changes nothing, so that it may be asked what it would do.  Where it C{learns}, C{chosen} is called once
    it was done, and what that returns comes back with C{answered}, once at most, and with C{ended}, once.
    """

    name = Attribute("Its name, as AIBrix or we have it.")
    needs = Attribute("How much of a request it has to be told: an L{aibrix_twisted.policy.ask.Needs}.")
    learns = Attribute("Whether it is to be told what became of its choices.")

    def choose(candidates: Any, ask: Any, now: float, rng: Random) -> Any:
        """Pick one.

        @param candidates: a non-empty sequence of L{aibrix_twisted.domain.replica.Replica}.
        @param ask: the L{aibrix_twisted.policy.ask.Ask}.
        @param now: seconds of the clock that engines' readings are stamped with.
        @return: an L{aibrix_twisted.policy.choice.Choice}; C{None} where it would rather wait than have any of them.
        """

    def chosen(replica: Any, ask: Any, now: float) -> Any:
        """The request is given to this replica, as it said.

        @return: a memo for what follows.
        """

    def forget_all_but(names: Any) -> None:
        """The fleet has changed: these are the names of all of its replicas."""

    def answered(memo: Any, now: float) -> None:
        """The first of a streamed answer came."""

    def ended(memo: Any, now: float, *, well: bool, usage: Any) -> None:
        """It is over at that replica.

        @param well: it was answered, and not with an error; in part, perhaps.
        @param usage: the L{aibrix_twisted.policy.choice.Usage}, where the engine said it.
        """
