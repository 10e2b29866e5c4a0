"""The model of an engine."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.replay.engine import Engine, Job, Speed
from aibrix_twisted.replay.trace import Arrival
from tests.replay.trace import arrival

#: A thousand tokens of prompts a second; ten of an answer, and each one beside it takes a tenth of a second more.
SPEED = Speed(1000.0, 0.1, 0.1)


class EngineTestCase(SynchronousTestCase):
    """One engine."""

    def run_all(self, *arrivals: Arrival, cache: int = 100) -> list[Job]:
        """Let it serve these."""
        engine = self.engine = Engine(SPEED, cache)
        jobs = [Job(number, one, one.at) for number, one in enumerate(arrivals)]
        waiting = list(jobs)
        while waiting or engine.next_at < float("inf"):
            if waiting and waiting[0].given <= engine.next_at:
                engine.give(waiting[0], waiting.pop(0).given)
            else:
                engine.step()
        return jobs


class ReadTests(EngineTestCase):
    """Prompts."""

    def test_one_after_the_other(self) -> None:
        """Each takes as long as its tokens."""
        jobs = self.run_all(arrival(0.0, tokens=1000), arrival(0.5, tokens=500), arrival(9.0, tokens=100))
        self.assertEqual([round(job.first, 6) for job in jobs], [1.0, 1.5, 9.1])

    def test_its_cache(self) -> None:
        """What it has read before it need not read again, but for one token."""
        jobs = self.run_all(arrival(0.0, 1, 2), arrival(5.0, 1, 2, 3), arrival(9.0, 1, 2), arrival(20.0, 9, 2))
        self.assertEqual([job.cached for job in jobs], [0, 1024, 1023, 0])
        self.assertAlmostEqual(jobs[1].first, 5.512)

    def test_the_least_recently_used_goes(self) -> None:
        """And a prompt's end before its beginning."""
        jobs = self.run_all(*(arrival(5.0 * n, *blocks) for n, blocks in enumerate(((1, 2), (3,), (1, 2)))), cache=2)
        self.assertEqual([job.cached for job in jobs], [0, 0, 512])


class MakeTests(EngineTestCase):
    """Answers."""

    def test_alone(self) -> None:
        """The first token comes with the prompt's end."""
        (job,) = self.run_all(arrival(0.0, tokens=1000, answer=11))
        self.assertEqual((job.first, round(job.ended, 6)), (1.0, 2.0))
        (job,) = self.run_all(arrival(0.0, tokens=1000))
        self.assertEqual(job.ended, job.first)

    def test_side_by_side(self) -> None:
        """All are slower while there are more, and faster again."""
        one, other = self.run_all(arrival(0.0, tokens=0, answer=11), arrival(0.5, tokens=0, answer=101))
        self.assertAlmostEqual(one.ended, 0.5 + 5 * 0.2)
        self.assertAlmostEqual(other.ended, 1.5 + 95 * 0.1)


class MetricsTests(EngineTestCase):
    """What it says of itself."""

    def test_counters(self) -> None:
        """As an engine's."""
        self.run_all(arrival(0.0, tokens=1000, answer=11), arrival(0.0, tokens=1000, answer=1))
        said = self.engine.says(9.0)
        self.assertEqual((said.running, said.waiting, said.kv_usage), (0.0, 0.0, 0.0))
        self.assertEqual((said.prompt_tokens, said.generation_tokens, said.requests), (2000.0, 12.0, 2.0))
        self.assertEqual((said.queue_s, said.queue_n), (1.0, 2.0))

    def test_under_way(self) -> None:
        """What waits, what is read, and what of the cache is in use."""
        engine = Engine(SPEED, 10)
        for number in range(3):
            engine.give(Job(number, arrival(0.0, tokens=512), 0.0), 0.0)
        said = engine.says(0.0)
        self.assertEqual((said.running, said.waiting, said.kv_usage, said.kv_tokens), (1.0, 2.0, 0.1, 5120.0))
