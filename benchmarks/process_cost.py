"""What a process and its children used: CPU in nanoseconds, memory in bytes.  From C{/proc}; Linux."""

from __future__ import annotations

from pathlib import Path


def tree(pid: int) -> list[int]:
    """The process and everything it started."""
    pids = [pid]
    for parent in pids:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                pids += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            continue
    return pids


def cpu_ns(pid: int) -> int:
    """Time on a CPU so far, of all threads of all processes of the tree."""
    total = 0
    for one in tree(pid):
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue
    return total


def pss_bytes(pid: int) -> int:
    """Memory of the tree, what is shared counted in proportion."""
    total = 0
    for one in tree(pid):
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except FileNotFoundError:
            continue
    return total
