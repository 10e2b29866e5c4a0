"""The exchanges that can be asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.telemetry.book import Book


def exchange(id: str, accepted: float = 1.0) -> Exchange:
    return Exchange(id, "192.0.2.7", "POST", "/v1/completions", "completions", Stamps(accepted))


class BookTests(SynchronousTestCase):
    """Under way, then past, then forgotten."""

    def test_from_one_list_to_the_other(self) -> None:
        """Each exchange is on one of them."""
        book, one = Book(), exchange("a")
        book.begun(one)
        self.assertEqual((book.current, list(book.past), book.ended), ({one}, [], 0))
        book.over(one)
        self.assertEqual((book.current, list(book.past), book.ended), (set(), [one], 1))

    def test_over_twice(self) -> None:
        """That would be a defect, and is not hidden."""
        book, one = Book(), exchange("a")
        book.begun(one)
        book.over(one)
        self.assertRaises(KeyError, book.over, one)

    def test_past_is_bounded(self) -> None:
        """The oldest is forgotten first."""
        book = Book(kept=3)
        for number in range(5):
            each = exchange(str(number))
            book.begun(each)
            book.over(each)
        self.assertEqual([each.id for each in book.past], ["2", "3", "4"])
        self.assertIsNone(book.find("1"))

    def test_of_two_with_one_id_the_newer_is_found(self) -> None:
        """Whether they are over or not."""
        book = Book()
        old, new = exchange("a", 1.0), exchange("a", 2.0)
        book.begun(old)
        book.begun(new)
        self.assertIs(book.find("a"), new)
        book.over(new)
        self.assertIs(book.find("a"), new)

    def test_since(self) -> None:
        """What has ended since one last looked, as far as it is kept."""
        book = Book(kept=3)
        self.assertEqual(book.since(0), [])
        for number in range(5):
            each = exchange(str(number))
            book.begun(each)
            book.over(each)
        self.assertEqual([each.id for each in book.since(4)], ["4"])
        self.assertEqual([each.id for each in book.since(0)], ["2", "3", "4"])
        self.assertEqual(book.since(5), [])
