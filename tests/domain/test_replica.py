"""Leases: counted once, given back once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
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


class EngineLoadTests(SynchronousTestCase):
    """What the engine itself says of its load."""

    def test_fresh(self) -> None:
        """For as long as was said with it, to the second; a new reading begins a new term."""
        load = ReplicaLoad()
        self.assertIsNone(load.fresh_engine(0.0))
        said = EngineLoad(at=10.0, waiting=1.0)
        load.read(said, 3.0)
        self.assertEqual([load.fresh_engine(at) for at in (10.0, 13.0, 13.1)], [said, said, None])
        self.assertIs(load.engine, said, "people may still be shown it")
        newer = EngineLoad(at=13.0)
        load.read(newer, 1.0)
        self.assertEqual([load.fresh_engine(at) for at in (14.0, 14.1)], [newer, None])

    def test_since_read(self) -> None:
        """Leases given, whether or not they are over; from the start, where nothing was ever read."""
        load = ReplicaLoad()
        load.lease("m").release()
        self.assertEqual(load.since_read, 1)
        held = load.lease("m")
        load.read(EngineLoad(at=1.0), 3.0)
        self.assertEqual(load.since_read, 0)
        held.release()
        self.assertEqual(load.since_read, 0)
        load.lease("n").release()
        load.lease("m")
        self.assertEqual((load.since_read, load.in_flight), (2, 1))

    @given(st.lists(st.sampled_from(["lease", "release", "read"])))
    def test_since_read_is_never_negative(self, steps: list[str]) -> None:
        """And never more than were given at all."""
        load, held, given_since = ReplicaLoad(), list[Lease](), 0
        for step in steps:
            if step == "lease":
                held.append(load.lease("m"))
                given_since += 1
            elif step == "read":
                load.read(EngineLoad(at=1.0), 3.0)
                given_since = 0
            elif held:
                held.pop().release()
            self.assertEqual(load.since_read, given_since)
            self.assertLessEqual(load.since_read, load.leased)


class RoomTests(SynchronousTestCase):
    """May it be given one more?"""

    def test_max_in_flight(self) -> None:
        """Under the bound; 0 is none."""
        bounded, unbounded = a_replica(max_in_flight=2), a_replica()
        for expected in (True, True, False, False):
            self.assertEqual(bounded.has_room(0.0, 0), expected)
            self.assertTrue(unbounded.has_room(0.0, 0))
            bounded.load.lease("m")
            unbounded.load.lease("m")

    def test_engine_waiting(self) -> None:
        """Under the bound, by what the engine said and what it was given since; where it said nothing, or too long
        ago, or not that, there is room."""
        replica = a_replica()
        self.assertTrue(replica.has_room(0.0, 1))
        replica.load.read(EngineLoad(at=0.0, running=50.0), 3.0)
        self.assertTrue(replica.has_room(0.0, 1))
        replica.load.read(EngineLoad(at=0.0, waiting=1.0), 3.0)
        self.assertEqual([replica.has_room(0.0, bound) for bound in (0, 1, 2)], [True, False, True])
        replica.load.lease("m").release()
        self.assertEqual([replica.has_room(0.0, bound) for bound in (2, 3)], [False, True])
        self.assertTrue(replica.has_room(3.1, 1))

    def test_left_alone(self) -> None:
        """Not before the time that the engine named."""
        replica = a_replica()
        replica.health.busy_until(5.0)
        self.assertEqual([replica.has_room(at, 0) for at in (4.9, 5.0)], [False, True])


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
        """Even where it serves none; not while it is down or draining."""
        self.assertFalse(a_replica().up)
        replica = a_replica(models=())
        self.assertTrue(replica.up)
        replica.health.drain(0.0, on=True)
        self.assertFalse(replica.up)
