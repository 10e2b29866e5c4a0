"""What was wrong with a message, without what was in it: that may be a prompt, an answer, or a key."""

from __future__ import annotations

_EXPECTED = ": expected "


def unquoted(said: str, kind: str) -> str:
    """A parser's sentence as logs may have it.

    @param said: what was found, and what was expected.
    @param kind: what it is about, in a word.
    """
    _, mark, expected = said.rpartition(_EXPECTED)
    if mark:
        return f"expected {expected} [{kind}]"
    quotes = "'" in said or '"' in said
    return f"not what was expected [{kind}]" if quotes else f"{said} [{kind}]"
