"""Requests of hostile clients: what framing, names, lines and hosts may not be, and what of each of them may.

A case is its id, its bytes, and what is to come of them: statuses, in order.  Where the last of them is an error the
connection is closed after it, and nothing of what follows reaches the engine; a 200 is a request that reached it, as
that request and no other.  C{@@} stands for the header that says to the engine which case a request belongs to.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BODY: Final = b'{"model":"m"}'
N: Final = b"13"  # its length

_HOST: Final = b"host: gw\r\n"


class Case(NamedTuple):
    """One of them.

    @ivar bodies: that the engine gets, where requests reach it and theirs is not L{BODY}.
    """

    id: str
    raw: bytes
    statuses: tuple[int, ...]
    bodies: tuple[bytes, ...] | None = None


def head(lines: bytes, *, start: bytes = b"POST /v1/completions HTTP/1.1", host: bytes = _HOST) -> bytes:
    """A head with these lines, each with its line end."""
    return start + b"\r\n" + host + b"@@" + lines + b"\r\n"


#: A request that is smuggled if anything is: it must never be answered, nor reach the engine.
SMUGGLED: Final = head(b"x-smuggled: yes\r\ncontent-length: 28\r\n") + b'{"model":"m","prompt":"bad"}'


def _post(id: str, lines: bytes, status: int, body: bytes = BODY) -> Case:
    return Case(id, head(lines) + body, (status,))


def _length(name: str, value: bytes, status: int = 400) -> Case:
    return _post(f"smug-cl-{name}", b"content-length: " + value + b"\r\n", status)


LENGTHS: Final = (
    _length("plain", N, 200),
    _length("leading-zeros", b"0013", 200),
    _length("18-digits", b"000000000000000013", 200),
    _length("ows", b"  \t13 \t ", 200),
    _length("19-digits", b"0000000000000000013"),
    _length("plus", b"+13"),
    _length("minus", b"-13"),
    _length("minus-zero", b"-0"),
    _length("vt", b"\x0b13"),
    _length("vt-after", b"13\x0b"),
    _length("ff", b"\x0c13"),
    _length("nul", b"\x0013"),
    _length("nul-after", b"13\x00"),
    _length("nbsp", b"\xa013"),
    _length("nel", b"\x8513"),
    _length("space-inside", b"1 3"),
    _length("tab-inside", b"1\t3"),
    _length("hex", b"0xd"),
    _length("hex-digits", b"d"),
    _length("octal", b"0o15"),
    _length("binary", b"0b1101"),
    _length("exponent", b"13e0"),
    _length("decimal", b"13.0"),
    _length("underscore", b"1_3"),
    _length("comma-inside", b"1,3"),
    _length("empty", b""),
    _length("blank", b"  "),
    _length("quoted", b'"13"'),
    _length("junk-after", b"13x"),
    _length("junk-before", b"x13"),
    _length("parameter", b"13;q=1"),
    _length("fold", b"1\r\n 3"),
    _length("overflow-64", b"18446744073709551629"),
    _length("overflow-32", b"4294967309", 413),
    _length("huge-digits", b"1" * 4301),
    _length("arabic", "١٣".encode()),
    _length("superscript", b"1\xb3"),
    _length("list-same", b"13, 13"),
    _length("list-diff", b"13, 0"),
    _length("list-empty-member", b"13,"),
    _post("smug-cl-dup-same", b"content-length: 13\r\ncontent-length: 13\r\n", 400),
    _post("smug-cl-dup-diff-0n", b"content-length: 0\r\ncontent-length: 13\r\n", 400),
    _post("smug-cl-dup-diff-n0", b"content-length: 13\r\ncontent-length: 0\r\n", 400),
    _post("smug-cl-name-space", b"content-length : 13\r\n", 400),
    _post("smug-cl-name-tab", b"content-length\t: 13\r\n", 400),
    _post("smug-cl-name-nul", b"content-length\x00: 13\r\n", 400),
    _post("smug-cl-name-space-before", b" content-length: 13\r\n", 400),
    _post("smug-cl-name-split", b"content-\r\nlength: 13\r\n", 400),
    Case("smug-cl-name-underscore", head(b"content_length: 13\r\n") + BODY, (400, 400)),
    Case("smug-post-no-length", head(b"") + BODY, (400, 400)),
    Case("smug-cl-zero", head(b"content-length: 0\r\n") + BODY, (400, 400)),
    Case("smug-cl-short", head(b"content-length: 13\r\n") + BODY + b"xx", (200, 405)),
    Case(
        "smug-get-body",
        head(b"content-length: 13\r\n", start=b"GET /v1/models HTTP/1.1")
        + BODY
        + head(b"content-length: 13\r\n")
        + BODY,
        (200, 200),
    ),
)

_CHUNKED: Final = b"d\r\n" + BODY + b"\r\n0\r\n\r\n"


def _coding(name: str, value: bytes, status: int = 400) -> Case:
    return _post(f"smug-te-{name}", b"transfer-encoding: " + value + b"\r\n", status, _CHUNKED)


CODINGS: Final = (
    _coding("plain", b"chunked", 200),
    _coding("upper", b"CHUNKED", 200),
    _coding("mixed", b"chUnKeD", 200),
    _coding("ows", b" \tchunked\t ", 200),
    _coding("identity", b"identity", 501),
    _coding("gzip", b"gzip", 501),
    _coding("empty", b"", 501),
    _coding("unknown", b"cow", 501),
    _coding("chunk", b"chunk", 501),
    _coding("chunked-identity", b"chunked, identity"),
    _coding("identity-chunked", b"identity, chunked"),
    _coding("gzip-chunked", b"gzip, chunked"),
    _coding("twice", b"chunked, chunked"),
    _coding("twice-no-space", b"chunked,chunked"),
    _coding("prefix", b"xchunked"),
    _coding("suffix", b"chunkedx"),
    _coding("parameter", b"chunked;q=1"),
    _coding("quoted", b'"chunked"'),
    _coding("single-quoted", b"'chunked'"),
    _coding("vt", b"\x0bchunked"),
    _coding("vt-after", b"chunked\x0b"),
    _coding("ff", b"\x0cchunked"),
    _coding("nul", b"\x00chunked"),
    _coding("nul-after", b"chunked\x00"),
    _coding("nbsp", b"\xa0chunked"),
    _coding("nel", b"\x85chunked"),
    _coding("xff", b"\xffchunked"),
    _coding("list-empty-after", b"chunked,"),
    _coding("list-empty-before", b",chunked"),
    _coding("space-inside", b"chun ked", 501),
    _coding("fold", b"\r\n chunked"),
    _coding("fold-after", b"chunked\r\n x"),
    _post("smug-te-dup", b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-dup-identity", b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", 400, _CHUNKED),
    _post("smug-te-identity-dup", b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-dup-cow", b"transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n", 400, _CHUNKED),
    _post("smug-cl-te", b"content-length: 6\r\ntransfer-encoding: chunked\r\n", 400, b"0\r\n\r\nG"),
    _post("smug-te-cl", b"transfer-encoding: chunked\r\ncontent-length: 3\r\n", 400, b"8\r\nSMUGGLED\r\n0\r\n\r\n"),
    _post("smug-te-cl-agree", b"transfer-encoding: chunked\r\ncontent-length: 23\r\n", 400, _CHUNKED),
    _post("smug-te-cl-zero", b"transfer-encoding: chunked\r\ncontent-length: 0\r\n", 400, _CHUNKED),
    _post("smug-te-identity-cl", b"transfer-encoding: identity\r\ncontent-length: 13\r\n", 400),
    _post("smug-te-empty-cl", b"transfer-encoding:\r\ncontent-length: 13\r\n", 400),
    _post("smug-te-name-space", b"transfer-encoding : chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-tab", b"transfer-encoding\t: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-nul", b"transfer-encoding\x00: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-space-inside", b"transfer encoding: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-space-before", b" transfer-encoding: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-split", b"transfer-\r\nencoding: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-name-8-bit", b"transfer-encoding\xff: chunked\r\n", 400, _CHUNKED),
    _post("smug-te-no-colon", b"transfer-encoding chunked\r\n", 400, _CHUNKED),
    Case("smug-te-name-underscore", head(b"transfer_encoding: chunked\r\n") + _CHUNKED, (400, 400)),
    Case("smug-te-10", head(b"transfer-encoding: chunked\r\n", start=b"POST /v1/completions HTTP/1.0") + _CHUNKED, (400,)),
    Case(
        "smug-te-get",
        head(b"transfer-encoding: chunked\r\n", start=b"GET /v1/models HTTP/1.1") + b"0\r\n\r\n"
        + head(b"content-length: 13\r\n") + BODY,
        (200, 200),
    ),
)  # fmt: skip


def _chunks(name: str, framed: bytes, *statuses: int) -> Case:
    return Case(f"chunk-{name}", head(b"transfer-encoding: chunked\r\n") + framed, statuses or (400,))


def _size(name: str, size: bytes, *statuses: int) -> Case:
    return _chunks(name, size + b"\r\n" + BODY + b"\r\n0\r\n\r\n", *statuses)


CHUNKS: Final = (
    _size("plain", b"d", 200),
    _size("upper", b"D", 200),
    _size("leading-zeros", b"00000000000000d", 200),
    _size("ext", b"d;a", 200),
    _size("ext-value", b"d;a=b", 200),
    _size("ext-quoted", b'd;a="b;c"', 200),
    _size("ext-space", b"d ; a=b", 200),
    _size("16-digits", b"000000000000000d"),
    _size("huge-digits", b"0" * 900 + b"d"),
    _size("overflow-64", b"1000000000000000d"),
    _size("huge", b"fffffffffffffff", 413),
    _size("0x", b"0xd"),
    _size("plus", b"+d"),
    _size("minus", b"-d"),
    _size("space-before", b" d"),
    _size("space-after", b"d "),
    _size("tab-before", b"\td"),
    _size("tab-after", b"d\t"),
    _size("vt", b"d\x0b"),
    _size("nul", b"d\x00"),
    _size("underscore", b"0_d"),
    _size("junk", b"dx"),
    _size("comma", b"d,d"),
    _size("quoted", b'"d"'),
    _size("empty-size", b""),
    _size("only-ext", b";a"),
    _size("not-hex", b"g"),
    _size("8-bit", b"d\xff"),
    _size("ext-lf", b"d;a\nb"),
    _size("ext-cr", b"d;a\rb"),
    _size("ext-nul", b"d;a\x00b"),
    _size("ext-lf-smuggle", b"d;\n"),
    _size("ext-line-too-long", b"d;" + b"a" * 1100),
    _chunks("ext-in-all-too-long", (b"1;" + b"a" * 900 + b"\r\n{\r\n") * 20),
    _chunks("lf-after-size", b"d\n" + BODY + b"\r\n0\r\n\r\n"),
    _chunks("cr-after-size", b"d\r" + BODY + b"\r\n0\r\n\r\n"),
    _chunks("lf-after-data", b"d\r\n" + BODY + b"\n0\r\n\r\n"),
    _chunks("cr-after-data", b"d\r\n" + BODY + b"\r0\r\n\r\n"),
    _chunks("any2-data", b"d\r\n" + BODY + b"xx0\r\n\r\n"),
    _chunks("lf-cr-after-data", b"d\r\n" + BODY + b"\n\r0\r\n\r\n"),
    _chunks("no-crlf", b"d\r\n" + BODY + b"0\r\n\r\n"),
    _chunks("extra-crlf", b"d\r\n" + BODY + b"\r\n\r\n0\r\n\r\n"),
    _chunks("spill", b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    _chunks("last-xx", b"d\r\n" + BODY + b"\r\n0\r\nxx"),
    _chunks("last-lf", b"d\r\n" + BODY + b"\r\n0\n\n"),
    _chunks("last-crlf-lf", b"d\r\n" + BODY + b"\r\n0\r\n\n"),
    _chunks("last-minus", b"d\r\n" + BODY + b"\r\n-0\r\n\r\n"),
    _chunks("last-0x", b"d\r\n" + BODY + b"\r\n0x0\r\n\r\n"),
    _chunks("last-zeros", b"d\r\n" + BODY + b"\r\n000\r\n\r\n", 200),
    _chunks("last-ext", b"d\r\n" + BODY + b"\r\n0;a=b\r\n\r\n", 200),
    _chunks("one-each", b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n", 200),
    _chunks("trailer", b"d\r\n" + BODY + b"\r\n0\r\na: b\r\n\r\n", 200),
    _chunks("trailer-framing", b"d\r\n" + BODY + b"\r\n0\r\ncontent-length: 9\r\ntransfer-encoding: x\r\n\r\n", 200),
    _chunks("trailer-no-colon", b"d\r\n" + BODY + b"\r\n0\r\nab\r\n\r\n"),
    _chunks("trailer-space", b"d\r\n" + BODY + b"\r\n0\r\na : b\r\n\r\n"),
    _chunks("trailer-fold", b"d\r\n" + BODY + b"\r\n0\r\na: b\r\n c\r\n\r\n"),
    _chunks("trailer-lf", b"d\r\n" + BODY + b"\r\n0\r\na: b\n\r\n"),
    _chunks("trailer-cr", b"d\r\n" + BODY + b"\r\n0\r\na: b\rc\r\n\r\n"),
    _chunks("trailer-nul", b"d\r\n" + BODY + b"\r\n0\r\na: \x00\r\n\r\n"),
    _chunks("trailer-request-line", b"d\r\n" + BODY + b"\r\n0\r\nGET / HTTP/1.1\r\n\r\n"),
    _chunks("trailers-too-long", b"d\r\n" + BODY + b"\r\n0\r\n" + (b"a: " + b"b" * 900 + b"\r\n") * 10 + b"\r\n"),
)


def _line(name: str, line: bytes, *statuses: int) -> Case:
    return Case(f"hdr-{name}", head(b"content-length: 13\r\n" + line) + BODY, statuses or (400,))


HEADERS: Final = (
    _line("plain", b"x: y\r\n", 200),
    _line("empty-value", b"x:\r\n", 200),
    _line("8-bit-value", b"x: \xe9\xff\r\n", 200),
    _line("tab-in-value", b"x: a\tb\r\n", 200),
    _line("colon-in-value", b"x: a:b\r\n", 200),
    _line("crlf-escape", b"x: a%0d%0ay: b\r\n", 200),
    _line("100-fields", b"x: y\r\n" * 97, 200),
    _line("101-fields", b"x: y\r\n" * 98, 431),
    _line("line-16k", b"x: " + b"y" * 16381 + b"\r\n", 200),
    _line("line-too-long", b"x: " + b"y" * 16382 + b"\r\n", 431),
    _line("total-too-long", (b"x: " + b"y" * 8000 + b"\r\n") * 5, 431),
    _line("name-space", b"x : y\r\n"),
    _line("name-tab", b"x\t: y\r\n"),
    _line("name-space-before", b" x: y\r\n"),
    _line("name-space-inside", b"x y: z\r\n"),
    _line("name-nul", b"x\x00: y\r\n"),
    _line("name-ctl", b"x\x01: y\r\n"),
    _line("name-del", b"x\x7f: y\r\n"),
    _line("name-8-bit", b"x\xe9: y\r\n"),
    _line("name-empty", b": y\r\n"),
    _line("name-parenthesis", b"x(y): z\r\n"),
    _line("name-slash", b"x/y: z\r\n"),
    _line("name-quoted", b'"x": y\r\n'),
    _line("name-at", b"x@y: z\r\n"),
    _line("name-bracket", b"x[0]: z\r\n"),
    _line("name-cr", b"x\ry: z\r\n"),
    _line("no-colon", b"x\r\n"),
    _line("fold", b"x: y\r\n z\r\n"),
    _line("fold-tab", b"x: y\r\n\tz\r\n"),
    _line("fold-empty", b"x: y\r\n \r\n"),
    _line("nul-in-value", b"x: a\x00b\r\n"),
    _line("ctl-in-value", b"x: a\x01b\r\n"),
    _line("esc-in-value", b"x: \x1b[2J\r\n"),
    _line("del-in-value", b"x: a\x7fb\r\n"),
    _line("vt-in-value", b"x: a\x0bb\r\n"),
    _line("cr-in-value", b"x: a\rb\r\n"),
    _line("cr-injects", b"x: a\rcontent-length: 0\r\n"),
    _line("cr-injects-te", b"x: a\rtransfer-encoding: chunked\r\n"),
    _line("cr-before-crlf", b"x: a\r\r\n"),
    _line("lf-injects", b"x: a\ncontent-length: 0\r\n"),
    _line("lf-injects-te", b"x: a\ntransfer-encoding: chunked\r\n"),
    _line("lf-ends", b"x: a\n"),
    _line("lf-ends-head", b"x: a\r\n\n"),
    Case(
        "hdr-first-fold", b"POST /v1/completions HTTP/1.1\r\n host: gw\r\n@@content-length: 13\r\n\r\n" + BODY, (400,)
    ),
    Case("hdr-lf-only", head(b"content-length: 13\r\n").replace(b"\r\n", b"\n") + BODY, (400,)),
    Case("hdr-cr-only", b"POST /v1/completions HTTP/1.1\rhost: gw\r\r" + BODY + b"\r\n\r\n", (400,)),
)


def _start(name: str, start: bytes, *statuses: int) -> Case:
    return Case(f"line-{name}", head(b"content-length: 13\r\n", start=start) + BODY, statuses or (400,))


START_LINES: Final = (
    _start("plain", b"POST /v1/completions HTTP/1.1", 200),
    _start("crlf-before", b"\r\nPOST /v1/completions HTTP/1.1", 200),
    _start("query", b"POST /v1/completions?a=b%20c&d HTTP/1.1", 200),
    _start("absolute", b"POST http://gw/v1/completions HTTP/1.1", 200),
    _start("absolute-upper", b"POST HTTP://GW/v1/completions HTTP/1.1", 200),
    _start("absolute-other-authority", b"POST http://other/v1/completions HTTP/1.1"),
    _start("absolute-userinfo", b"POST http://u@gw/v1/completions HTTP/1.1"),
    _start("absolute-userinfo-host", b"POST http://gw@other/v1/completions HTTP/1.1"),
    _start("absolute-port", b"POST http://gw:81/v1/completions HTTP/1.1"),
    _start("absolute-no-authority", b"POST http:///v1/completions HTTP/1.1"),
    _start("absolute-other-scheme", b"POST gopher://gw/v1/completions HTTP/1.1"),
    _start("absolute-file", b"POST file:///etc/passwd HTTP/1.1"),
    _start("authority", b"POST gw:80 HTTP/1.1"),
    _start("asterisk", b"POST * HTTP/1.1"),
    _start("no-slash", b"POST v1/completions HTTP/1.1"),
    _start("backslash", b"POST \\v1\\completions HTTP/1.1"),
    _start("double-slash", b"POST //v1/completions HTTP/1.1", 404),
    _start("dots", b"POST /v1/../v1/completions HTTP/1.1", 404),
    _start("escaped-slash", b"POST /v1%2fcompletions HTTP/1.1", 404),
    _start("escaped-nul", b"POST /v1/completions%00 HTTP/1.1", 404),
    _start("parameter", b"POST /v1/completions;x HTTP/1.1", 404),
    _start("upper-path", b"POST /V1/COMPLETIONS HTTP/1.1", 404),
    _start("fragment", b"POST /v1/completions#x HTTP/1.1"),
    _start("nul-in-target", b"POST /v1/completions\x00 HTTP/1.1"),
    _start("ctl-in-target", b"POST /v1/completions\x01 HTTP/1.1"),
    _start("8-bit-in-target", b"POST /v1/completions\xff HTTP/1.1"),
    _start("cr-in-target", b"POST /v1/completions\r HTTP/1.1"),
    _start("tab-in-target", b"POST /v1/\tcompletions HTTP/1.1"),
    _start("space-in-target", b"POST /v1/ completions HTTP/1.1"),
    _start("no-target", b"POST  HTTP/1.1"),
    _start("no-target-at-all", b"POST HTTP/1.1"),
    _start("no-method", b" /v1/completions HTTP/1.1"),
    _start("lower-method", b"post /v1/completions HTTP/1.1", 405),
    _start("method-prefix", b"xPOST /v1/completions HTTP/1.1", 405),
    _start("method-nul", b"POST\x00 /v1/completions HTTP/1.1"),
    _start("method-at", b"PO@ST /v1/completions HTTP/1.1"),
    _start("method-8-bit", b"P\xd6ST /v1/completions HTTP/1.1"),
    _start("method-long", b"P" * 9000 + b" /v1/completions HTTP/1.1", 414),
    _start("space-before", b" POST /v1/completions HTTP/1.1"),
    _start("spaces-between", b"POST  /v1/completions  HTTP/1.1"),
    _start("tabs-between", b"POST\t/v1/completions\tHTTP/1.1"),
    _start("lf-between", b"POST\n/v1/completions\nHTTP/1.1"),
    _start("vt-between", b"POST\x0b/v1/completions\x0bHTTP/1.1"),
    _start("space-after", b"POST /v1/completions HTTP/1.1 "),
    _start("cr-after", b"POST /v1/completions HTTP/1.1\r"),
    _start("lf-ends", b"POST /v1/completions HTTP/1.1\nx: y"),
    _start("no-version", b"POST /v1/completions"),
    _start("09", b"GET /v1/models"),
    _start("version-0", b"POST /v1/completions HTTP/0.9", 505),
    _start("version-12", b"POST /v1/completions HTTP/1.2", 505),
    _start("version-2", b"POST /v1/completions HTTP/2.0", 505),
    _start("version-3", b"POST /v1/completions HTTP/3.0", 505),
    _start("version-lower", b"POST /v1/completions http/1.1"),
    _start("version-two-digits", b"POST /v1/completions HTTP/1.10"),
    _start("version-leading-zero", b"POST /v1/completions HTTP/01.1"),
    _start("version-no-minor", b"POST /v1/completions HTTP/1"),
    _start("version-no-dot", b"POST /v1/completions HTTP/11"),
    _start("version-space", b"POST /v1/completions HTTP/ 1.1"),
    _start("version-plus", b"POST /v1/completions HTTP/+1.1"),
    _start("version-prefix", b"POST /v1/completions xHTTP/1.1"),
    _start("version-suffix", b"POST /v1/completions HTTP/1.1x"),
    _start("version-other", b"POST /v1/completions ICY/1.1"),
    _start("8k", b"POST /v1/completions?" + b"a" * 8154 + b" HTTP/1.1", 200),
    _start("too-long", b"POST /v1/completions?" + b"a" * 8200 + b" HTTP/1.1", 414),
    _start("method-connect", b"CONNECT gw:80 HTTP/1.1", 501),
    _start("method-connect-path", b"CONNECT /v1/completions HTTP/1.1", 501),
    _start("method-trace", b"TRACE /v1/completions HTTP/1.1", 405),
    _start("method-pri", b"PRI * HTTP/2.0", 505),
    Case("line-preface-2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    Case("line-tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400,)),
    Case("line-lf-before", b"\nPOST /v1/completions HTTP/1.1\r\nhost: gw\r\n\r\n", (400,)),
    Case("line-crlf-twice-before", b"\r\n\r\n" + head(b"content-length: 13\r\n") + BODY, (400,)),
)


def _host(name: str, host: bytes, *statuses: int) -> Case:
    return Case(f"host-{name}", head(b"content-length: 13\r\n", host=host) + BODY, statuses or (400,))


HOSTS: Final = (
    _host("plain", b"host: gw\r\n", 200),
    _host("port", b"host: gw:8080\r\n", 200),
    _host("empty-port", b"host: gw:\r\n", 200),
    _host("ipv4", b"host: 127.0.0.1:80\r\n", 200),
    _host("ipv6", b"host: [::1]:80\r\n", 200),
    _host("underscore", b"host: my_gw\r\n", 200),
    _host("metadata", b"host: 169.254.169.254\r\n", 200),
    _host("missing", b""),
    _host("empty", b"host:\r\n"),
    _host("dup-same", b"host: gw\r\nhost: gw\r\n"),
    _host("dup-diff", b"host: gw\r\nHost: other\r\n"),
    _host("list", b"host: gw, other\r\n"),
    _host("space", b"host: g w\r\n"),
    _host("slash", b"host: gw/x\r\n"),
    _host("userinfo", b"host: u@gw\r\n"),
    _host("badport", b"host: gw:x\r\n"),
    _host("port-too-large", b"host: gw:65536\r\n"),
    _host("port-minus", b"host: gw:-1\r\n"),
    _host("two-ports", b"host: gw:1:2\r\n"),
    _host("ipv6-open", b"host: [::1\r\n"),
    _host("ipv6-junk", b"host: [::1]x\r\n"),
    _host("ipv6-name", b"host: [gw]\r\n"),
    _host("quote", b'host: "gw"\r\n'),
    _host("query", b"host: gw?x\r\n"),
    _host("fragment", b"host: gw#x\r\n"),
    _host("backslash", b"host: gw\\x\r\n"),
    _host("8-bit", b"host: gw\xff\r\n"),
    _host("nul", b"host: gw\x00\r\n"),
    _host("name-space", b"host : gw\r\n"),
)

_GOOD: Final = head(b"content-length: 13\r\n") + BODY
_MODELS: Final = b"GET /v1/models HTTP/1.1\r\nhost: gw\r\n\r\n"
_OLD: Final = head(b"content-length: 13\r\n", start=b"POST /v1/completions HTTP/1.0") + BODY

PIPELINES: Final = (
    Case("pipe-two", _GOOD * 2, (200, 200)),
    Case("pipe-many", _GOOD * 50, (200,) * 50),
    Case("pipe-own-and-engine", (_MODELS + _GOOD) * 10, (200,) * 20),
    Case("pipe-bad-second", _GOOD + b"BAD\r\n\r\n", (200, 400)),
    Case("pipe-bad-second-framing", _GOOD + head(b"content-length: +13\r\n") + BODY, (200, 400)),
    Case("pipe-unknown-path-between", _GOOD + b"GET /x HTTP/1.1\r\nhost: gw\r\n\r\n" + _GOOD, (200, 404, 200)),
    Case("pipe-refused-with-body", head(b"content-length: 13\r\n", start=b"POST /x HTTP/1.1") + BODY + _GOOD, (404,)),
    Case("pipe-crlf-between", _GOOD + b"\r\n" + _GOOD, (200, 200)),
    Case("pipe-after-close", head(b"connection: close\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200,)),
    Case("pipe-own-after-close", _MODELS.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + _MODELS, (200,)),
    Case("pipe-close-amid-own", _MODELS * 2 + _MODELS.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + _MODELS, (200,) * 3),
    Case("pipe-after-10", _OLD + _GOOD, (200,)),
    Case("pipe-after-10-keep-alive", _OLD.replace(b"@@", b"@@connection: keep-alive\r\n") + _GOOD, (200,)),
    Case("conn-close-list", head(b"connection: a, close\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200,)),
    Case("conn-close-second-line", head(b"connection: a\r\nconnection: close\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200,)),
    Case("conn-close-mixed-case", head(b"CONNECTION: CLOSE\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200,)),
    Case("expect-other", head(b"expect: 200-ok\r\ncontent-length: 13\r\n") + BODY, (417,)),
    Case("expect-list", head(b"expect: 100-continue, x\r\ncontent-length: 13\r\n") + BODY, (417,)),
    Case("expect-refused-unread", head(b"expect: 100-continue\r\ncontent-length: 99\r\n", start=b"POST /x HTTP/1.1"), (404,)),
    Case("expect-continue", head(b"expect: 100-continue\r\ncontent-length: 13\r\n") + BODY, (200,)),
    Case("expect-continue-10", _OLD.replace(b"@@", b"@@expect: 100-continue\r\n"), (200,)),
    Case("expect-dup", head(b"expect: 100-continue\r\nexpect: 100-continue\r\ncontent-length: 13\r\n") + BODY, (417,)),
    Case("upgrade-h2c", head(b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200, 200)),
    Case("upgrade-websocket", head(b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200, 200)),
    Case("upgrade-tls", head(b"connection: upgrade\r\nupgrade: TLS/1.2\r\ncontent-length: 13\r\n") + BODY + _GOOD, (200, 200)),
    Case("reflect-uri", b"GET /<script>alert(1)</script> HTTP/1.1\r\nhost: gw\r\n\r\n", (404,)),
    Case("reflect-host", b"GET /x HTTP/1.1\r\nhost: <script>\r\n\r\n", (400,)),
)  # fmt: skip

TABLES: Final = (LENGTHS, CODINGS, CHUNKS, HEADERS, START_LINES, HOSTS, PIPELINES)
