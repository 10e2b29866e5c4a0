"""Small fields out of a form (RFC 7578), without copying the file that comes with them.

Libraries for this hand out copies; what is needed is where a field is, so that one can be replaced and every other
byte sent on as it came.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

MAX_PARTS: Final = 128
MAX_PART_HEAD_BYTES: Final = 4096
MAX_FIELD_BYTES: Final = 4096

_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_BOUNDARY_PARAMETER: Final = re.compile(rb';[\t ]*boundary=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_NAME_PARAMETER: Final = re.compile(rb';[\t ]*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE_PARAMETER: Final = re.compile(rb";[\t ]*filename\*?=", re.IGNORECASE)

#: Where a field's value begins and ends.
Span = tuple[int, int]


class BadForm(Exception):
    """It is not a form that could be read.

    @ivar status: 400; 415 where it does not even claim to be one.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def boundary_of(content_type: bytes | None) -> bytes:
    """The boundary that a C{Content-Type} names.

    @raise BadForm: it is not that of a form, or names none.
    """
    kind = (content_type or b"").partition(b";")[0].strip().lower()
    if content_type is None or kind != b"multipart/form-data":
        raise BadForm(f"content-type {kind.decode('latin-1')!r}: expected multipart/form-data", 415)
    found = _BOUNDARY_PARAMETER.findall(content_type)
    boundary: bytes = b"".join(found[0]) if len(found) == 1 else b""
    if _BOUNDARY.fullmatch(boundary) is None:
        raise BadForm("content-type multipart/form-data: expected one boundary of 1 to 70 characters")
    return boundary


def fields_of(body: bytes, boundary: bytes, names: Collection[str]) -> dict[str, Span]:
    """Where the fields of these names are.

    @raise BadForm: the form is broken, is not closed, or has one of them twice or as a file.
    """
    delimiter = b"\r\n--" + boundary
    at = len(delimiter) - 2
    if not body.startswith(delimiter[2:]):
        raise BadForm("the form does not begin with its boundary")
    fields: dict[str, Span] = {}
    for _ in range(MAX_PARTS):
        after = body[at : at + 2]
        if after == b"--":
            return fields
        head_end = body.find(b"\r\n\r\n", at, at + MAX_PART_HEAD_BYTES)
        if after != b"\r\n" or head_end < 0:
            raise BadForm("a part of the form has no head, or one that does not end")
        start = head_end + 4
        end = body.find(delimiter, start)
        if end < 0:
            raise BadForm("the form does not end with its boundary")
        name = _name_of(body[at + 2 : head_end + 2])
        if name in names:
            if name in fields:
                raise BadForm(f"the field {name!r} comes twice: expected it once")
            if end - start > MAX_FIELD_BYTES:
                raise BadForm(f"the field {name!r} has {end - start} bytes: expected {MAX_FIELD_BYTES} at most")
            fields[name] = (start, end)
        at = end + len(delimiter)
    raise BadForm(f"the form has more than {MAX_PARTS} parts")


def _name_of(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            found = _NAME_PARAMETER.findall(value)
            if len(found) != 1 or not value.strip().lower().startswith(b"form-data"):
                raise BadForm("a part of the form has no name, or several")
            if _FILE_PARAMETER.search(value):
                return ""
            name: bytes = b"".join(found[0])
            return name.decode("latin-1")
    raise BadForm("a part of the form has no content-disposition")
