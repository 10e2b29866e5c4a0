"""What C{external-filter} says: which replicas may be asked, by their labels, in Kubernetes' language of selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from aibrix_twisted.domain.replica import Replica

#: More than that is nothing that a person wrote.
MAX_CHARACTERS: Final = 4096

_KEY: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?)?"
_TERM: Final = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})|(?P<key>{_KEY})"
    rf"(?:\s*(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|\s+(?P<verb>in|notin)\s*\((?P<set>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\))?)\s*"
)

_EXPECTED: Final = "expected terms such as rack=r1, rack!=r1, rack in (r1,r2), rack notin (r1), rack, !rack; and commas"

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]


class BadSelector(Exception):
    """It is none; says where it ceases to be one."""


class Selector(NamedTuple):
    """Terms that must all be true of a replica.

    @ivar said: as it was spelled.
    """

    said: str
    tests: tuple[Test, ...]

    def picks(self, replica: Replica) -> bool:
        """Whether the replica may be asked.  Its C{name} and its C{engine} are labels, too."""
        labels = {"name": replica.name, "engine": replica.engine, **replica.labels}
        return all(test(labels) for test in self.tests)


@lru_cache(maxsize=512)
def selector_of(text: str) -> Selector:
    """C{key=value}, C{key==value}, C{key!=value}, C{key in (a,b)}, C{key notin (a,b)}, C{key}, C{!key}; separated by
    commas.  C{!=} and C{notin} are true, too, of what has no such label.

    @raise BadSelector: it is not of this form.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadSelector(f"a selector of {len(text)} characters: expected {MAX_CHARACTERS} at most")
    tests, at = [], 0
    while True:
        term = _TERM.match(text, at)
        if term is None or (term.end() < len(text) and text[term.end()] != ","):
            wrong = text[at if term is None else term.end() :].strip()
            raise BadSelector(f"found {wrong[:60]!r} in {text[:200]!r}, {_EXPECTED}")
        tests.append(_test(term))
        if term.end() == len(text):
            return Selector(text, tuple(tests))
        at = term.end() + 1


def _test(term: re.Match[str]) -> Test:
    absent, key = term["absent"], term["key"]
    if absent is not None:
        return lambda labels: absent not in labels
    if term["sign"] is not None:
        wanted, equal = term["value"], term["sign"] != "!="
        return lambda labels: (labels.get(key) == wanted) is equal
    if term["verb"] is not None:
        among, within = frozenset(value.strip() for value in term["set"].split(",")), term["verb"] == "in"
        return lambda labels: (labels.get(key) in among) is within
    return lambda labels: key in labels
