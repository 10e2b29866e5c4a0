"""Bodies and headers of hostile clients: security's section 6, JSON and routing.

A case is its id, the body, and what is to come of it: 200 reaches the engine byte for byte, and nothing else does.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Case(NamedTuple):
    """One of them.

    @ivar words: that the error says.
    @ivar lines: of the head, each with its line end.
    """

    id: str
    body: bytes
    status: int = 400
    words: str = ""
    lines: bytes = b"content-type: application/json\r\n"


def _nested(depth: int) -> bytes:
    return b'{"model":"m","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def _named(names: int) -> bytes:
    return b'{"model":"m","x":{' + b",".join(b'"%d":0' % n for n in range(names - 2)) + b"}}"


def _with(member: bytes) -> bytes:
    return b'{"model":"m",' + member + b"}"


JSON: Final = (
    Case("json-plain", b'{"model":"m"}', 200),
    Case("json-spaced", b' \r\n{ "model" :\t"m" , "x" : [ 1 , 2 ] }\n', 200),
    Case("json-depth-64", _nested(64), 200),
    Case("json-depth-65", _nested(65), words="deeper than 64"),
    Case("json-depth-objects", b'{"model":"m","x":' + b'{"x":' * 64 + b"1" + b"}" * 64 + b"}", words="deeper than 64"),
    Case("json-depth-100000", b"[" * 100_000, words="JSON"),
    Case("json-depth-100000-closed", _nested(100_000), words="JSON"),
    Case("json-names-10000", _named(10_000), 200),
    Case("json-names-10001", _named(10_001), words="10001 names"),
    Case("json-names-spread", _with(b'"x":[' + b",".join([b'{"a":1}'] * 10_001) + b"]"), words="names"),
    Case("json-array-long", _with(b'"prompt":[' + b",".join([b"1"] * 500_000) + b"]"), 200),
    Case("json-number-64", _with(b'"x":' + b"1" * 64), 200),
    Case("json-number-65", _with(b'"x":' + b"1" * 65), words="65 characters"),
    Case("json-number-5000", _with(b'"x":' + b"1" * 5000), words="JSON"),
    Case("json-number-fraction", _with(b'"x":0.' + b"1" * 5000), words="5002 characters"),
    Case("json-number-exponent", _with(b'"x":1e999'), words="JSON"),
    Case("json-digits-in-text", _with(b'"x":"' + b"1" * 5000 + b'","y":0.5'), 200),
    Case("json-twice-model", b'{"model":"m","model":"m"}', words="twice"),
    Case("json-twice-other", _with(b'"x":1,"x":2'), words="twice"),
    Case("json-twice-further-in", _with(b'"x":{"y":1,"y":2}'), words="twice"),
    Case("json-twice-escaped", b'{"model":"m","\\u006dodel":"n"}', words="twice"),
    Case("json-twice-spaced", b'{"model" : "m","model":"n"}', words="twice"),
    Case("json-same-in-two-objects", _with(b'"x":{"y":1},"z":{"y":2}'), 200),
    Case("json-twice-in-text", _with(b'"x":"{\\"y\\":1,\\"y\\":2}"'), 200),
    Case("json-nan", _with(b'"x":NaN'), words="JSON"),
    Case("json-infinity", _with(b'"x":Infinity'), words="JSON"),
    Case("json-minus-infinity", _with(b'"x":-Infinity'), words="JSON"),
    Case("json-lone-surrogate", _with(b'"x":"\\ud800"'), words="JSON"),
    Case("json-lone-low-surrogate", _with(b'"x":"\\udc00"'), words="JSON"),
    Case("json-surrogate-pair", _with(b'"x":"\\ud83d\\ude00"'), 200),
    Case("json-bom", b'\xef\xbb\xbf{"model":"m"}', words="JSON"),
    Case("json-not-utf-8", _with(b'"x":"\xff"'), words="JSON"),
    Case("json-overlong-utf-8", _with(b'"x":"\xc0\xaf"'), words="JSON"),
    Case("json-utf-16", '{"model":"m"}'.encode("utf-16"), words="JSON"),
    Case("json-utf-16-no-bom", '{"model":"m"}'.encode("utf-16-le"), words="JSON"),
    Case("json-control-in-text", _with(b'"x":"\x00"'), words="JSON"),
    Case("json-escaped-nul", _with(b'"x":"\\u0000"'), 200),
    Case("json-single-quotes", b"{'model':'m'}", words="JSON"),
    Case("json-trailing-comma", b'{"model":"m",}', words="JSON"),
    Case("json-comment", b'{"model":"m"/**/}', words="JSON"),
    Case("json-leading-zero", _with(b'"x":01'), words="JSON"),
    Case("json-hex", _with(b'"x":0x1'), words="JSON"),
    Case("json-two-documents", b'{"model":"m"}{"model":"m"}', words="JSON"),
    Case("json-nul-after", b'{"model":"m"}\x00', words="JSON"),
    Case("json-cut", b'{"model":"m"', words="JSON"),
    Case("json-empty", b"", words="empty"),
    Case("json-array", b'[{"model":"m"}]', words="object"),
    Case("json-string", b'"m"', words="object"),
    Case("json-null", b"null", words="object"),
    Case("json-prototype", _with(b'"__proto__":{"model":"n"}'), 200),
    Case("model-missing", b'{"x":1}', words="required"),
    Case("model-null", b'{"model":null}', words="required"),
    Case("model-number", b'{"model":1}', words="string"),
    Case("model-array", b'{"model":["m"]}', words="string"),
    Case("model-empty", b'{"model":""}', words="1 to 256"),
    Case("model-257", b'{"model":"' + b"m" * 257 + b'"}', words="1 to 256"),
    Case("model-256", b'{"model":"' + b"m" * 256 + b'"}', 404),
    Case("model-crlf", b'{"model":"m\\r\\nx-y: z"}', words="printable"),
    Case("model-escape", b'{"model":"\\u001b[2J"}', words="printable"),
    Case("model-nul", b'{"model":"m\\u0000"}', words="printable"),
    Case("model-bidi", b'{"model":"\\u202em"}', words="printable"),
    Case("model-unknown", b'{"model":"../m"}', 404, words="does not exist"),
    Case("model-8-bit", '{"model":"mödel"}'.encode(), 404, words="does not exist"),
    Case("stream-text", _with(b'"stream":"true"'), words="true or false"),
    Case("stream-number", _with(b'"stream":1'), words="true or false"),
    Case("n-16", _with(b'"n":16'), 200),
    Case("n-17", _with(b'"n":17'), words="16 at most"),
    Case("n-huge", _with(b'"n":1e9'), words="16 at most"),
    Case("best-of-17", _with(b'"best_of":17'), words="16 at most"),
    Case("stop-16", _with(b'"stop":[' + b",".join([b'"a"'] * 16) + b"]"), 200),
    Case("stop-17", _with(b'"stop":[' + b",".join([b'"a"'] * 17) + b"]"), words="16 at most"),
    Case("max-tokens-4096", _with(b'"max_tokens":4096'), 200),
    Case("max-tokens-4097", _with(b'"max_tokens":4097'), words="the model has 4096"),
    Case("max-completion-tokens", _with(b'"max_completion_tokens":99999'), words="the model has 4096"),
    Case("regex-4096", _with(b'"structured_outputs":{"regex":"' + b"a" * 4096 + b'"}'), 200),
    Case("regex-4097", _with(b'"structured_outputs":{"regex":"' + b"a" * 4097 + b'"}'), words="4096 at most"),
    Case("grammar-4097", _with(b'"structured_outputs":{"grammar":"' + b"a" * 4097 + b'"}'), words="4096 at most"),
    Case("guided-regex-4097", _with(b'"guided_regex":"' + b"a" * 4097 + b'"'), words="4096 at most"),
    Case("template-kwargs", _with(b'"chat_template_kwargs":{"chat_template":"x"}'), words="template_kwargs"),
    Case("template", _with(b'"chat_template":"{{ x }}"'), words="template_kwargs"),
    Case("type-absent", b'{"model":"m"}', 200, lines=b""),
    Case("type-charset", b'{"model":"m"}', 200, lines=b"content-type: application/json; charset=utf-8\r\n"),
    Case("type-text", b'{"model":"m"}', 415, lines=b"content-type: text/plain\r\n"),
    Case("type-form", b"model=m", 415, lines=b"content-type: application/x-www-form-urlencoded\r\n"),
    Case("type-multipart", b'{"model":"m"}', 415, lines=b"content-type: multipart/form-data; boundary=x\r\n"),
    Case("type-twice", b'{"model":"m"}', 415, lines=b"content-type: text/plain\r\ncontent-type: application/json\r\n"),
    Case("type-empty", b'{"model":"m"}', 415, lines=b"content-type:\r\n"),
    Case("coding-gzip", b"\x1f\x8b\x08", 415, lines=b"content-encoding: gzip\r\n"),
    Case("coding-list", b'{"model":"m"}', 415, lines=b"content-encoding: identity, gzip\r\n"),
    Case("coding-identity", b'{"model":"m"}', 200, lines=b"content-encoding: identity\r\n"),
    Case("timeout-negative", b'{"model":"m"}', lines=b"x-request-timeout: -1\r\n", words="number of seconds"),
    Case("timeout-huge", b'{"model":"m"}', lines=b"x-request-timeout: 1e99\r\n", words="number of seconds"),
    Case("policy-unknown", b'{"model":"m"}', lines=b"routing-strategy: \x22><script>\r\n", words="incorrect routing strategy"),
    Case("filter-broken", b'{"model":"m"}', lines=b"external-filter: a=(\r\n"),
)  # fmt: skip


class Header(NamedTuple):
    """What a client's header lines become at the engine.

    @ivar kept: by name, what the engine gets; C{None}: no such header.
    """

    id: str
    lines: bytes
    kept: dict[bytes, bytes | None]


HEADERS: Final = (
    Header("hop-connection-names", b"connection: x-secret\r\nx-secret: 1\r\n", {b"x-secret": None, b"connection": None}),
    Header("hop-connection-list", b"connection: close, X-Secret , y\r\nx-secret: 1\r\ny: 2\r\n", {b"x-secret": None, b"y": None}),
    Header("hop-connection-twice", b"connection: a\r\nconnection: b\r\na: 1\r\nb: 2\r\n", {b"a": None, b"b": None}),
    Header("hop-connection-length", b"connection: content-length\r\n", {b"content-length": b"13"}),
    Header("hop-connection-host", b"connection: host\r\n", {b"host": b"ENGINE"}),
    Header("hop-xff", b"connection: x-forwarded-for\r\nx-forwarded-for: 1.2.3.4\r\n", {b"x-forwarded-for": b"127.0.0.1"}),
    Header("hop-via", b"connection: via\r\n", {b"via": b"1.1 aibrix-gateway"}),
    Header("hop-request-id", b"connection: x-request-id\r\nx-request-id: mine\r\n", {b"x-request-id": b"mine"}),
    Header("hop-keep-alive", b"keep-alive: timeout=1\r\n", {b"keep-alive": None}),
    Header("hop-te", b"te: trailers\r\n", {b"te": None}),
    Header("hop-trailer", b"trailer: x\r\n", {b"trailer": None}),
    Header("hop-upgrade", b"connection: upgrade\r\nupgrade: h2c\r\n", {b"upgrade": None}),
    Header("hop-proxy-authorization", b"proxy-authorization: x\r\n", {b"proxy-authorization": None}),
    Header("hop-proxy-connection", b"proxy-connection: keep-alive\r\n", {b"proxy-connection": None}),
    Header("hop-expect", b"expect: 100-continue\r\n", {b"expect": None}),
    Header("spoof-xff", b"x-forwarded-for: 10.0.0.1\r\n", {b"x-forwarded-for": b"127.0.0.1"}),
    Header("spoof-xff-twice", b"x-forwarded-for: 10.0.0.1\r\nX-FORWARDED-FOR: 10.0.0.2\r\n", {b"x-forwarded-for": b"127.0.0.1"}),
    Header("spoof-forwarded", b"forwarded: for=10.0.0.1\r\n", {b"forwarded": None}),
    Header("spoof-forwarded-host", b"x-forwarded-host: evil\r\nx-forwarded-proto: https\r\n", {b"x-forwarded-host": None, b"x-forwarded-proto": None}),
    Header("spoof-real-ip", b"x-real-ip: 10.0.0.1\r\n", {b"x-real-ip": None}),
    Header("spoof-gateway", b"x-gateway-user: root\r\n", {b"x-gateway-user": None}),
    Header("spoof-aibrix", b"x-aibrix-replica: e9\r\nx-aibrix-priority: high\r\n", {b"x-aibrix-replica": None, b"x-aibrix-priority": None}),
    Header("spoof-target-pod", b"target-pod: 169.254.169.254:80\r\n", {b"target-pod": None}),
    Header("spoof-routing", b"routing-strategy: random\r\n", {b"routing-strategy": None}),
    Header("spoof-user", b"user: root\r\nx-user-id: root\r\n", {b"user": None, b"x-user-id": None}),
    Header("spoof-authorization", b"authorization: Bearer secret\r\n", {b"authorization": None}),
    Header("spoof-underscore-xff", b"x_forwarded_for: 10.0.0.1\r\n", {b"x_forwarded_for": None}),
    Header("spoof-underscore-length", b"content_length: 99\r\n", {b"content_length": None}),
    Header("spoof-underscore-authorization", b"AUTHORIZATION: a\r\nauthorization_: b\r\n", {b"authorization": None}),
    Header("spoof-underscore-shadow", b"x-tenant: a\r\nx_tenant: b\r\n", {b"x-tenant": b"a", b"x_tenant": None}),
    Header("spoof-underscore-alone", b"my_header: a\r\n", {b"my_header": b"a"}),
    Header("spoof-host", b"x-host: evil\r\n", {b"host": b"ENGINE"}),
    Header("pass-plain", b"x-custom:  a b \r\n", {b"x-custom": b"a b"}),
    Header("pass-cookie", b"cookie: a=b\r\n", {b"cookie": b"a=b"}),
    Header("pass-traceparent", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n", {b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}),
    Header("id-too-long", b"x-request-id: " + b"x" * 129 + b"\r\n", {b"x-request-id": b"OURS"}),
    Header("id-8-bit", b"x-request-id: \xe9\r\n", {b"x-request-id": b"OURS"}),
    Header("id-space", b"x-request-id: a b\r\n", {b"x-request-id": b"OURS"}),
    Header("coding-asked", b"accept-encoding: gzip\r\n", {b"accept-encoding": None}),
)  # fmt: skip

#: What an engine's header lines become at the client.
ANSWER_HEADERS: Final = (
    Header("down-connection-names", b"connection: x-secret\r\nx-secret: 1\r\n", {b"x-secret": None}),
    Header("down-keep-alive", b"keep-alive: timeout=5\r\n", {b"keep-alive": None}),
    Header("down-upgrade", b"upgrade: h2c\r\n", {b"upgrade": None}),
    Header("down-proxy-authenticate", b"proxy-authenticate: Basic\r\n", {b"proxy-authenticate": None}),
    Header("down-trailer", b"trailer: x\r\n", {b"trailer": None}),
    Header("down-request-id", b"x-request-id: theirs\r\n", {b"x-request-id": b"OURS"}),
    Header("down-replica", b"x-aibrix-replica: evil\r\n", {b"x-aibrix-replica": b"e0"}),
    Header("down-routing", b"routing-strategy: evil\r\n", {b"routing-strategy": b"least-request"}),
    Header("down-underscore", b"x_aibrix_replica: evil\r\n", {b"x_aibrix_replica": None}),
    Header("down-pass", b"x-custom: a\r\n", {b"x-custom": b"a"}),
)
