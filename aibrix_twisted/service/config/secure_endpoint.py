"""C{ssl:} endpoint strings: what of them is an endpoint, and what is of TLS."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from twisted.internet.endpoints import quoteStringArgument

from aibrix_twisted.domain.settings import CertificateSettings, Settings

_PREFIX: Final = "ssl:"

#: Arguments between colons that no backslash precedes.
_ARGUMENT: Final = re.compile(r"(?:[^:\\]|\\.)*")

#: What a plain endpoint takes, too.
_PLAIN: Final = frozenset({"port", "interface", "backlog"})


class Door(NamedTuple):
    """One listener.

    @ivar said: as the settings have it.
    @ivar endpoint: the same as a Twisted endpoint without TLS.
    @ivar secure: TLS is spoken on it.
    @ivar certificate: its own; C{None}: those of C{[tls]}.
    """

    said: str
    endpoint: str
    secure: bool
    certificate: CertificateSettings | None = None


def door(said: str) -> Door:
    """A member of C{listen}, or C{admin}.

    @raise ValueError: it begins with C{ssl:}, and goes on with something else than was expected.
    """
    if not said.startswith(_PREFIX):
        return Door(said, said, secure=False)
    plain: list[str] = []
    own: dict[str, str] = {}
    for number, argument in enumerate(_arguments(said[len(_PREFIX) :])):
        name, mark, value = argument.partition("=")
        if not mark:
            name, value = ("port", name) if not number else ("interface", name)
        if name in _PLAIN:
            plain.append(quoteStringArgument(value) if name == "port" else f"{name}={quoteStringArgument(value)}")
        elif name in ("privateKey", "certKey", "extraCertChain"):
            own[name] = value
        else:
            expected = "port, interface, backlog, privateKey, certKey or extraCertChain"
            raise ValueError(f"{name!r} in it, expected {expected}")
    if own and "privateKey" not in own:
        raise ValueError(f"{', '.join(own)} without privateKey")
    certificate = None
    if own:
        key = own["privateKey"]
        certificate = CertificateSettings(cert=own.get("certKey", key), key=key, chain=own.get("extraCertChain", ""))
    return Door(said, ":".join(("tcp", *plain)), secure=True, certificate=certificate)


def doors(settings: Settings) -> list[Door]:
    """Every listener for clients."""
    return [door(said) for said in settings.listen] + [Door(said, said, secure=True) for said in settings.tls.listen]


def _arguments(text: str) -> list[str]:
    found, at = [], 0
    while True:
        match = _ARGUMENT.match(text, at)
        assert match is not None  # it matches nothing, too
        found.append(re.sub(r"\\(.)", r"\1", match[0]))
        at = match.end()
        if at >= len(text):
            return found
        at += 1
