"""What an ending that is not clean is called, to the client and in the counts."""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.assembly import Ending, Outcome
from aibrix_twisted.errors import (
    ClientGone,
    EngineMalformed,
    EngineReported,
    GatewayError,
    NoReplica,
    QueueFull,
    QueueTimeout,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamTruncated,
)
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.policy.retry import Progress
from aibrix_twisted.wire.error_object import error_event


def error_of(
    ending: Ending, replica: str, fault: str, progress: Progress, late: GatewayError | None, *, tls: bool = False
) -> GatewayError | None:
    """The error that an attempt's ending amounts to; C{None} where it was complete.

    @param fault: what went wrong at the replica, for people.
    @param tls: that is of TLS.
    @param late: which deadline passed, where one did; or the defect of ours that broke it.
    """
    because = f": {fault}" if fault else ""
    match ending.outcome:
        case Outcome.COMPLETE:
            return None
        case Outcome.ABANDONED:
            if ending.payload is Payload.BROKEN:  # clients leave when they read that the engine failed
                return reported(replica)
            return ClientGone("the client left")
        case Outcome.TIMED_OUT:
            return late or UpstreamTimeout(f"replica {replica} took too long")
        case Outcome.MALFORMED:
            return EngineMalformed(f"replica {replica} framed an answer as whole whose payload is not")
        case Outcome.TRUNCATED:
            if ending.headless:
                return UpstreamTruncated(f"replica {replica} closed the connection before it answered")
            return UpstreamTruncated(f"replica {replica} closed the connection before its answer was whole")
        case Outcome.BROKEN if late is not None:
            return late
        case Outcome.BROKEN:
            if ending.payload is Payload.BROKEN:
                return reported(replica)
            if tls:
                return UpstreamTlsFailed(f"replica {replica} could not be spoken to{because}")
            if progress is Progress.NOTHING_SENT:
                return UpstreamRefused(f"replica {replica} could not be connected to{because}")
            return UpstreamBroke(f"the connection to replica {replica} broke{because}")


def reported(replica: str) -> EngineReported:
    """It did so within an answer that has begun."""
    return EngineReported(f"replica {replica} reported an error within its answer")


def lack_of(lack: Lack, model: str, waited_s: float) -> GatewayError:
    """Why no replica can be had, after waiting so long."""
    after = f", after {waited_s:.1f} s of waiting" if waited_s > 0 else ""
    if lack is Lack.BUSY:
        return QueueTimeout(f"all replicas of the model {model!r} are busy{after}", headers=_LATER)
    if lack is Lack.DOWN:
        header = (b"x-error-no-model-backends", visible(model))
        return NoReplica(f"no replica of the model {model!r} is up{after}", headers=(header, *_LATER))
    if lack is Lack.UNMATCHED:
        header = (b"x-error-no-model-backends", visible(model))
        return NoReplica(f"no replica of the model {model!r} is one that external-filter picks", headers=(header,))
    return NoReplica(f"no replica of the model {model!r} is left to try", headers=_LATER)


def queue_full(model: str) -> GatewayError:
    """There is no place left to wait in."""
    return QueueFull(f"too many requests wait already; one more for the model {model!r} cannot", headers=_LATER)


_LATER: Final = ((b"retry-after", b"1"),)


def visible(name: str) -> bytes:
    """A model's name as the value of a header; C{true}, as AIBrix says elsewhere, where it cannot be one."""
    return name.encode() if name.isascii() and name.isprintable() and name.strip() == name and name else b"true"


def error_event_of(error: GatewayError) -> bytes:
    """The error as the last event of a stream that had begun."""
    return error_event(str(error), error.status, error.param, error.said_code)
