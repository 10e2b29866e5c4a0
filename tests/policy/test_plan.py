"""Who decides, with AIBrix's cases (gw/configprofiles/configprofiles_test.go, gw/util_test.go)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import ModelSettings, ProfileSettings
from aibrix_twisted.policy.plan import Plan, Planner, Size, UnknownProfile, Wishes
from aibrix_twisted.policy.selector import BadSelector
from aibrix_twisted.policy.strategy import BadStrategy

#: AIBrix's, with C{slo} in the place of C{pd}.
PROFILES = {
    "default": ProfileSettings(policy="random"),
    "large-input": ProfileSettings(policy="slo", prompt_tokens_gte=8192),
    "offline-generation": ProfileSettings(policy="throughput", max_tokens_gte=2048),
    "combined": ProfileSettings(policy="least-request", prompt_tokens_gte=8192, max_tokens_gte=2048),
    "broad-short-input": ProfileSettings(policy="least-latency", prompt_tokens_lt=2048),
    "narrow-short-input": ProfileSettings(policy="least-kv-cache", prompt_tokens_lt=512),
    "broad-short-output": ProfileSettings(policy="least-gpu-cache", max_tokens_lt=4096),
    "narrow-short-output": ProfileSettings(policy="least-busy-time", max_tokens_lt=1024),
}


def size(prompt: int = 3000, answer: int | None = None) -> Size:
    """Of a request."""
    return Size(lambda: prompt, answer)


class PlanTestCase(SynchronousTestCase):
    """One model."""

    def plan(self, wishes: Wishes = Wishes(), of: Size | None = None, **model: Any) -> Plan:  # noqa: B008 - frozen
        """How a request is routed where the default is C{round-robin}."""
        return Planner("round-robin", [ModelSettings(name="m", **model)]).plan("m", wishes, of or size())


class PrecedenceTests(PlanTestCase):
    """Who wins."""

    def test_order(self) -> None:
        """What is locked, what is asked for, the profile, the model's own, the default."""
        all_of_it: dict[str, Any] = {
            "policy": "least-request", "profiles": {"default": ProfileSettings(policy="random")},
            "locked_policy": "throughput",
        }  # fmt: skip
        asked = Wishes(strategy="least-latency")
        self.assertEqual(self.plan(asked, **all_of_it).strategy.said, "throughput")
        del all_of_it["locked_policy"]
        self.assertEqual(self.plan(asked, **all_of_it).strategy.said, "least-latency")
        self.assertEqual(self.plan(**all_of_it).strategy.said, "random")
        del all_of_it["profiles"]
        self.assertEqual(self.plan(**all_of_it).strategy.said, "least-request")
        self.assertEqual(self.plan().strategy.said, "round-robin")

    def test_the_usual_is_that_without_wishes(self) -> None:
        """For each kind of model, and for one that is not configured."""
        for model in (
            {}, {"policy": "random"}, {"locked_policy": "random"}, {"profiles": PROFILES},
            {"profiles": PROFILES, "default_profile": "combined"}, {"profiles": {"x": ProfileSettings()}},
        ):  # fmt: skip
            of: Any = model
            planner = Planner("round-robin", [ModelSettings(name="m", **of)])
            self.assertEqual(planner.usual("m"), planner.plan("m", Wishes(), size()))
        self.assertEqual(planner.usual("other").strategy.said, "round-robin")
        self.assertEqual(planner.plan("other", Wishes(strategy="random"), size()).strategy.said, "random")

    def test_a_profile_without_a_policy(self) -> None:
        """Leaves it to the model."""
        plan = self.plan(Wishes(profile="x"), policy="random", profiles={"x": ProfileSettings()})
        self.assertEqual(plan.strategy.said, "random")

    def test_a_lock_holds_for_any_profile(self) -> None:
        """But one that there is not is still said."""
        for profile in ("", "large-input", "auto"):
            plan = self.plan(Wishes(profile=profile), locked_policy="random", profiles=PROFILES)
            self.assertEqual(plan.strategy.said, "random")
        self.assertRaises(UnknownProfile, self.plan, Wishes(profile="x"), locked_policy="random", profiles=PROFILES)

    def test_wrong_wishes(self) -> None:
        """Are refused, though a lock would have had its way."""
        self.assertRaises(BadStrategy, self.plan, Wishes(strategy="best"), locked_policy="random")
        self.assertRaises(BadSelector, self.plan, Wishes(filter="=="))

    def test_filter(self) -> None:
        """It goes with any plan."""
        plan = self.plan(Wishes(filter="rack=r1"))
        self.assertEqual((plan.strategy.said, plan.selector.said if plan.selector else ""), ("round-robin", "rack=r1"))


class ProfileTests(PlanTestCase):
    """C{config-profile}."""

    def test_by_name(self) -> None:
        """Whatever the request's size; the default without one."""
        for profile, policy in (("", "random"), ("offline-generation", "throughput"), ("default", "random")):
            plan = self.plan(Wishes(profile=profile), size(9000), profiles=PROFILES)
            self.assertEqual((plan.strategy.said, plan.profile), (policy, ""))

    def test_auto(self) -> None:
        """The narrowest that fits, and it is said which."""
        short = {name: profile for name, profile in PROFILES.items() if "short" not in name}
        for prompt, answer, profiles, expected in (
            (9000, None, PROFILES, "large-input"),
            (3000, 2048, short, "offline-generation"),
            (9000, 2048, PROFILES, "combined"),
            (2048, None, PROFILES, "default"),
            (100, None, PROFILES, "narrow-short-input"),
            (3000, 512, PROFILES, "narrow-short-output"),
            (1000, None, PROFILES, "broad-short-input"),
        ):
            for said in ("auto", "AUTO", "Auto"):
                plan = self.plan(Wishes(profile=said), size(prompt, answer), profiles=profiles)
                self.assertEqual(plan.profile, expected, (prompt, answer))
                self.assertEqual(plan.strategy.said, profiles[expected].policy)

    def test_equally_narrow(self) -> None:
        """More bounds, then tighter ones of the prompt, then of the answer, then the name."""
        for profiles, expected in (
            ({"a": ProfileSettings(prompt_tokens_gte=10), "b": ProfileSettings(prompt_tokens_gte=100)}, "b"),
            ({"a": ProfileSettings(max_tokens_lt=900), "b": ProfileSettings(max_tokens_lt=800)}, "b"),
            ({"b": ProfileSettings(max_tokens_gte=5), "a": ProfileSettings(max_tokens_gte=5)}, "a"),
            ({"a": ProfileSettings(max_tokens_gte=1), "b": ProfileSettings(prompt_tokens_gte=1)}, "b"),
        ):
            self.assertEqual(self.plan(Wishes(profile="auto"), size(500, 500), profiles=profiles).profile, expected)

    def test_nothing_fits(self) -> None:
        """The default profile, where there is one; a model without profiles is none the worse for C{auto}."""
        auto = Wishes(profile="auto")
        self.assertEqual(self.plan(auto, profiles={"x": ProfileSettings(prompt_tokens_gte=9999)}).profile, "")
        self.assertEqual(self.plan(auto).strategy.said, "round-robin")
        self.assertEqual(Planner("random").plan("m", auto, size()).strategy.said, "random")

    def test_unknown(self) -> None:
        """It is named, with those that there are."""
        error = self.assertRaises(
            UnknownProfile, self.plan, Wishes(profile="missing"), profiles={"x": PROFILES["default"]}
        )
        self.assertIn("'missing': the model's profiles are x", str(error))
        self.assertRaises(UnknownProfile, Planner("random").plan, "m", Wishes(profile="x"), size())

    def test_the_prompt_is_only_measured_where_it_matters(self) -> None:
        """It costs something."""

        def measured() -> int:
            raise AssertionError("nobody asked")

        planner = Planner("random", [ModelSettings(name="m", profiles={"x": ProfileSettings(max_tokens_gte=5)})])
        for wishes in (Wishes(), Wishes(profile="auto"), Wishes(profile="x"), Wishes(strategy="random")):
            planner.plan("m", wishes, Size(measured, 9))
