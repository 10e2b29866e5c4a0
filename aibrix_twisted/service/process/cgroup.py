"""How much of the memory that the system grants this process is in use (cgroup v2)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def memory_groups(cgroups: Path = _CGROUPS, own: Path = _OWN) -> tuple[Path, ...]:
    """The groups that bound this process, its own and those around it; none where the system has no cgroups v2."""
    try:
        lines = own.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return ()
    paths = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    if len(paths) != 1:
        return ()
    group = cgroups / paths[0]
    around = (group, *(parent for parent in group.parents if parent == cgroups or cgroups in parent.parents))
    return tuple(each for each in around if (each / "memory.max").is_file())


def memory_share(groups: tuple[Path, ...]) -> float:
    """What is in use of what is granted, in the group that has least left; 0 where nothing is bounded.

    Of files' pages those that were not used lately are left out, as the kubelet does it: the system takes them back
    before it kills anybody.
    """
    return max(map(_share, groups), default=0.0)


def _share(group: Path) -> float:
    try:
        most = (group / "memory.max").read_text("ascii").strip()
        if not most.isdigit() or not int(most):  # "max"
            return 0.0
        used = int((group / "memory.current").read_text("ascii"))
        stat = (group / "memory.stat").read_text("ascii")
    except (OSError, ValueError):
        return 0.0
    for line in stat.splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file" and value.isdigit():
            used -= int(value)
    return max(0.0, used / int(most))
