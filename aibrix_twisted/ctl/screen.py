"""What the operator sees: tables and sentences for people, documents for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from aibrix_twisted.ctl.failures import CommandError

#: Where nobody looks no line is broken: C{grep} and C{awk} read them.
_UNBOUND: Final = 1 << 20

#: A narrower terminal breaks lines itself: columns of four letters are read by nobody.
_LEAST: Final = 120

#: A cell: what it says, or that with a style.
Cell = str | tuple[str, str]


class Screen:
    """The standard output and the standard error.  Colours only on a terminal, and not where C{NO_COLOR} is set."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool) -> None:
        """
        @param as_json: documents are shown, and what is for people is not.
        """
        self._stream = out
        self._out = _console(out)
        self._err = _console(err)
        self._as_json = as_json

    def answer(self, text: str, *for_people: str | RenderableType) -> None:
        """What came of a command.

        @param text: the document, shown as it is.
        """
        if self._as_json:
            self._document(text)
            return
        for shown in for_people:
            if isinstance(shown, str | Text):
                self._out.print(plain(shown) if isinstance(shown, str) else shown, soft_wrap=True)
            else:
                self._out.print(shown)

    def terminal(self) -> Console | None:
        """The terminal in its own size, for what fills it; C{None}: there is none, or documents are wanted."""
        if self._as_json or not self._stream.isatty():
            return None
        return Console(file=self._stream, highlight=False, markup=False, emoji=False)

    def beside(self) -> Console:
        """Where what is no answer is shown."""
        return self._err

    def remark(self, text: str) -> None:
        """Something by the way.  It is not on the standard output, so that it is in nobody's table."""
        self._err.print(plain(text, "yellow"), soft_wrap=True)

    def complain(self, error: CommandError) -> None:
        """Say why a command did not do what was asked."""
        if error.answer and self._as_json:
            self._document(error.answer)
        if str(error):
            self._err.print(plain(f"aibrixctl: {error}", "bold red"), soft_wrap=True)
        for note in error.notes:
            self._err.print(plain(note), soft_wrap=True)

    def _document(self, text: str) -> None:
        try:
            self._out.file.write(text if text.endswith("\n") else f"{text}\n")
            self._out.file.flush()
        except BrokenPipeError:
            self._out.on_broken_pipe()


def _console(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, _LEAST) if stream.isatty() else _UNBOUND
    return console


def plain(text: str, style: str = "") -> Text:
    """Text in which nothing steers a terminal: engines choose the names of models, and write errors."""
    return Text("".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text), style)


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], *, folded: frozenset[str]) -> Table:
    """Columns without lines between them.

    @param folded: the columns that may take several lines where the terminal is narrow.
    """
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in head:
        made.add_column(name, no_wrap=name not in folded, overflow="fold")
    for row in rows:
        made.add_row(*(plain(cell) if isinstance(cell, str) else plain(*cell) for cell in row))
    return made
