"""C{slo}, C{slo-least-load}, C{slo-pack-load}: who can meet the model's objective, by what was measured of each GPU.

Each request takes up a part of a replica, which follows from the profile of its GPU.  Those that are expected to meet
the objective are preferred; of these the emptiest is taken, or, to keep others free, the fullest that has room.  C{slo}
and C{slo-pack-load} give no replica more than it can do: a request that fits nowhere waits in the waiting room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Final, NamedTuple

from aibrix_twisted.domain.gpu_profile import GpuProfile, Signature
from aibrix_twisted.domain.output_predictor import OutputPredictor
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import SloSettings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Choice, Fallback, Missing, Usage
from aibrix_twisted.policy.least_loaded import least_loaded
from aibrix_twisted.policy.policy import Policy, kept

#: A replica that does all that it can.
FULL: Final = 1.0

#: Sums of parts are not exact.
_EXACT: Final = 1e-9

#: The profile of a replica's GPU, if there is one.
ProfileOf = Callable[[Replica], GpuProfile | None]


class _Memo(NamedTuple):
    """What a request takes up, and where."""

    name: str
    part: float
    prompt_tokens: int


class _Option(NamedTuple):
    """One replica that could do it.

    @ivar late_s: by how much it would miss the objective; negative: it would meet it.
    @ivar used: what of it is taken up.
    @ivar part: what this one would take up.
    """

    place: int
    late_s: float
    used: float
    part: float

    @property
    def fits(self) -> bool:
        """It has room; an empty one has room for anything."""
        return self.used + self.part <= FULL + _EXACT or not self.used


class Slo(Policy):
    """The family: which of those that may have it does."""

    __slots__ = ("_bounded", "_packs", "_predictor", "_profile_of", "_slo", "_used", "name")

    needs = Needs.PROMPT
    learns = True

    def __init__(self, name: str, slo: SloSettings | None, profile_of: ProfileOf) -> None:
        self.name = name
        self._packs = name == "slo-pack-load"
        self._bounded = name != "slo-least-load"
        self._slo = slo
        self._profile_of = profile_of
        self._predictor = OutputPredictor()
        self._used: dict[str, float] = {}

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice | None:
        """See L{IPolicy}; C{None} where none has room."""
        profiles = [self._profile_of(replica) for replica in candidates]
        missing = Missing.SLO if self._slo is None else None if any(profiles) else Missing.PROFILE
        output = 0 if missing else self._predictor.predict(ask.prompt.tokens, now, rng.random())
        options = [] if missing else self._options(candidates, profiles, ask.prompt.tokens, output)
        if not options:
            replica, loads = least_loaded(candidates, rng)
            return Choice(replica, {"load": loads}, (Fallback(self.name, missing or Missing.BEYOND_PROFILE),))
        meeting = [option for option in options if option.late_s <= 0]
        for those in (meeting, options):
            fit = [option for option in those if option.fits or not self._bounded]
            if fit:
                return self._taken(candidates, fit, options)
        return None

    def chosen(self, replica: Replica, ask: Ask, now: float) -> _Memo | None:
        """It takes up its part."""
        profile, tokens = self._profile_of(replica), ask.prompt.tokens
        if profile is None or self._slo is None:
            return None
        part = profile.consumption(profile.signature(self._predictor.predict(tokens, now, 0.5), tokens)) or 0.0
        self._used[replica.name] = self._used.get(replica.name, 0.0) + part
        return _Memo(replica.name, part, tokens)

    def ended(self, memo: _Memo | None, now: float, *, well: bool, usage: Usage | None) -> None:
        """It takes up nothing any more; and that is how long its answer was."""
        if memo is None:
            return
        used = self._used.get(memo.name)
        if used is not None:  # else the replica is gone
            self._used[memo.name] = used - memo.part if used - memo.part > _EXACT else 0.0
        if well and usage is not None:
            self._predictor.add(memo.prompt_tokens, usage.output_tokens, now)

    def forget_all_but(self, names: Set[str]) -> None:
        """Of replicas that are gone."""
        self._used = kept(self._used, names)

    def _options(
        self, candidates: Sequence[Replica], profiles: Sequence[GpuProfile | None], prompt: int, output: int
    ) -> list[_Option]:
        options = []
        for place, (replica, profile) in enumerate(zip(candidates, profiles, strict=True)):
            at = profile.signature(output, prompt) if profile is not None else (0, 0)
            part = profile.consumption(at) if profile is not None else None
            if profile is not None and part is not None and self._slo is not None:
                late_s = late(self._slo, profile, at, prompt, output)
                options.append(_Option(place, late_s, self._used.get(replica.name, 0.0), part))
        return options

    def _taken(self, candidates: Sequence[Replica], fit: Sequence[_Option], options: Sequence[_Option]) -> Choice:
        if self._packs:
            best = max(fit, key=lambda option: option.used + option.part)
        else:
            best = min(fit, key=lambda option: (option.used, candidates[option.place].load.in_flight))
        used, late_s = ([float("nan")] * len(candidates) for _ in range(2))
        for option in options:
            used[option.place], late_s[option.place] = option.used, option.late_s
        return Choice(candidates[best.place], {"used": used, "late_s": late_s})


def late(slo: SloSettings, profile: GpuProfile, at: Signature, prompt: int, output: int) -> float:
    """By how many seconds a request is expected to miss the objective: the first that is set of C{tpot}, C{ttft},
    C{tpat} and C{e2e} counts, as in AIBrix.
    """
    e2e = profile.e2e[at[0]][at[1]]
    if slo.tpot:
        return e2e - (slo.tpot * output + slo.ttft)
    if slo.ttft:
        return profile.ttft[at[0]][at[1]] - slo.ttft if profile.ttft else e2e - slo.ttft
    if slo.tpat:
        return e2e - slo.tpat * (prompt + output)
    return e2e - slo.e2e
