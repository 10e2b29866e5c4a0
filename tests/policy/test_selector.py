"""Label selectors, as Kubernetes has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.selector import BadSelector, selector_of
from tests.policy.fleet import fleet


class PickTests(SynchronousTestCase):
    """What each form picks."""

    def setUp(self) -> None:
        self.replicas = fleet(3)
        for replica, labels in zip(
            self.replicas, ({"rack": "r1", "gpu": "a100"}, {"rack": "r2", "spot": ""}, {}), strict=True
        ):
            replica.labels = labels
        self.replicas[1].engine = "vllm"

    def picked(self, text: str) -> str:
        """The numbers of those."""
        return "".join(str(replica.port) for replica in self.replicas if selector_of(text).picks(replica))

    def test_forms(self) -> None:
        """Equality, sets, presence; several terms; what is not there is not equal to anything."""
        for text, picked in (
            ("rack=r1", "0"), ("rack==r1", "0"), ("rack = r1", "0"), ("rack!=r1", "12"), ("rack in (r1,r2)", "01"),
            ("rack in ( r1 , r9 )", "0"), ("rack notin (r1)", "12"), ("rack", "01"), ("!rack", "2"), ("! rack", "2"),
            ("rack=r1,gpu=a100", "0"), ("rack,!gpu", "1"), (" rack , gpu != h100 ", "01"), ("spot=", "1"),
            ("spot in ()", "1"), ("name=r2", "2"), ("engine=vllm", "1"), ("name in (r0,r2),rack", "0"),
            ("rack notin (r1,r2),!spot", "2"),
        ):  # fmt: skip
            self.assertEqual(self.picked(text), picked, text)

    def test_a_label_of_its_own_wins(self) -> None:
        """Over its name and its engine."""
        self.replicas[0].labels = {"name": "other", "example.org/zone": "eu-1.a"}
        self.assertEqual(self.picked("name=other"), "0")
        self.assertEqual(self.picked("example.org/zone=eu-1.a"), "0")

    def test_wrong(self) -> None:
        """Each says where it ceases to be one."""
        for text, found in (
            ("rack=r1,", "''"), ("=r1", "'=r1'"), ("rack=r1 gpu=b", "'gpu=b'"), ("rack in r1", "'in r1'"),
            ("rack in (r1", "'in (r1'"), ("rack=r1,,gpu", "',gpu'"), ("rack=>r1", "'>r1'"), ("a b", "'b'"),
            ("!", "'!'"), ("rack~r1", "'~r1'"), ("x" * 5000, "5000 characters"),
        ):  # fmt: skip
            error = self.assertRaises(BadSelector, selector_of, text)
            self.assertIn(found, str(error), text)

    @given(st.text(alphabet="ab-=!,() in.", max_size=60))
    def test_nothing_else_is_raised(self, text: str) -> None:
        """Whatever it is, and however it is nested."""
        try:
            selector_of(text).picks(fleet(1)[0])
        except BadSelector:
            pass
