"""Every failure that the gateway itself answers or counts: a closed tree.

::

    GatewayError
      ClientError      the request is at fault; sending it again as it is will not help
        MalformedRequest  InvalidBody  BodyTooLarge  UnsupportedMedia  UnknownPath  MethodNotAllowed
        UnknownModel  UnknownPolicy  UnknownProfile  InvalidFilter  ClientTooSlow  ClientGone
      EngineError      a replica is at fault
        UpstreamRefused  UpstreamTlsFailed  UpstreamBroke  UpstreamTruncated  UpstreamTimeout
        EngineMalformed  EngineReported
      GatewayFault     we are at fault, or have nothing to give
        NoReplica  QueueFull  QueueTimeout  Draining  TooManyConnections  TooManyRequests  MemoryFull  Overloaded
        InternalError

Each class knows whose fault it is (L{Fault}), the HTTP status, OpenAI's C{code}, whether another try may help
(before the head went out), and whether a circuit breaker should count it.  C{error_type} is its name in the
metric C{errors_total} and in the access log.

Types by status follow OpenAI's error object; the C{x-error-*} headers are AIBrix's, where it has one for the case.
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Fault(enum.Enum):
    """Whose fault an error is."""

    CLIENT = "client"
    POLICY = "policy"
    ENGINE = "engine"
    GATEWAY = "gateway"


class GatewayError(Exception):
    """The root.  C{str(error)} is the sentence that the client reads.

    @ivar logged: the sentence for logs: without what the client sent, which may be a prompt or a key.
    """

    fault: ClassVar[Fault]
    error_type: ClassVar[str]
    code: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False
    trips_breaker: ClassVar[bool] = False
    status: int = 500

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        logged: str = "",
    ) -> None:
        super().__init__(message)
        self.logged = logged or message
        self.param = param
        self.headers = headers
        self.said_code = code or self.code
        if status is not None:
            self.status = status


class ClientError(GatewayError):
    """The request is at fault."""

    fault = Fault.CLIENT


class MalformedRequest(ClientError):
    """Not HTTP/1.1 as RFC 9112 has it, or beyond a limit: 400, 413, 414, 417, 431, 501 or 505."""

    error_type = "client_malformed_request"
    code = "malformed_request"
    status = 400


class InvalidBody(ClientError):
    """The body is not what the path takes."""

    error_type = "client_invalid_body"
    code = "invalid_body"
    status = 400


class BodyTooLarge(ClientError):
    """The body exceeds C{limits.body_bytes}."""

    error_type = "client_body_too_large"
    code = "body_too_large"
    status = 413


class UnsupportedMedia(ClientError):
    """The content type or content coding is not one that the path takes."""

    error_type = "client_unsupported_media"
    code = "unsupported_media_type"
    status = 415


class UnknownPath(ClientError):
    """No such path."""

    error_type = "client_unknown_path"
    code = "unknown_path"
    status = 404


class MethodNotAllowed(ClientError):
    """The path exists, but not with this method.  Give C{allow} as a header."""

    error_type = "client_method_not_allowed"
    code = "method_not_allowed"
    status = 405


class UnknownModel(ClientError):
    """No replica serves the model."""

    error_type = "client_unknown_model"
    code = "model_not_found"
    status = 404


class UnknownPolicy(ClientError):
    """The C{routing-strategy} header names a policy that there is not, or several that cannot decide together."""

    fault = Fault.POLICY
    error_type = "policy_unknown"
    code = "unknown_routing_strategy"
    status = 400


class UnknownProfile(ClientError):
    """The C{config-profile} header names a profile that the model has not."""

    fault = Fault.POLICY
    error_type = "policy_unknown_profile"
    code = "unknown_config_profile"
    status = 400


class InvalidFilter(ClientError):
    """The C{external-filter} header is no label selector."""

    fault = Fault.POLICY
    error_type = "policy_invalid_filter"
    code = "invalid_external_filter"
    status = 400


class ClientTooSlow(ClientError):
    """The head or the body did not come in time."""

    error_type = "client_too_slow"
    code = "request_timeout"
    status = 408


class ClientGone(ClientError):
    """The client left before its answer was whole.  Never sent; 499 is what the log says."""

    error_type = "client_gone"
    code = "client_gone"
    status = 499


class EngineError(GatewayError):
    """A replica is at fault."""

    fault = Fault.ENGINE
    retryable = True
    trips_breaker = True
    status = 502


class UpstreamRefused(EngineError):
    """No connection could be made; nothing was sent."""

    error_type = "engine_refused"
    code = "upstream_refused"


class UpstreamTlsFailed(EngineError):
    """TLS did not come about, or was ended by the engine: mostly for want of a certificate that is believed."""

    error_type = "engine_tls"
    code = "upstream_tls_failed"


class UpstreamBroke(EngineError):
    """The connection broke, or what came on it is not HTTP."""

    error_type = "engine_broke"
    code = "upstream_broke"


class UpstreamTruncated(EngineError):
    """The answer ended before it was whole."""

    error_type = "engine_truncated"
    code = "upstream_truncated"


class UpstreamTimeout(EngineError):
    """A deadline passed: the first byte, a stall, or the whole."""

    error_type = "engine_timeout"
    code = "upstream_timeout"
    status = 504
    retryable = False


class EngineMalformed(EngineError):
    """The engine framed an answer as whole whose payload is not.  Passed on as it came, and counted."""

    error_type = "engine_malformed"
    code = "upstream_malformed"
    retryable = False
    trips_breaker = False


class EngineReported(EngineError):
    """The engine said inside its own answer that it failed.  Passed on as it came, and counted."""

    error_type = "engine_reported"
    code = "upstream_error"
    retryable = False


class GatewayFault(GatewayError):
    """We are at fault, or have nothing to give."""

    fault = Fault.GATEWAY
    status = 503


class NoReplica(GatewayFault):
    """The model is known, but no replica of it is left to try."""

    error_type = "gateway_no_replica"
    code = "no_replica_available"


class QueueFull(GatewayFault):
    """The waiting room has no place left."""

    error_type = "gateway_queue_full"
    code = "queue_full"
    status = 429


class QueueTimeout(GatewayFault):
    """Every replica of the model is busy, and was for as long as a request may wait."""

    error_type = "gateway_queue_timeout"
    code = "queue_timeout"


class Draining(GatewayFault):
    """The gateway is stopping and takes no new work."""

    error_type = "gateway_draining"
    code = "gateway_draining"


class TooManyConnections(GatewayFault):
    """C{limits.connections} is reached."""

    error_type = "gateway_too_many_connections"
    code = "too_many_connections"


class TooManyRequests(GatewayFault):
    """C{limits.in_flight} is reached."""

    error_type = "gateway_too_many_requests"
    code = "too_many_requests"


class Overloaded(GatewayFault):
    """The process takes too much memory, or too long for each turn of the reactor: what is under way goes first."""

    error_type = "gateway_overloaded"
    code = "gateway_overloaded"


class MemoryFull(GatewayFault):
    """All that may be kept for clients is kept already: C{limits.memory_bytes}."""

    error_type = "gateway_memory_full"
    code = "memory_full"
    status = 503


#: What a client is told of a defect of ours.
DEFECT = "a defect of the gateway; its log has more"


class InternalError(GatewayFault):
    """A defect of ours.  Its traceback is in the log."""

    error_type = "gateway_internal"
    code = "internal_error"
    status = 500
