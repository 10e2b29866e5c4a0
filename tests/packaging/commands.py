"""The commands that pages of Markdown show, as a shell would take them apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePath
from urllib.parse import urlsplit

_SHELL = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")

#: Between two commands.
_BETWEEN = frozenset({"&&", "||", "|", ";"})

#: Programs of which the first word that is no option says what they do.
_WITH_VERB = frozenset({"aibrixctl", "docker", "pip", "systemctl", "twistd"})


def commands(page: str) -> Iterator[list[str]]:
    """The words of each, without what a shell keeps for itself: variables before it, redirections, loops, comments."""
    for _, block in _SHELL.findall(page):
        for line in _lines(block):
            for words in _split(line):
                while words and (words[0] == "do" or _ASSIGNMENT.match(words[0])):
                    del words[0]
                if words and words[0] not in ("for", "done"):
                    yield words


def _lines(block: str) -> Iterator[str]:
    """A line goes on after a backslash, and within quotes."""
    so_far = ""
    for line in block.splitlines(keepends=True):
        so_far += line
        try:
            words = shlex.split(so_far, comments=True)
        except ValueError:  # no closing quotation, or nothing after a backslash
            continue
        if so_far.endswith("\\\n"):
            continue
        if words:
            yield so_far
        so_far = ""
    if so_far:
        raise ValueError(f"{so_far!r} has no end")


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for word in lexer:
        if word in _BETWEEN:
            yield words
            words = []
        elif word == ">":
            redirected = True
        elif redirected:
            redirected = False
        else:
            words.append(word)
    yield words


def program(words: list[str]) -> str:
    """Its name, wherever it is."""
    name = PurePath(words[0]).name
    return "python" if name == "python3" else name


def keys(words: list[str]) -> list[str]:
    """What it is called in commands.txt; C{make} may do several things."""
    name = program(words)
    plain = [word for word in words[1:] if not word.startswith("-")]
    if name == "make":
        return [f"make {word}" for word in plain if "=" not in word]
    if name == "python":
        return [f"python -m {words[words.index('-m') + 1]}"]
    if name == "curl":
        return [f"curl {urlsplit(url_of(words)).path}"]
    return [f"{name} {plain[0]}"] if name in _WITH_VERB else [name]


def url_of(words: list[str]) -> str:
    """The one that C{curl} is given; it takes C{http://} for granted."""
    (url,) = (word for word in words if "127.0.0.1:" in word)
    return url if "://" in url else f"http://{url}"
