"""A client's first words in TLS, byte by byte: what no library offers any more has to be written by hand.

RFC 5246 §7.4.1 (ClientHello, ServerHello), §7.2 (alerts); RFC 6520 (heartbeats); RFC 6101 and the SSL 2.0 draft for what is
older than that.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

#: What nobody should take, by the registry's numbers.
WEAK = {
    "NULL": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010, 0x00B4),
    "EXPORT": (0x0003, 0x0006, 0x0008, 0x0014, 0x0062, 0x0064),
    "anonymous": (0x0018, 0x001B, 0x0034, 0x003A, 0x006C, 0x00A6, 0xC018, 0xC019),
    "RC4": (0x0004, 0x0005, 0xC007, 0xC011),
    "DES": (0x0009, 0x000C, 0x0015, 0x001A),
    "3DES": (0x000A, 0x0016, 0xC008, 0xC012),
    "IDEA, SEED, CAMELLIA, ARIA": (0x0007, 0x0096, 0x0041, 0x0084, 0x00BA, 0xC03C),
    "without forward secrecy": (0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0xC09C, 0xC0A0),
    "CBC": (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028),
    "PSK, SRP": (0x008C, 0x00A8, 0x00AE, 0xC01D, 0xC020),
}

#: ECDHE with ECDSA or RSA, AES-128-GCM.
STRONG = (0xC02B, 0xC02F)

SSL3, TLS10, TLS11, TLS12 = 0x0300, 0x0301, 0x0302, 0x0303

PROTOCOL_VERSION, HANDSHAKE_FAILURE = 70, 40


@dataclass
class Reply:
    """What the other side said first.

    @ivar alert: the description of the alert; C{None}: there was none.
    @ivar version: of the ServerHello; 0: there was none.
    @ivar extensions: their numbers.
    """

    alert: int | None = None
    version: int = 0
    cipher: int = 0
    compression: int = 0
    extensions: list[int] = field(default_factory=list)


def hello(port: int, version: int = TLS12, ciphers: tuple[int, ...] = STRONG, *, compression: bytes = b"\0") -> Reply:
    """Say it, and read the answer.  Blocks: call it in a thread."""
    extensions = b"".join(
        struct.pack("!HH", number, len(body)) + body
        for number, body in (
            (0, b"\0\x0c\0\0\x09localhost"),
            (10, b"\0\x04\0\x17\0\x1d"),  # groups: P-256, X25519
            (11, b"\x01\0"),
            (13, b"\0\x0c\x04\x03\x05\x03\x08\x04\x04\x01\x02\x01\x02\x03"),  # signatures
            (15, b"\x01"),  # heartbeats
            (23, b""),  # extended master secret
            (35, b""),  # tickets
            (0xFF01, b"\0"),  # renegotiation
        )
    )
    suites = b"".join(struct.pack("!H", cipher) for cipher in ciphers)
    body = struct.pack("!H", version) + bytes(range(32)) + b"\0" + struct.pack("!H", len(suites)) + suites
    body += bytes([len(compression)]) + compression + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return _reply_of(_said(port, b"\x16" + struct.pack("!HH", min(version, TLS10), len(message)) + message))


def old_hello(port: int) -> bytes:
    """That of SSL 2.0; what comes back."""
    body = b"\x01\0\x02\0\x06\0\0\0\x10" + b"\x01\0\x80\x07\0\xc0" + bytes(range(16))
    return _said(port, struct.pack("!H", 0x8000 | len(body)) + body)


def _said(port: int, data: bytes) -> bytes:
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.sendall(data)
        while len(got) < 5 or len(got) < 5 + int.from_bytes(got[3:5], "big"):
            try:
                more = peer.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            got += more
    return got


def _reply_of(said: bytes) -> Reply:
    if said[:1] == b"\x15":
        return Reply(alert=said[6])
    if said[:1] != b"\x16" or said[5] != 2:
        return Reply()
    body = said[9:]
    at = 34 + 1 + body[34]
    reply = Reply(version=int.from_bytes(body[:2], "big"), cipher=int.from_bytes(body[at : at + 2], "big"))
    reply.compression = body[at + 2]
    at += 3
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    at += 2
    while at < end:
        reply.extensions.append(int.from_bytes(body[at : at + 2], "big"))
        at += 4 + int.from_bytes(body[at + 2 : at + 4], "big")
    return reply
