"""What the operator sees, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import re
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.failures import Misused, Refused
from aibrix_twisted.ctl.screen import Screen, plain, table


class Terminal(io.StringIO):
    """Says that somebody looks."""

    def isatty(self) -> bool:
        return True


def shown(why: str = "not there", *, terminal: bool) -> str:
    """A small table with a colour."""
    stream = Terminal() if terminal else io.StringIO()
    made = table(("NAME", "WHY"), [("[::1]:8000", (why, "red"))], folded=frozenset({"WHY"}))
    Screen(stream, io.StringIO(), as_json=False).answer("{}", made)
    return stream.getvalue()


class TableTests(SynchronousTestCase):
    """Tables."""

    def setUp(self) -> None:
        self.patch_environment(
            {"TERM": "xterm", "COLUMNS": "130"}, without=("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
        )

    def patch_environment(self, values: dict[str, str], without: tuple[str, ...] = ()) -> None:
        """What rich looks at."""
        patched = mock.patch.dict("os.environ", values)
        patched.start()
        self.addCleanup(patched.stop)
        for name in without:
            os.environ.pop(name, None)

    def test_on_a_terminal(self) -> None:
        """Colours, and a column that is too long in several lines; a name is not taken for markup."""
        text = shown("not there, " * 20, terminal=True)
        self.assertIn("\x1b[31m", text)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        self.assertGreater(len(lines), 2)
        self.assertTrue(lines[1].startswith("[::1]:8000  not"), lines)
        self.assertTrue(all(len(line) <= 130 for line in lines))

    def test_on_a_narrow_terminal(self) -> None:
        """Lines are broken by the terminal, and not every few letters by us."""
        self.patch_environment({"COLUMNS": "40"})
        text = shown("not there, " * 9, terminal=True)
        self.assertEqual(len(text.splitlines()), 2)

    def test_without_colour(self) -> None:
        """C{NO_COLOR} takes colours away, on a terminal too."""
        self.patch_environment({"NO_COLOR": "1"})
        self.assertNotIn("\x1b[31m", shown(terminal=True))

    def test_into_a_pipe(self) -> None:
        """No sign that steers, and one line a row."""
        lines = [line.rstrip() for line in shown("not there, " * 30 + ".", terminal=False).splitlines()]
        self.assertEqual(lines, ["NAME        WHY", "[::1]:8000  " + "not there, " * 30 + "."])


class PlainTests(SynchronousTestCase):
    """What engines say is not believed."""

    def test_nothing_steers_the_terminal(self) -> None:
        """What is not visible is spelled out; all scripts are."""
        self.assertEqual(str(plain("a\x1b[2Jb\r\n\x9bc\u202e")), "a\\x1b[2Jb\\r\\n\\x9bc\\u202e")
        self.assertEqual(str(plain("modèle-模型 [red]")), "modèle-模型 [red]")


class ScreenTests(SynchronousTestCase):
    """Who reads what."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    def screen(self, *, as_json: bool) -> Screen:
        """One that is read here."""
        return Screen(self.out, self.err, as_json=as_json)

    def test_for_people(self) -> None:
        """The sentence, and not the document."""
        self.screen(as_json=False).answer('{"a":1}', "done")
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("done\n", ""))

    def test_for_scripts(self) -> None:
        """The document as it is, one line's end after it, and not the sentence."""
        self.screen(as_json=True).answer('{"a": "[red]\t"}', "done")
        self.assertEqual(self.out.getvalue(), '{"a": "[red]\t"}\n')
        self.screen(as_json=True).answer("{}\n")
        self.assertTrue(self.out.getvalue().endswith("\n{}\n"))

    def test_errors(self) -> None:
        """Sentences on the standard error; the document, where there is one, where scripts read."""
        error = Refused("no", ["why " + "not " * 100], answer='{"error":{}}')
        self.screen(as_json=False).complain(error)
        self.assertEqual(self.out.getvalue(), "")
        self.assertEqual(self.err.getvalue().splitlines(), ["aibrixctl: no", "why " + "not " * 100])
        self.screen(as_json=True).complain(error)
        self.assertEqual(self.out.getvalue(), '{"error":{}}\n')

    def test_an_error_that_its_notes_say(self) -> None:
        """No line of ours before them."""
        self.screen(as_json=True).complain(Misused("", ["x.toml:1: a: b"]))
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", "x.toml:1: a: b\n"))

    def test_by_the_way(self) -> None:
        """A remark is in nobody's table."""
        self.screen(as_json=False).remark("problem: x")
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", "problem: x\n"))

    def test_a_reader_that_leaves(self) -> None:
        """C{aibrixctl --json replicas | true} ends without a traceback."""

        class Gone(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        screen = Screen(Gone(), self.err, as_json=True)
        ended = []
        screen._out.on_broken_pipe = lambda: ended.append(True)  # type: ignore[method-assign,assignment]
        screen.answer("{}")
        self.assertEqual(ended, [True])
