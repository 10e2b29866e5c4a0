"""Which replica?  The policy that applies, asked for one of the replicas that may be asked now."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from twisted.logger import Logger

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.gpu_profile import GpuProfile
from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.prompt import NO_PROMPT, Prompt, prompt_of
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import GpuProfileSettings, Settings
from aibrix_twisted.errors import ClientError, InvalidFilter, UnknownPolicy, UnknownProfile
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.ask import NOTHING_ASKED, Ask, Needs
from aibrix_twisted.policy.blend import Blend
from aibrix_twisted.policy.candidates import Lack, Tried, candidates
from aibrix_twisted.policy.choice import Fallback
from aibrix_twisted.policy.means import Means
from aibrix_twisted.policy.plan import Plan, Planner, Size, Wishes
from aibrix_twisted.policy.plan import UnknownProfile as UnknownWish
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.scorer import Scorer
from aibrix_twisted.policy.selector import BadSelector, Selector, selector_of
from aibrix_twisted.policy.strategy import BadStrategy, Strategy
from aibrix_twisted.service.exchange.flights import Flight, Flights
from aibrix_twisted.wire.onward import Fields
from aibrix_twisted.wire.openai import Asked
from aibrix_twisted.wire.prompt_text import PromptText, prompt_text
from aibrix_twisted.wire.unquoted import unquoted

_log = Logger()

_NONE_TRIED: Tried = {}

_NOTHING: Final = Needs.NOTHING
_PROMPT: Final = Needs.PROMPT

#: A session's key may be so long, in bytes; a longer one is none, as in AIBrix.
MAX_SESSION_KEY: Final = 256

#: Blends of policies that are kept made; requests may ask for ever new ones.
_MAX_BLENDS: Final = 256

#: AIBrix's name for a request whose routing is at fault.
_ROUTING_AT_FAULT: Final = ((b"x-error-routing", b"true"),)


class _Lazy:
    """A prompt's text, read when it is first asked for."""

    __slots__ = ("_asked", "_body", "text")

    def __init__(self, asked: Asked, body: bytes) -> None:
        self._asked = asked
        self._body = body
        self.text: PromptText | None = None

    def tokens(self) -> int:
        """How many it has, roughly."""
        self.text = text = self.text or _text_of(self._asked, self._body)
        return Prompt(len(text.text)).tokens


class Routing:
    """How an exchange is routed: the same for each of its attempts, and for each exchange that wants nothing special.

    @ivar model: which model's policy that is.
    @ivar plan: who decides.
    @ivar ask: what the policy may know.
    """

    __slots__ = ("ask", "model", "plan", "policy")

    def __init__(self, model: str, plan: Plan, policy: Policy, ask: Ask) -> None:
        self.model = model
        self.plan = plan
        self.policy = policy
        self.ask = ask


class Chooser:
    """Policies by model, each with objects of its own, made when first needed, for some remember; what they remember
    outlives a reload.

    @ivar flights: what was decided.
    @ivar settings: those that hold now.
    @ivar look_at_peers: called before a decision, where other processes send to the same replicas.
    @ivar indexes: which replicas have seen which prompts, by model.
    @ivar counted: prompt tokens that engines had counted when the gateway last stopped, by replicas that have not been
        seen since.
    """

    def __init__(
        self,
        settings: Settings,
        rng: Random,
        seconds: Callable[[], float],
        fell_back: Callable[[Fallback], None] = lambda fallback: None,
    ) -> None:
        """
        @param fell_back: told whenever a policy had to do without what it goes by.
        """
        self._rng = rng
        self._seconds = seconds
        self._fell_back = fell_back
        self._warned: set[tuple[str, Fallback]] = set()
        self.settings = settings
        self._usual: dict[str, Routing] = {}
        self._made: dict[tuple[str, str], Policy] = {}
        self._blends: dict[tuple[str, str], Policy] = {}
        self.indexes: dict[str, PrefixIndex] = {}
        self.counted: dict[str, float] = {}
        self.flights = Flights(settings.flight_recorder.size)
        self.look_at_peers: Callable[[float], None] | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take these settings."""
        before, self.settings = self.settings, settings
        prefix = settings.prefix_cache
        self._block_bytes = prefix.block_bytes
        self._planner = Planner(settings.policy, settings.model)
        self._usual.clear()
        self._engine_waiting = settings.queue.engine_waiting
        self._slos = {model.name: model.slo for model in settings.model}
        self._profiles = [_profile_of(wanted) for wanted in settings.gpu_profile]
        self.flights.configure(settings.flight_recorder.size)
        if prefix.block_bytes != before.prefix_cache.block_bytes:
            self.indexes.clear()
        for index in self.indexes.values():
            index.configure(prefix.blocks, prefix.ttl)
        slos = {model.name: model.slo for model in before.model}
        if (prefix, self._slos, settings.gpu_profile) != (before.prefix_cache, slos, before.gpu_profile):
            self._made.clear()
            self._blends.clear()

    def met(self, fleet: Fleet) -> None:
        """These are all that there are.  An engine that has counted less than when the gateway last stopped has begun
        anew.
        """
        names = {replica.name for replica in fleet.replicas}
        for policy in self._made.values():
            policy.forget_all_but(names)
        for replica in fleet.replicas:
            tokens = self.counted.pop(replica.name, None)
            if tokens is not None:
                replica.load.trend.counted_before(tokens)

    # -- who decides -----------------------------------------------------------------------------------------

    def routing(self, model: str, fields: Fields, asked: Asked, body: bytes) -> Routing:
        """Who decides, and what they may know.

        @raise aibrix_twisted.errors.ClientError: what the request wants of its routing is not to be had.
        """
        wishes = _wishes_of(fields)
        text: PromptText | None = None
        if wishes is None:
            routing = self._usual.get(model) or self._found_usual(model)
        else:
            lazy = _Lazy(asked, body)
            plan = self._planned(model, wishes, Size(lazy.tokens, asked.max_tokens))
            routing = Routing(model, plan, self._policy(model, plan.strategy), NOTHING_ASKED)
            text = lazy.text
        policy = routing.policy
        needs = policy.needs
        if needs is _NOTHING:
            return routing
        prompt = NO_PROMPT
        if needs is _PROMPT:
            text = text or _text_of(asked, body)
            prompt = prompt_of(text.text, self._block_bytes, scope=text.scope)
        return Routing(model, routing.plan, policy, self._ask(prompt, fields, asked))

    def _found_usual(self, model: str) -> Routing:
        """How requests for a model are routed that wish nothing; kept, for most are."""
        plan = self._planner.usual(model)
        routing = self._usual[model] = Routing(model, plan, self._policy(model, plan.strategy), NOTHING_ASKED)
        return routing

    def _planned(self, model: str, wishes: Wishes, size: Size) -> Plan:
        try:
            return self._planner.plan(model, wishes, size)
        except BadStrategy as error:
            raise _at_fault(UnknownPolicy, "routing-strategy", str(error)) from None
        except UnknownWish as error:
            raise _at_fault(UnknownProfile, "config-profile", str(error)) from None
        except BadSelector as error:
            raise _at_fault(InvalidFilter, "external-filter", f"external-filter: {error}") from None

    def _ask(self, prompt: Prompt, fields: Fields, asked: Asked) -> Ask:
        get = fields.get
        key, user, session = get(b"x-aibrix-session-key"), get(b"user"), get(b"x-session-id")
        return Ask(
            prompt,
            asked.stream,
            asked.max_tokens,
            "" if user is None or not self.settings.auth.trust_user_header else user.decode("latin-1"),
            "" if session is None else session_of(session),
            b"" if key is None or len(key) > MAX_SESSION_KEY else key,
        )

    # -- the decision ----------------------------------------------------------------------------------------

    def choose(
        self, exchange: Exchange, routing: Routing, model: str, fleet: Fleet, tried: Tried, *, dry: bool = False
    ) -> Flight | Lack:
        """One of the model's replicas, or why there is none.  It is recorded.

        @param dry: nothing is recorded or counted: it is only asked.
        """
        plan, now = routing.plan, self._seconds()
        if self.look_at_peers is not None:
            self.look_at_peers(now)
        found: Sequence[Replica] | Lack
        if plan.selector is not None:
            found = self.candidates(model, fleet, tried, plan.selector)
        else:
            found = candidates(
                fleet.by_model.get(model, ()), tried, now, self._rng, engine_waiting=self._engine_waiting
            )
        if isinstance(found, Lack):
            return found
        policy = routing.policy if model == routing.model else self._policy(model, plan.strategy)
        choice = policy.choose(found, routing.ask, now, self._rng)
        if choice is None:
            return Lack.BUSY
        flight = Flight(exchange, model, policy, routing.ask, now, found, choice)
        if not dry:
            if choice.fallbacks:
                self._note(model, choice.fallbacks)
            self.flights.add(flight)
        return flight

    def free(self, model: str, fleet: Fleet, tried: Tried, selector: Selector | None = None) -> Replica | None:
        """One that has nothing to do, and nothing against it."""
        found = self.candidates(model, fleet, tried, selector)
        if isinstance(found, Lack):
            return None
        now = self._seconds()
        for replica in found:
            engine = replica.load.fresh_engine(now)
            if (
                not (replica.load.in_flight + replica.load.elsewhere)
                and replica.health.plain
                and (engine is None or not engine.waiting)
            ):
                return replica
        return None

    def could(self, model: str, fleet: Fleet) -> bool:
        """Whether a request for the model, or for what stands in for it, would find a replica now."""
        return any(not isinstance(self.candidates(name, fleet), Lack) for name in (model, *fleet.fallbacks(model)))

    def candidates(
        self, model: str, fleet: Fleet, tried: Tried = _NONE_TRIED, selector: Selector | None = None
    ) -> Sequence[Replica] | Lack:
        """Those among which the policy chooses."""
        replicas = fleet.by_model.get(model, ())
        if selector is not None:
            picked = tuple(replica for replica in replicas if selector.picks(replica))
            if replicas and not picked:
                return Lack.UNMATCHED
            replicas = picked
        return candidates(replicas, tried, self._seconds(), self._rng, engine_waiting=self._engine_waiting)

    # -- policies --------------------------------------------------------------------------------------------

    def _policy(self, model: str, strategy: Strategy) -> Policy:
        """The object that decides for the model."""
        key = model, strategy.said
        policy = self._made.get(key) or self._blends.get(key)
        if policy is not None:
            return policy
        parts = [(self._single(model, part.name), part.weight) for part in strategy.parts]
        if len(parts) == 1:
            return parts[0][0]
        if len(self._blends) >= _MAX_BLENDS:
            self._blends.clear()
        scorers = [(policy, weight) for policy, weight in parts if isinstance(policy, Scorer)]
        made = self._blends[key] = Blend(strategy.said, scorers)
        return made

    def _single(self, model: str, name: str) -> Policy:
        policy = self._made.get((model, name))
        if policy is None:
            profiles = [(selector, profile) for of, selector, profile in self._profiles if of == model]

            def profile_of(replica: Replica) -> GpuProfile | None:
                return next((profile for selector, profile in profiles if selector.picks(replica)), None)

            means = Means(self.index(model), self.settings.prefix_cache, self._slos.get(model), profile_of)
            policy = self._made[model, name] = POLICIES[name](means)
        return policy

    def index(self, model: str) -> PrefixIndex:
        """The model's, made when it is first needed."""
        index = self.indexes.get(model)
        if index is None:
            prefix = self.settings.prefix_cache
            index = self.indexes[model] = PrefixIndex(prefix.blocks, prefix.ttl, prefix.block_bytes)
        return index

    def _note(self, model: str, fallbacks: tuple[Fallback, ...]) -> None:
        """Count them; the first time, say them."""
        for fallback in fallbacks:
            self._fell_back(fallback)
            if (model, fallback) not in self._warned:
                self._warned.add((model, fallback))
                _log.warn(
                    "policy {policy} for the model {model} decides without what it goes by: {reason}",
                    policy=fallback.policy,
                    model=model,
                    reason=fallback.reason,
                )


def session_of(said: bytes) -> str:
    """The replica that an C{x-session-id} names; empty where it names none.  Who made one up is treated like who has
    none.
    """
    if not said or len(said) > 512:
        return ""
    try:
        return b64decode(said, validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        return ""


def _text_of(asked: Asked, body: bytes) -> PromptText:
    """The prompt's; decoded anew where the request has waited for its model to be known."""
    document: Any = asked.document
    if document is None and not asked.route.multipart:
        document = orjson.loads(body)
    return prompt_text(asked.route.dialect, document or {})


def _at_fault(kind: type[ClientError], header: str, said: str) -> ClientError:
    """What a header wants is not to be had."""
    return kind(said, param=header, headers=_ROUTING_AT_FAULT, logged=unquoted(said, header))


def _wishes_of(fields: Fields) -> Wishes | None:
    """What the request wants; C{None}: nothing, as is usual."""
    strategy, profile = fields.get(b"routing-strategy"), fields.get(b"config-profile")
    filter = fields.get(b"external-filter")
    if strategy is None and profile is None and filter is None:
        return None
    said = (b"" if value is None else value for value in (strategy, profile, filter))
    return Wishes(*(value.decode("latin-1").strip() for value in said))


def _profile_of(wanted: GpuProfileSettings) -> tuple[str, Selector, GpuProfile]:
    profile = GpuProfile(wanted.output_tokens, wanted.prompt_tokens, wanted.rates, wanted.e2e, wanted.ttft)
    return wanted.model, selector_of(wanted.replicas) if wanted.replicas else _EVERYONE, profile


_EVERYONE: Final = Selector("", ())
