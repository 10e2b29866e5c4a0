"""Who has seen which beginnings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prefix_index import Credit, PrefixIndex
from aibrix_twisted.domain.prompt import Prompt
from aibrix_twisted.domain.replica import Replica
from tests.policy.fleet import fleet, prompt, say, seen


class IndexTestCase(SynchronousTestCase):
    """Three replicas."""

    def setUp(self) -> None:
        self.replicas = fleet(3)
        self.index = PrefixIndex(1000, 100.0)

    def depths(self, text: bytes | str, index: PrefixIndex | None = None) -> list[int]:
        """What each has."""
        return (index or self.index).depths(prompt(text), self.replicas)

    def expect(self, text: bytes | str, place: int = 0, now: float = 0.0) -> Credit:
        """One is given this."""
        return self.index.expect(prompt(text), self.replicas[place], now)


class MatchTests(IndexTestCase):
    """AIBrix's C{Test_PrefixHashTableE2E}, and what it does not look at."""

    def test_aibrix(self) -> None:
        """Blocks of four bytes: whole ones count, from the first on, for whoever has them."""
        text = bytes(range(1, 14))
        self.expect(text[:9]).confirm(0.0)
        for query, depth in ((text[:7], 1), (text[:8], 2), (text[:13], 2), (text[4:13], 0), (b"", 0), (b"abc", 0)):
            self.assertEqual(self.depths(query), [depth, 0, 0], query)
        other = PrefixIndex(1000, 100.0)
        seen(other, self.replicas[0], text)
        seen(other, self.replicas[1], text[:8])
        self.assertEqual(self.depths(text, other), [3, 2, 0])

    def test_a_gap_ends_it(self) -> None:
        """Who lacks a block has nothing of what follows, though it has seen it in another prompt's place."""
        seen(self.index, self.replicas[0], "aaaabbbbcccc")
        seen(self.index, self.replicas[1], "aaaaxxxxcccc")
        self.assertEqual(self.depths("aaaabbbbcccc"), [3, 1, 0])

    def test_only_who_is_asked_about(self) -> None:
        """Whoever is no candidate does not count, whoever he is."""
        seen(self.index, self.replicas[0], "aaaabbbb")
        self.assertEqual(self.index.depths(prompt("aaaabbbb"), self.replicas[1:]), [0, 0])


class CreditTests(IndexTestCase):
    """Given, answered, or not."""

    def test_expected_before_the_answer(self) -> None:
        """What comes with the same beginning goes where that is being computed."""
        self.expect("aaaabbbb")
        self.assertEqual(self.depths("aaaabbbb"), [2, 0, 0])
        self.assertEqual(self.index.kept, 0)

    def test_who_did_not_answer_has_nothing(self) -> None:
        """As if it had never been given; but for what others are to bring it."""
        first, second = self.expect("aaaabbbb"), self.expect("aaaacccc")
        first.drop()
        self.assertEqual(self.depths("aaaabbbb"), [1, 0, 0])
        second.drop()
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])

    def test_what_was_there_stays(self) -> None:
        """A prompt that failed takes nothing away of what its replica answered with before."""
        self.expect("aaaabbbb").confirm(0.0)
        self.expect("aaaabbbbcccc").drop()
        self.assertEqual(self.depths("aaaabbbbcccc"), [2, 0, 0])

    def test_both_of_a_burst_fail(self) -> None:
        """Nothing is left, in whatever order."""
        credits = [self.expect("aaaabbbb") for _ in range(3)]
        for credit in credits:
            credit.drop()
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])
        self.assertEqual(self.index._where, {})


class LifeTests(IndexTestCase):
    """A replica that is not the one it was."""

    def test_one_that_came_up_again_has_nothing(self) -> None:
        """Its engine has started anew, and so has what is known of it."""
        self.expect("aaaabbbb").confirm(0.0)
        self.replicas[0].health.rises += 1
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])
        self.expect("cccc").confirm(0.0)
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])
        self.assertEqual(self.depths("cccc"), [1, 0, 0])

    def test_one_whose_counters_began_anew(self) -> None:
        """It was away for less than a probe."""
        say(self.replicas[0], 1.0, prompt_tokens=1000.0)
        self.expect("aaaabbbb").confirm(0.0)
        say(self.replicas[0], 2.0, prompt_tokens=10.0)
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])

    def test_what_the_dead_one_was_given(self) -> None:
        """Ends without a trace, though it ends well: that was another life."""
        late = self.expect("aaaabbbb")
        self.replicas[0].health.rises += 1
        self.expect("cccc").drop()
        late.confirm(0.0)
        self.assertEqual(self.depths("aaaabbbb"), [0, 0, 0])

    def test_its_memory_is_given_back(self) -> None:
        """A part at a time, as others come."""
        self.expect(bytes(4000)).confirm(0.0)
        self.index.forget("r0")
        for _ in range(4):
            self.expect("aaaa", 1).confirm(0.0)
        self.assertEqual(self.index.kept, 1)
        self.assertEqual(len(self.index._where), 1)


class BoundTests(IndexTestCase):
    """Memory is bounded."""

    def test_the_oldest_is_forgotten(self) -> None:
        """Of whoever has most; a prompt's end before its beginning."""
        self.index = PrefixIndex(4, 100.0)
        self.expect("aaaabbbbcccc").confirm(0.0)
        self.expect("dddd", 1).confirm(0.0)
        self.assertEqual(self.depths("aaaabbbbcccc"), [3, 0, 0])
        self.expect("eeee", 2).confirm(0.0)
        self.assertEqual(self.depths("aaaabbbbcccc"), [2, 0, 0])
        self.assertEqual(self.depths("dddd"), [0, 1, 0])
        self.assertEqual(self.index.kept, 4)

    def test_no_more_than_its_engine_keeps(self) -> None:
        """Where that says how large its cache is: three blocks of four bytes, which are three tokens."""
        self.index = PrefixIndex(1000, 100.0, 4)
        say(self.replicas[0], 0.0, kv_tokens=3.0)
        for text in ("aaaa", "bbbb", "cccc", "dddd"):
            self.expect(text).confirm(0.0)
            self.expect(text, 1).confirm(0.0)
        self.assertEqual([self.depths(text)[:2] for text in ("aaaa", "bbbb")], [[0, 1], [1, 1]])

    def test_use_keeps(self) -> None:
        """What is used again is as new."""
        self.index = PrefixIndex(3, 100.0)
        for text in ("aaaa", "bbbb", "cccc", "aaaa", "dddd"):
            self.expect(text).confirm(0.0)
        self.assertEqual([self.depths(text)[0] for text in ("aaaa", "bbbb", "cccc", "dddd")], [1, 0, 1, 1])

    def test_what_is_too_old(self) -> None:
        """Goes, whoever has it, when something else comes."""
        self.expect("aaaa", now=0.0).confirm(0.0)
        self.expect("bbbb", 1, now=50.0).confirm(50.0)
        self.expect("cccc", 2, now=101.0)
        self.assertEqual((self.depths("aaaa"), self.depths("bbbb")), ([0, 0, 0], [0, 1, 0]))

    def test_narrower_bounds(self) -> None:
        """Hold with the next that comes."""
        for text in ("aaaa", "bbbb", "cccc"):
            self.expect(text).confirm(0.0)
        self.index.configure(1, 100.0)
        self.expect("dddd").confirm(0.0)
        self.assertEqual(self.index.kept, 1)

    def test_a_thousand_names(self) -> None:
        """Replicas that come and go under ever new names leave nothing behind."""
        for number in range(1000):
            (replica,) = fleet(1)
            replica.name = f"pod-{number}"
            self.index.expect(prompt("aaaabbbb"), replica, number * 10.0).confirm(number * 10.0)
        self.assertLess(len(self.index._holders), 20)
        self.assertLess(max(self.index._where.values()).bit_length(), 20)

    def test_an_idle_holder_goes_before_its_request_ends(self) -> None:
        """What it answers then is not put down to whoever has its place."""
        self.index = PrefixIndex(1000, 5.0)
        self.expect("aaaa").confirm(0.0)
        late = self.expect("aaaa")
        self.expect("bbbb", 1, now=10.0).confirm(10.0)
        self.expect("cccc", 2, now=20.0).confirm(20.0)
        late.confirm(20.0)
        self.assertEqual([depth for depth in self.depths("aaaa")[1:] if depth], [])


class RestartTests(IndexTestCase):
    """Over a restart of the gateway."""

    def test_there_and_back(self) -> None:
        """Who has what, and in which order it is forgotten."""
        self.expect("aaaabbbb").confirm(1.0)
        self.expect("aaaa", 1).confirm(2.0)
        self.expect("cccc").drop()
        dumped = list(self.index.dump())
        self.assertEqual([name for name, _, _ in dumped], ["r0", "r1"])
        other = PrefixIndex(1000, 100.0)
        for name, hashes, used in dumped:
            other.restore(name, hashes, used)
        self.assertEqual(self.depths("aaaabbbb", other), [2, 1, 0])
        self.assertEqual(other.kept, 3)
        self.assertEqual(list(other.dump()), dumped)


_Step = tuple[int, int, int, bool]


class AnyOrderTests(SynchronousTestCase):
    """Whatever is given, answered, lost and restarted, in whatever order."""

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_bits_are_what_is_held(self, steps: list[_Step]) -> None:
        """Each bit is one that some replica keeps or is to bring, and the other way round; counts add up."""
        replicas: list[Replica] = fleet(3)
        index, open_credits, now = PrefixIndex(7, 3.0), [], 0.0
        for place, start, kind, well in steps:
            now += 0.5
            if kind == 0 and open_credits:
                credit = open_credits.pop(0)
                credit.confirm(now) if well else credit.drop()
            elif kind == 1:
                replicas[place].health.rises += well
            else:
                chain = [100 * start + step for step in range(start + 1)]
                open_credits.append(index.expect(Prompt(9, chain, range(1, 99)), replicas[place], now))
            holders = [*index._holders.values(), *index._retired]
            held = {(hash, holder.bit) for holder in holders for hash in (*holder.kept, *holder.coming)}
            bits = {(hash, 1 << at) for hash, mask in index._where.items() for at in range(9) if mask >> at & 1}
            self.assertEqual(bits, held)
            self.assertEqual(index.kept, sum(len(holder.kept) for holder in holders))
        for credit in open_credits:
            credit.drop()
        self.assertLessEqual(index.kept, 7)
