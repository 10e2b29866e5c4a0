"""Why TLS failed, for people."""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.python.failure import Failure

from aibrix_twisted.service.tls.identity import UNREADABLE, visible

_CODES: Final = SSL.X509VerificationCodes

#: What OpenSSL says of certificates, by its number: as it says it, but for those that are met most.
_FAULTS: Final = {
    **{
        number: name.removeprefix("ERR_").replace("_", " ").lower()
        for name, number in vars(_CODES).items()
        if name.startswith("ERR_")
    },
    _CODES.ERR_CERT_HAS_EXPIRED: "it has expired",
    _CODES.ERR_CERT_NOT_YET_VALID: "it is not valid yet",
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT: "its issuer is not one that is trusted",
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its issuer is not one that is trusted",
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its issuer is not one that is trusted",
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed, and not trusted",
    _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN: "the authority that it leads to is not one that is trusted",
    _CODES.ERR_CERT_CHAIN_TOO_LONG: "there are too many certificates between it and an authority",
    _CODES.ERR_INVALID_PURPOSE: "it is for another purpose",
}

#: What a reason of OpenSSL's means most often.
_HINTS: Final = {
    "wrong version number": "what is there does not speak TLS",
    "http request": "it speaks HTTP without TLS",
    "record layer failure": "what is there does not speak TLS",
    "packet length too long": "what is there does not speak TLS",
    "tlsv13 alert certificate required": "it wants a client's certificate",
    "peer did not return a certificate": "a client's certificate is required",
}


#: Servers of Python's asyncio, and so vLLM and SGLang, close without a word when a certificate is not what they want;
#: and in TLS 1.3 they do so when we have shaken hands already.
WITHOUT_A_WORD: Final = "it was closed right after the handshake (it may want a client's certificate)"


class TlsFailed(Exception):
    """There is no TLS with the other side.  C{str()} says why."""


def say_why(connection: SSL.Connection, certificate: X509, number: int, depth: int, ok: int) -> bool:
    """For OpenSSL: leaves its judgement as it is, and tells the connection's transport why it is what it is.

    @param number: what is wrong, by OpenSSL's numbers.
    @param depth: how far the certificate is from the other side's own.
    """
    if not ok:
        said = f"certificate verify failed: {_name(certificate, depth)}: {_FAULTS.get(number, f'error {number}')}"
        connection.get_app_data().failVerification(Failure(TlsFailed(said)))
    return bool(ok)


def why(failure: Failure) -> str:
    """In one line."""
    error = failure.value
    if not isinstance(error, SSL.Error):
        return failure.getErrorMessage()
    queue = error.args[0] if error.args and isinstance(error.args[0], (list, tuple)) else ()
    reasons = list(dict.fromkeys(str(entry[-1]) for entry in queue if entry and entry[-1]))
    hints = [_HINTS[reason] for reason in reasons if reason in _HINTS]
    said = ", ".join(reasons) or "it was broken off"
    return f"{said} ({hints[0]})" if hints else said


def _name(certificate: X509, depth: int) -> str:
    try:
        said = certificate.to_cryptography().subject.rfc4514_string()
        said = visible(said[:200]) or "a certificate without a subject"
    except UNREADABLE:
        said = "a certificate that cannot be read"
    return said if not depth else f"{said}, {depth} above its own"
