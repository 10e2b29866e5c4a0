"""Listening sockets that this process was born with: of systemd (sd_listen_fds(3)), or of the process that started it.

Ours tells its children by C{AIBRIX_SOCKETS}: C{LISTEN_FDS} is meant for the process whose id C{LISTEN_PID} has, which
nobody knows before there is one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

import orjson
from twisted.internet.endpoints import _SystemdParser

#: Where a parent of ours says which descriptors are which sockets.
SOCKETS: Final = "AIBRIX_SOCKETS"

#: Begins what is said there of a socket that systemd opened; its name follows.
PASSED: Final = "systemd/"

#: Begins the name of a socket that we had systemd keep for us (C{FDSTORE}).
_STORED: Final = "stored-"


@dataclass(frozen=True, slots=True)
class Activated:
    """A socket that systemd opened.

    @ivar name: C{FileDescriptorName=}; else the unit's.
    """

    name: str
    descriptor: int


@dataclass(frozen=True, slots=True)
class Inheritance:
    """All of them.

    @ivar activated: in systemd's order.
    @ivar ours: by what they listen on, in our own spelling: descriptors of sockets that one of us opened before.
    @ivar stored: those of them that systemd keeps, if there is one: whoever opened them has told it to.
    """

    activated: tuple[Activated, ...] = ()
    ours: Mapping[str, int] = field(default_factory=dict)
    stored: frozenset[str] = frozenset()


def take_inheritance(environ: MutableMapping[str, str]) -> Inheritance:
    """What there is.  It is taken out of the environment: no other process has it."""
    handed = environ.pop(SOCKETS, "")
    if handed:
        pairs: list[tuple[str, int]] = orjson.loads(handed)
        for _, descriptor in pairs:
            os.set_inheritable(descriptor, False)
        activated = tuple(Activated(key.removeprefix(PASSED), at) for key, at in pairs if key.startswith(PASSED))
        ours = {key: at for key, at in pairs if not key.startswith(PASSED)}
        return Inheritance(activated, ours, frozenset(ours))
    found: list[Activated] = []
    ours = {}
    # Twisted reads it as it is imported, and takes it out of the environment.
    passed = _SystemdParser._sddaemon
    for name, descriptor in zip(passed._names, passed.inheritedDescriptors(), strict=True):
        if not _listens(descriptor):
            continue
        os.set_inheritable(descriptor, False)
        if name.startswith(_STORED):
            ours[unquote(name.removeprefix(_STORED))] = descriptor
        else:
            found.append(Activated(name, descriptor))
    environ.pop("LISTEN_FDNAMES", None)
    return Inheritance(tuple(found), ours, frozenset(ours))


def handed_down(sockets: Sequence[tuple[str, int]]) -> str:
    """For C{AIBRIX_SOCKETS} of a child.

    @param sockets: what they listen on, or L{PASSED} and the name of one that systemd opened; descriptors in the child.
    """
    return orjson.dumps(sockets).decode()


def stored_name(key: str) -> str:
    """What systemd calls one of ours that it keeps: up to 255 characters without colons."""
    return (_STORED + quote(key, safe=""))[:255]


def _listens(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
