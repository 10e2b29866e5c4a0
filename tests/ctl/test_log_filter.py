"""Which lines are wanted."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.log_filter import Filter, filter_of, record_of
from aibrix_twisted.ctl.options import parse
from tests.service.telemetry.test_record import record_of as record_of_exchange
from tests.service.telemetry.test_record import served


def a_record(**more: Any) -> dict[str, Any]:
    """A line of the gateway's."""
    return {**record_of_exchange(served()), "model": "m", "replica": "gpu0", **more}


class FilterTests(SynchronousTestCase):
    """wants."""

    def test_each(self) -> None:
        """One that is such, and one that is not."""
        tried = [{"replica": "gpu1"}, {"replica": "gpu0"}]
        for wanted, yes, no in (
            (Filter(), {}, None),
            (Filter(since="2023-11-14T22:13:20.500Z"), {}, {"time": "2023-11-14T22:13:20.499Z"}),
            (Filter(request="x"), {}, {"id": "xx"}),
            (Filter(model="m"), {}, {"model": "mm"}),
            (Filter(replica="gpu1"), {"tries": tried}, {"tries": None}),
            (Filter(outcome="truncated"), {"outcome": "truncated"}, {}),
            (Filter(errors=True), {"status": 400}, {}),
            (Filter(errors=True), {"outcome": "abandoned"}, {}),
            (Filter(slow=True), {"slow": True}, {"status": 500}),
            (Filter(over_s=0.19), {"ttft_s": 0.199}, {"ttft_s": 0.18, "duration_s": 9.0}),
            (Filter(over_s=0.19), {"ttft_s": None, "duration_s": 9.0}, {"ttft_s": None, "duration_s": 0.1}),
            (Filter(errors=True, slow=True), {"slow": True}, {}),
            (Filter(errors=True, slow=True), {"status": 502}, {}),
            (Filter(errors=True, model="m"), {"status": 502}, {"status": 502, "model": "n"}),
        ):
            self.assertTrue(wanted.wants(a_record(**yes)), wanted)
            if no is not None:
                self.assertFalse(wanted.wants(a_record(**no)), wanted)

    def test_of_another_version(self) -> None:
        """With hardly anything in it."""
        self.assertTrue(Filter(errors=True).wants({"time": "2023", "id": "x"}))
        self.assertFalse(Filter(model="m", over_s=1.0).wants({"time": "2023", "id": "x"}))

    def test_of_options(self) -> None:
        """Each has its place; the time is as lines have it."""
        options = parse(
            ["logs", "--errors", "--slow", "--over", "2", "--request", "x", "--model", "m", "--replica", "r",
             "--outcome", "refused"], {},
        )  # fmt: skip
        self.assertEqual(
            filter_of(options, 1700000000.5),
            Filter("2023-11-14T22:13:20.500Z", "x", "m", "r", "refused", errors=True, slow=True, over_s=2.0),
        )
        self.assertEqual(filter_of(parse(["logs"], {}), None), Filter())
        self.assertEqual(filter_of(parse(["logs"], {}), 1700000000.0).since, "2023-11-14T22:13:20.000Z")


class LineTests(SynchronousTestCase):
    """record_of."""

    def test_what_is_one(self) -> None:
        """And all else that may stand between."""
        record = a_record()
        self.assertEqual(record_of(orjson.dumps(record) + b"\n"), record)
        for line in (b"", b"\n", b"2026-01-01 [-] serving", b"{", b"{}", b"[1]", b'{"time":1,"id":"x"}', b'{"id":"x"}'):
            self.assertIsNone(record_of(line), line)
