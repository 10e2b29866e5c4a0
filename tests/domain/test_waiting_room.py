"""The waiting room beside a plain list of who is in it; its bounds, its order, and its fairness."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.waiting_room import QUANTUM, Priority, Ticket, WaitingRoom

MODELS = ("m", "n")
TENANTS = ("a", "b", "c")
SIZES = st.sampled_from((0, 1, 300, QUANTUM // 4, QUANTUM - 1, QUANTUM, QUANTUM + 1, 5 * QUANTUM, 40 * QUANTUM))

#: What each request costs its tenant at the least.
LEAST = QUANTUM // 4


def a_ticket(
    owner: str = "", *, model: str = "m", priority: Priority = Priority.NORMAL, tenant: str = "a", size: int = 0
) -> Ticket[str]:
    """One, with what matters given."""
    return Ticket(owner, model, priority=priority, tenant=tenant, size=size, deadline=0.0)


def called(room: WaitingRoom[str], model: str = "m") -> list[str]:
    """Everyone who waits for a model, in the order in which they are called."""
    owners = []
    while (ticket := room.call(model)) is not None:
        owners.append(ticket.owner)
    return owners


class BoundsTests(SynchronousTestCase):
    """How many get in."""

    def test_number(self) -> None:
        """The last place is taken, and none after it; one that leaves makes one free."""
        room: WaitingRoom[str] = WaitingRoom(2, 100)
        tickets = [a_ticket() for _ in range(3)]
        self.assertEqual([room.enter(ticket) for ticket in tickets], [True, True, False])
        room.leave(tickets[0])
        self.assertTrue(room.enter(tickets[2]))

    def test_bytes(self) -> None:
        """Up to the last byte."""
        room: WaitingRoom[str] = WaitingRoom(10, 100)
        self.assertEqual(
            [room.enter(a_ticket(size=size)) for size in (60, 41, 40, 1, 0)], [True, False, True, False, True]
        )
        self.assertEqual((room.count, room.bytes), (3, 100))

    def test_none(self) -> None:
        """0 places are none, and 0 bytes are for those without a body."""
        self.assertFalse(WaitingRoom[str](0, 100).enter(a_ticket()))
        self.assertFalse(WaitingRoom[str](1, 0).enter(a_ticket(size=1)))

    def test_smaller_bounds(self) -> None:
        """Nobody is thrown out for them, and nobody gets in until there is a place under them."""
        room: WaitingRoom[str] = WaitingRoom(5, 100)
        for _ in range(3):
            room.enter(a_ticket(size=10))
        room.configure(2, 100)
        self.assertEqual(room.count, 3)
        self.assertFalse(room.enter(a_ticket()))
        room.call("m")
        self.assertFalse(room.enter(a_ticket()))
        room.call("m")
        self.assertTrue(room.enter(a_ticket()))

    def test_who_is_not_in_cannot_leave(self) -> None:
        """A defect of ours, and it changes nothing."""
        room: WaitingRoom[str] = WaitingRoom(5, 100)
        inside, outside = a_ticket(size=10), a_ticket(size=20)
        room.enter(inside)
        for ticket in (outside, a_ticket(model="n"), a_ticket(priority=Priority.LOW), a_ticket(tenant="b")):
            self.assertRaises(KeyError, room.leave, ticket)
        self.assertEqual((room.count, room.bytes), (1, 10))
        room.leave(inside)
        self.assertRaises(KeyError, room.leave, inside)
        self.assertEqual((room.count, room.bytes, room.models), (0, 0, []))


class OrderTests(SynchronousTestCase):
    """Who is next."""

    def test_nobody(self) -> None:
        """For a model that nobody waits for."""
        room: WaitingRoom[str] = WaitingRoom(5, 100)
        self.assertIsNone(room.call("m"))
        room.enter(a_ticket(model="n"))
        self.assertIsNone(room.call("m"))
        self.assertEqual((room.waiting_for("m"), room.waiting_for("n"), room.models), (0, 1, ["n"]))

    def test_one_tenant_in_its_order(self) -> None:
        """Whatever the sizes."""
        room: WaitingRoom[str] = WaitingRoom(50, 1 << 30)
        for number in range(20):
            room.enter(a_ticket(str(number), size=(number % 5) * QUANTUM))
        self.assertEqual(called(room), [str(number) for number in range(20)])

    def test_classes(self) -> None:
        """All of a higher one before any of a lower one, whenever it came and whatever it weighs."""
        room: WaitingRoom[str] = WaitingRoom(50, 1 << 30)
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            for tenant in TENANTS:
                room.enter(a_ticket(priority.name, priority=priority, tenant=tenant, size=3 * QUANTUM))
        self.assertEqual(called(room), ["HIGH"] * 3 + ["NORMAL"] * 3 + ["LOW"] * 3)

    def test_who_comes_back_is_behind_the_others(self) -> None:
        """Of its tenant, as if it had never been there."""
        room: WaitingRoom[str] = WaitingRoom(50, 1 << 30)
        first, second = a_ticket("first"), a_ticket("second")
        room.enter(first)
        room.enter(second)
        room.leave(first)
        room.enter(first)
        self.assertEqual(called(room), ["second", "first"])


class FairnessTests(SynchronousTestCase):
    """Neither many requests nor long ones give a tenant more than its part."""

    def before_single(self, flood: list[int], size: int, served: int = 0) -> list[int]:
        """One tenant has all these waiting, of which some have been called; then another tenant's single one comes.

        @return: sizes of what is called before that one.
        """
        room: WaitingRoom[str] = WaitingRoom(10000, 1 << 40)
        for each in flood:
            room.enter(a_ticket(str(each), size=each))
        for _ in range(served):
            room.call("m")
        room.enter(a_ticket("single", tenant="b", size=size))
        order = called(room)
        return [int(each) for each in order[: order.index("single")]]

    def test_many_small_ones(self) -> None:
        """A hundred of a few bytes: four go before the other's single one, however small they are."""
        for size in (0, 1, 200, LEAST):
            self.assertLessEqual(len(self.before_single([size] * 100, 200)), QUANTUM // LEAST)

    def test_long_ones(self) -> None:
        """A request of a megabyte is not called before a small one of another's, unless its tenant had nobody beside it."""
        self.assertEqual(self.before_single([1 << 20] * 10, 200), [])

    @given(
        st.lists(SIZES, min_size=1, max_size=100), st.sampled_from((0, 1, LEAST, QUANTUM)), st.integers(0, 50)
    )  # fmt: skip
    def test_delay_of_a_single_one(self, flood: list[int], size: int, served: int) -> None:
        """That fits a turn: no more than one turn of the other tenant's, by what its requests cost, whatever it had
        already been given while it was alone."""
        before = self.before_single(flood, size, min(served, len(flood) - 1))
        self.assertLessEqual(sum(max(each, LEAST) for each in before), QUANTUM)

    @given(st.integers(2, 9), st.integers(0, 60), st.sampled_from((0, 1000, LEAST, 5000, QUANTUM)))
    def test_delay_by_several_tenants(self, tenants: int, served: int, size: int) -> None:
        """One turn of each, and what was left of the one before, whoever is in the middle of its own when the single
        one comes: less than a request more."""
        room: WaitingRoom[str] = WaitingRoom(10000, 1 << 40)
        for _ in range(40):
            for tenant in range(tenants):
                room.enter(a_ticket(str(tenant), tenant=str(tenant), size=size))
        for _ in range(served):
            room.call("m")
        room.enter(a_ticket("single", tenant="b", size=QUANTUM))
        order = called(room)
        before = Counter(order[: order.index("single")])
        self.assertLess(max(before.values(), default=0) * max(size, LEAST), QUANTUM + max(size, LEAST))

    @given(st.lists(SIZES, min_size=60, max_size=60), st.lists(SIZES, min_size=60, max_size=60))
    def test_even_by_bytes(self, of_a: list[int], of_b: list[int]) -> None:
        """While both have some waiting, what has been called of each differs by no more than a turn and one request
        (Shreedhar and Varghese, lemma 2)."""
        room: WaitingRoom[str] = WaitingRoom(10000, 1 << 40)
        for tenant, sizes in (("a", of_a), ("b", of_b)):
            for size in sizes:
                room.enter(a_ticket(tenant, tenant=tenant, size=size))
        left, used = {"a": 60, "b": 60}, {"a": 0, "b": 0}
        sizes_of = {"a": iter(of_a), "b": iter(of_b)}
        while all(left.values()):
            ticket = room.call("m")
            assert ticket is not None
            owner = ticket.owner
            left[owner] -= 1
            used[owner] += min(max(next(sizes_of[owner]), LEAST), 16 * QUANTUM)
            self.assertLessEqual(abs(used["a"] - used["b"]), 2 * 16 * QUANTUM + QUANTUM)

    def test_a_thousand_tenants_with_long_ones(self) -> None:
        """Whoever is called is found in a bounded number of turns."""
        room: WaitingRoom[str] = WaitingRoom(10000, 1 << 40)
        for tenant in range(1000):
            room.enter(a_ticket(str(tenant), tenant=str(tenant), size=1 << 30))
        self.assertEqual(sorted(map(int, called(room))), list(range(1000)))


class RoomMachine(RuleBasedStateMachine):
    """Anyone enters, leaves and is called in any order, beside a list of who is in."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.max_requests, self.max_bytes = 12, 60 * QUANTUM
        self.room: WaitingRoom[str] = WaitingRoom(self.max_requests, self.max_bytes)
        self.inside: list[Ticket[str]] = []

    @rule(
        target=tickets,
        model=st.sampled_from(MODELS),
        priority=st.sampled_from(Priority),
        tenant=st.sampled_from(TENANTS),
        size=SIZES,
    )
    def enter(self, model: str, priority: Priority, tenant: str, size: int) -> Ticket[str]:
        ticket = a_ticket(model=model, priority=priority, tenant=tenant, size=size)
        fits = len(self.inside) < self.max_requests and self.bytes + size <= self.max_bytes
        assert self.room.enter(ticket) == fits
        if fits:
            self.inside.append(ticket)
        return ticket

    @rule(ticket=consumes(tickets))
    def leave(self, ticket: Ticket[str]) -> None:
        if ticket in self.inside:
            self.inside.remove(ticket)
            self.room.leave(ticket)

    @rule(model=st.sampled_from(MODELS))
    def call(self, model: str) -> None:
        ticket = self.room.call(model)
        waiting = [each for each in self.inside if each.model == model]
        if ticket is None:
            assert not waiting
            return
        assert ticket in waiting
        assert ticket.priority == min(each.priority for each in waiting)
        ahead = [each for each in waiting if (each.priority, each.tenant) == (ticket.priority, ticket.tenant)]
        assert ahead[0] is ticket
        self.inside.remove(ticket)

    @rule(max_requests=st.integers(0, 12), quanta=st.integers(0, 60))
    def configure(self, max_requests: int, quanta: int) -> None:
        self.max_requests, self.max_bytes = max_requests, quanta * QUANTUM
        self.room.configure(self.max_requests, self.max_bytes)

    @property
    def bytes(self) -> int:
        return sum(ticket.size for ticket in self.inside)

    @invariant()
    def agrees(self) -> None:
        """Nothing drifts."""
        room = self.room
        assert (room.count, room.bytes) == (len(self.inside), self.bytes)
        assert sorted(map(id, room)) == sorted(map(id, self.inside))
        assert set(room.models) == {ticket.model for ticket in self.inside}
        for model in MODELS:
            assert room.waiting_for(model) == sum(ticket.model == model for ticket in self.inside)

    def teardown(self) -> None:
        """Everyone can be called, and then nothing is left."""
        for model in MODELS:
            while self.room.call(model) is not None:
                pass
        assert (self.room.count, self.room.bytes, self.room.models, list(self.room)) == (0, 0, [], [])


class MachineTests(SynchronousTestCase):
    """The room, whoever comes and goes."""

    def test_any_sequence(self) -> None:
        """Of so many steps, as many times."""
        run_state_machine_as_test(RoomMachine, settings=settings(max_examples=100, stateful_step_count=40))
