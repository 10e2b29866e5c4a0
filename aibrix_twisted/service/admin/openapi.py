"""The admin API's description, in OpenAPI 3.1.

Documents are described by their declarations in L{shapes}, tables of replicas by L{ReplicaSettings}, queries by the
parameters that read them; only what ties them together stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from aibrix_twisted import __version__
from aibrix_twisted.domain.settings import ReplicaSettings, ReplicaTlsSettings
from aibrix_twisted.service.admin import event_shapes, events, requests, route_shapes, shapes, stats_shapes
from aibrix_twisted.service.admin.fleet import FILES
from aibrix_twisted.service.admin.query import Parameter, a_text
from aibrix_twisted.service.admin.routing import JSON_LINES

_REF: Final = "#/components/schemas/"

_JSON: Final = "application/json"

#: An IPv6 address: its eight groups, or fewer with a gap somewhere.
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_IPV6: Final = "|".join(
    (
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)),
        f":(:{_GROUP}){{1,7}}",
        "::",
    )
)

_PORT: Final = "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{0,4})"

#: What L{parse_replica_url} takes.
_URL: Final = rf"^https?://([A-Za-z0-9._-]+|\[({_IPV6})\])(:{_PORT})?(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*$"

#: A host's name, or an address.
_HOST: Final = r"^([A-Za-z0-9._-]*|[0-9A-Fa-f:.]*)$"

_VISIBLE: Final = "^[!-~]+$"

_IVAR: Final = re.compile(r"\s*@ivar (\w+): (.+?)(?=\s*@ivar|\s*\Z)", re.DOTALL)
_MARKUP: Final = re.compile(r"[CL]\{([^{}]*)\}")

_NAME: Final = a_text("name", "The replica's name.")
_ID: Final = a_text("id", "The request's id: the client's x-request-id where it is fit, else the one it was given.")
TTL: Final = Parameter(
    "ttl",
    "It leaves unless it is said again within so many seconds; without it, it stays.",
    "",
    {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
    float,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of a path does.

    @ivar answer: the shape of its document; C{None}: any.
    @ivar failures: statuses with an error document, and when they come.
    @ivar body: of the request: none, may be there, or must.
    @ivar takes: the shape of that body; C{None}: a table of a replica.
    """

    method: str
    path: str
    text: str
    answer: Any
    failures: Mapping[int, str]
    status: int = 200
    query: Sequence[Parameter] = ()
    body: str = ""
    takes: Any = None
    more: Mapping[int, str] | None = None


_QUERY: Final = {400: "A parameter is unknown, given twice, or not what it is expected to be; the error says which."}
_WRITES: Final = {
    401: "The listener can be reached from other hosts, and the admin token is missing or wrong.",
    403: "The change comes from a page of another origin, or from another host where no token is configured.",
}
_BODY: Final = {400: "The body is no table of a replica; problems has every fault.", 413: "The body is too large."}
_NONE: Final = {404: "There is no such replica."}
_TAKEN: Final = {409: "There is such a replica already, and it is not of this API."}


def _verb(name: str, text: str) -> Operation:
    return Operation("post", f"/api/replicas/{{name}}/{name}", text, shapes.Replica, _WRITES | _NONE)


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("get", "/api/requests", "Requests under way, and the last that are over.", shapes.Requests, _QUERY,
              query=requests.FILTERS),
    Operation("get", "/api/requests/{id}", "One request's timeline; of two with one id, the newer's.", shapes.Timeline,
              {404: "It is not known, or not any more."}),
    Operation("get", "/api/explain/{id}", "Why a request went where it did; of two with one id, the newer.",
              route_shapes.Explanation, {404: "Nothing is recorded of it, or not any more."}),
    Operation("post", "/api/route", "Where a request would go now; it is not sent.", route_shapes.RouteAnswer,
              _WRITES | {400: "The question is none; the error says what was expected.", 413: _BODY[413]},
              body="required", takes=route_shapes.RouteQuestion),
    Operation("get", "/api/flights", "Recorded decisions, as lines of JSON that can be replayed.", None, {}),
    Operation("get", "/api/fleet", "Replicas and models with their load, and how they did.", stats_shapes.FleetNow, {}),
    Operation("get", "/api/stats", "How the gateway is, and how it did over the last seconds.", stats_shapes.Stats, {}),
    Operation("get", "/api/events", "What happens, as it happens: server-sent events, until the reader leaves.", None,
              _QUERY | {503: "There are too many readers."}, query=events.PARAMETERS),
    Operation("get", "/api/replicas", "Every replica, and what is wrong with whoever names them.", shapes.Replicas, {}),
    Operation("post", "/api/replicas", "Add a replica, which stays until it is removed.", shapes.Replica,
              _WRITES | _BODY | _TAKEN, status=201, body="required"),
    Operation("put", "/api/replicas/{name}", "Add or change a replica, or renew its lease with an empty body.",
              shapes.Replica, _WRITES | _BODY | _NONE | _TAKEN, query=(TTL,), body="optional",
              more={201: "It is new."}),
    Operation("delete", "/api/replicas/{name}", "Remove a replica; what is under way there is finished.",
              shapes.Replica, _WRITES | _NONE | {409: "It is not of this API: remove it where it stands."}, status=202),
    _verb("drain", "Give it nothing new."),
    _verb("undrain", "Give it requests again."),
    _verb("eject", "Use it only where nothing else is left."),
    _verb("restore", "Take an ejection back."),
    Operation("get", "/api/models", "Every model that is served or configured.", shapes.Models, {}),
    Operation("post", "/api/reload", "Read the configuration again.", shapes.Reloaded,
              _WRITES | {422: "It cannot be used; problems has every fault, and nothing has changed."}),
    Operation("get", "/api/openapi.json", "This document.", None, {}),
)  # fmt: skip


def openapi_document() -> dict[str, Any]:
    """The whole description."""
    kinds = [operation.answer for operation in OPERATIONS if operation.answer is not None]
    kinds += [operation.takes for operation in OPERATIONS if operation.takes is not None]
    kinds += [shapes.Error, *event_shapes.EVENTS.values()]
    names = [*dict.fromkeys(kind.__name__ for kind in kinds)]
    by_name = {kind.__name__: kind for kind in kinds}
    _, made = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter(by_name[name])) for name in names], ref_template=_REF + "{model}"
    )
    known = vars(shapes) | vars(stats_shapes) | vars(event_shapes) | vars(route_shapes)
    schemas = {name: _described(schema, _texts_of(known.get(name))) for name, schema in made["$defs"].items()}
    schemas["RouteQuestion"]["additionalProperties"] = False
    schemas["ReplicaTable"], schemas["NamedReplicaTable"] = _replica_table(), _replica_table()
    del schemas["NamedReplicaTable"]["properties"]["name"]  # the path has it
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aibrix-gateway admin API",
            "version": __version__,
            "description": "Reads are free to whoever reaches the admin listener; changes need the admin token where "
            "other hosts can reach it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"admin_token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {str(operation.status): _answer(operation.text, operation)}
    for status, text in (operation.more or {}).items():
        answers[str(status)] = _answer(text, operation)
    for status, text in sorted(operation.failures.items()):
        content = {_JSON: {"schema": {"$ref": _REF + "Error"}}}
        answers[str(status)] = {"description": text, "content": content}
    said: dict[str, Any] = {
        "summary": operation.text,
        "operationId": _id_of(operation),
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": answers,
    }
    if operation.method != "get":
        said["security"] = [{}, {"admin_token": []}]
    if operation.body:
        table = "NamedReplicaTable" if operation.method == "put" else "ReplicaTable"
        if operation.takes is not None:
            table = operation.takes.__name__
        content = {_JSON: {"schema": {"$ref": _REF + table}}}
        said["requestBody"] = {"required": operation.body == "required", "content": content}
    return said


def _answer(text: str, operation: Operation) -> dict[str, Any]:
    if operation.path == "/api/events":
        schema: dict[str, Any] = {"description": "Each event.", "oneOf": [_event(name) for name in event_shapes.EVENTS]}
        return {"description": text, "content": {"text/event-stream": {"schema": schema}}}
    if operation.path == "/api/flights":
        return {"description": text, "content": {JSON_LINES: {"schema": {"type": "string"}}}}
    schema = {"type": "object"} if operation.answer is None else {"$ref": _REF + operation.answer.__name__}
    return {"description": text, "content": {_JSON: {"schema": schema}}}


def _event(name: str) -> dict[str, Any]:
    """As OpenAPI 3.2 and those tools have it that know of server-sent events: an object of the event's fields."""
    document = {"$ref": _REF + event_shapes.EVENTS[name].__name__}
    data = {"type": "string", "contentMediaType": _JSON, "contentSchema": document}
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"event": {"type": "string", "const": name}, "data": data},
    }


def _id_of(operation: Operation) -> str:
    """Such as C{post_replicas_name_drain}."""
    parts = re.findall(r"\w+", operation.path.removeprefix("/api"))
    return "_".join([operation.method, *parts])


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for parameter in (_NAME, _ID):
        if f"{{{parameter.name}}}" in path:
            schema = {"type": "string", "pattern": _VISIBLE}
            yield {"name": parameter.name, "in": "path", "required": True, "description": parameter.text,
                   "schema": schema}  # fmt: skip


def _query_parameters(query: Sequence[Parameter]) -> Iterable[dict[str, Any]]:
    for parameter in query:
        yield {"name": parameter.name, "in": "query", "description": parameter.text, "schema": dict(parameter.schema)}


def _replica_table() -> dict[str, Any]:
    """As C{[[replica]]}, but for files, which only the configuration names."""
    schema = _described(TypeAdapter(ReplicaSettings).json_schema(), _texts_of(ReplicaSettings))
    (tls,) = schema.pop("$defs").values()
    properties = schema["properties"]
    del properties["api_key_file"]
    tls = _described(tls, _texts_of(ReplicaTlsSettings))
    for name in FILES:
        del tls["properties"][name]
    tls["additionalProperties"] = False
    tls["properties"]["server_name"]["pattern"] = _HOST
    properties["tls"]["anyOf"] = [tls, {"type": "null"}]
    schema["anyOf"] = [{"properties": {"tls": {"type": "null"}}}, {"properties": {"url": {"pattern": "^https://"}}}]
    properties["url"]["pattern"], properties["name"]["pattern"] = _URL, _VISIBLE.replace("+", "*")
    schema["additionalProperties"] = False
    return schema


def _described(schema: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """With what its docstring says of each property at the property."""
    schema.pop("title", None)
    if "description" in schema:
        schema["description"] = _plain(schema["description"].partition("@ivar")[0])
    for name, each in schema.get("properties", {}).items():
        each.pop("title", None)
        if name in texts:
            each["description"] = texts[name]
    return schema


def _texts_of(kind: Any) -> dict[str, str]:
    """What its docstring says of each property, and what its bases' do."""
    found: dict[str, str] = {}
    for base in getattr(kind, "__orig_bases__", ()):
        found |= _texts_of(base) if hasattr(base, "__orig_bases__") else {}
    return found | {name: _plain(said) for name, said in _IVAR.findall(kind.__doc__ or "")}


def _plain(text: str) -> str:
    """One line, without the marks of the docstring's language."""
    return " ".join(_MARKUP.sub(r"\1", text).split())
