"""C{python -m tests.simulation SEED}: one run and its timeline; C{FIRST-LAST}: many, and those that fail."""

from __future__ import annotations

import sys

from tests.simulation.run import replay, soak


def main(argument: str) -> int:
    """@return: the exit code."""
    first, mark, last = argument.partition("-")
    if not mark:
        return replay(int(first))
    return soak(range(int(first), int(last) + 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
