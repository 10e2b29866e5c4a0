"""Leases: counted once, given back once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Lease, LeaseReleased, Replica, ReplicaLoad


def a_replica(**more: object) -> Replica:
    """One, with what matters given."""
    return Replica(name="a", url="http://a:1", host="a", port=1, authority=b"a:1", **more)  # type: ignore[arg-type]


class LeaseTests(SynchronousTestCase):
    """The count of what is under way."""

    def test_counts_until_released(self) -> None:
        """A lease counts at once, by model too, and no more once it is released."""
        load = ReplicaLoad()
        first, second = load.lease("m"), load.lease("n")
        self.assertEqual((load.in_flight, load.by_model, load.leased), (2, {"m": 1, "n": 1}, 2))
        first.release()
        second.release()
        self.assertEqual((load.in_flight, load.by_model, load.leased), (0, {"m": 0, "n": 0}, 2))

    def test_a_second_release_is_a_defect_and_changes_nothing(self) -> None:
        """It raises, instead of making a count wrong in silence."""
        load = ReplicaLoad()
        lease = load.lease("m")
        other = load.lease("m")
        lease.release()
        self.assertRaises(LeaseReleased, lease.release)
        self.assertEqual(load.in_flight, 1)
        other.release()

    @given(st.lists(st.integers(0, 7)))
    def test_any_interleaving_returns_to_zero(self, steps: list[int]) -> None:
        """Leases taken and released in any order: never below zero, zero at the end."""
        load, held = ReplicaLoad(), list[Lease]()
        for step in steps:
            if step < 4 or not held:
                held.append(load.lease(f"m{step % 2}"))
            else:
                held.pop(step % len(held)).release()
            self.assertEqual(load.in_flight, len(held))
            self.assertTrue(all(count >= 0 for count in load.by_model.values()))
        for lease in held:
            lease.release()
        self.assertEqual((load.in_flight, sum(load.by_model.values())), (0, 0))


class ReplicaTests(SynchronousTestCase):
    """What follows from what is known of a replica."""

    def test_done_is_required_of_engines_that_send_it(self) -> None:
        """By the engine's kind, or once it has been seen."""
        for engine in ("vllm", "sglang", "trtllm", "llamacpp"):
            self.assertTrue(a_replica(engine=engine).done_required)
        self.assertFalse(a_replica(engine="openai").done_required)
        self.assertFalse(a_replica().done_required)
        self.assertTrue(a_replica(engine="openai", seen_done=True).done_required)

    def test_usage_is_forced_by_engine_or_by_setting(self) -> None:
        """Never of an engine that is only known to speak OpenAI, unless asked for."""
        self.assertTrue(a_replica(engine="vllm").forces_usage)
        self.assertFalse(a_replica(engine="openai").forces_usage)
        self.assertFalse(a_replica(engine="vllm", force_usage=False).forces_usage)
        self.assertTrue(a_replica(engine="openai", force_usage=True).forces_usage)

    def test_up_once_models_are_known(self) -> None:
        """Even where it serves none."""
        self.assertFalse(a_replica().up)
        self.assertTrue(a_replica(models=()).up)
