"""What an attempt's ending says of its replica's health."""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.assembly import Ending, Outcome
from aibrix_twisted.interfaces import Payload, Random
from aibrix_twisted.policy.retry import DECLINED, FAILED, Progress
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.heal import HealedAnswer

#: An engine's answers that say that it is not well.  503 is none of them: it has too much to do.
_UNWELL: Final = frozenset({500, 502, 504})

#: An engine that asks for more than this is not believed.
MAX_RETRY_AFTER_S: Final = 60.0


def weigh(attempt: Attempt, ending: Ending, now: float, rng: Random) -> None:
    """Tell the replica's health, once an attempt is over and before its connection is given back."""
    health, outcome = attempt.health, ending.outcome
    answer = attempt.answer
    if attempt.defect or (isinstance(answer, HealedAnswer) and answer.diverged):  # it is as well as it was
        health.forgot()
        return
    match outcome:
        case Outcome.COMPLETE | Outcome.MALFORMED:
            if attempt.status in DECLINED:
                health.forgot()
                if attempt.retry_after_s:
                    health.busy_until(now + min(attempt.retry_after_s, MAX_RETRY_AFTER_S))
            elif attempt.status in _UNWELL:
                why = f"it answered with status {attempt.status}"
                health.failed(why, now, rng, broke=attempt.status == FAILED)
            else:
                health.succeeded(now, attempt.sent)
        case Outcome.ABANDONED:
            health.forgot()
        case Outcome.TIMED_OUT:
            if attempt.fault:
                health.failed(attempt.fault, now, rng, broke=False)
            else:
                health.forgot()  # it was not the replica's to keep
        case Outcome.TRUNCATED | Outcome.BROKEN:
            if attempt.refused and attempt.progress is Progress.NOTHING_SENT:
                health.refused(attempt.fault, now, rng)
            elif attempt.reused and attempt.progress is Progress.NOTHING_RECEIVED:
                health.forgot()  # an idle connection, closed as the request went out
            else:
                reported = ending.payload is Payload.BROKEN
                health.failed(attempt.fault or outcome.value, now, rng, broke=not reported)
