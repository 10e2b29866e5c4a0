"""What may be asked of DNS, and whom: a name and a name server, as settings say them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

#: Service names have labels that begin with an underscore.  Other scripts are written as C{xn--…}.
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

_SERVER: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?")

_MAX_NAME: Final = 253
_DNS_PORT: Final = 53


def dns_name(text: str) -> bytes:
    """A name as it is asked for and compared: in small letters, without a dot at its end.

    @raise ValueError: it cannot be a name; says what was expected.
    """
    name = text.lower().removesuffix(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("expected a name such as gpu.example.org or _vllm._tcp.gpu.example.org")
    return name.encode("ascii")


def name_server(text: str) -> tuple[str, int]:
    """A name server's address, spelled as the system does, and its port.

    @raise ValueError: it is neither C{192.0.2.1[:53]} nor C{[2001:db8::1][:53]}; says so.
    """
    match = _SERVER.fullmatch(text)
    if match is not None:
        port = int(match["port"] or _DNS_PORT)
        try:
            address = ip_address(match["v6"] or match["v4"])
        except ValueError:
            pass
        else:
            if 0 < port < 65536 and address.version == (6 if match["v6"] else 4):
                return str(address), port
    raise ValueError("expected a name server's address such as 192.0.2.1:53 or [2001:db8::1]:53")
