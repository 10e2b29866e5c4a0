"""Which headers of a message go from one connection to the next."""

from __future__ import annotations

from typing import Final

Fields = dict[bytes, bytes]
Headers = list[tuple[bytes, bytes]]

#: Meant for one connection only (RFC 9110 §7.6.1), and those that frame a message, which are each side's own.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

#: Of a request.  Ours to set or to read, so never a client's to send on.  C{accept-encoding} goes because a coded
#: answer could not be judged.
NOT_SENT_ON: Final = HOP_BY_HOP | frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"config-profile",
        b"content-length",
        b"expect",
        b"external-filter",
        b"forwarded",
        b"host",
        b"routing-strategy",
        b"target-pod",
        b"user",
        b"via",
        b"x-original-url",
        b"x-real-ip",
        b"x-request-id",
        b"x-request-timeout",
        b"x-rewrite-url",
        b"x-user-id",
    }
)

#: Of a response.  Ours to set.
NOT_PASSED_ON: Final = HOP_BY_HOP | frozenset(
    {
        b"content-length",
        b"request-id",
        b"routing-strategy",
        b"x-request-id",
    }
)

#: And all that begins so: what is said by a gateway is said by this one.
OURS: Final = (b"x-aibrix-", b"x-forwarded-", b"x-gateway-")

_NAMES_NOTHING: Final = frozenset({b"keep-alive", b"close"})


def options_of(value: bytes) -> frozenset[bytes]:
    """The members of a comma-separated list such as C{Connection}, in lower case."""
    return frozenset(option.strip().lower() for option in value.split(b",")) - {b""}


def onward(headers: Headers, fields: Fields, own: frozenset[bytes]) -> bytes:
    """The lines, each with its line end, that go on to the other side.

    Left out are those that C{Connection} names, those in C{own}, those that begin as L{OURS} do, and what is spelled as
    any of these, or as another that is there, but for C{_} in the place of C{-}: some readers take it for the same.

    @param own: lower case, L{HOP_BY_HOP} among them.
    """
    named = fields.get(b"connection")
    if named is not None and named.lower() not in _NAMES_NOTHING:
        own = own | options_of(named)
    kept = [header for header in headers if (name := header[0].lower()) not in own and not name.startswith(OURS)]
    if b"_" in b"".join(fields):
        kept = [header for header in kept if not _shadows(header[0].lower(), fields, own)]
    return b"".join([b"%b: %b\r\n" % header for header in kept])


def _shadows(name: bytes, fields: Fields, own: frozenset[bytes]) -> bool:
    plain = name.replace(b"_", b"-")
    return plain != name and (plain in own or plain in fields or plain.startswith(OURS))
