"""The description of the admin API.  That the API is what it says is tested in tests/packaging/test_openapi.py."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica_url import parse_replica_url
from aibrix_twisted.service.admin.openapi import OPERATIONS, openapi_document
from tests.service.admin.listener import Listener

DOCUMENT = openapi_document()

_URL = DOCUMENT["components"]["schemas"]["ReplicaTable"]["properties"]["url"]["pattern"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for each in value.values() for ref in _references(each)]
    return [ref for each in value for ref in _references(each)] if isinstance(value, list) else []


class DescriptionTests(SynchronousTestCase):
    """C{/api/openapi.json}."""

    def test_it_is_served(self) -> None:
        """As it is made."""
        self.assertEqual(Listener().ask(b"GET", b"/api/openapi.json").document, DOCUMENT)

    def test_every_path_is_there(self) -> None:
        """Whatever it names answers, and a method that it does not name is refused with those that it does."""
        for operation in OPERATIONS:
            path = operation.path.replace("{name}", "gpu0").replace("{id}", "nobody").encode()
            said = Listener().ask(b"TRACE", path)
            self.assertEqual(said.status, 405, path)
            self.assertIn(operation.method.upper().encode(), said.headers[b"allow"].split(b", "))
            named = {one.method.upper() for one in OPERATIONS if one.path == operation.path}
            self.assertEqual(set(said.headers[b"allow"].decode().split(", ")) - {"HEAD"}, named)

    def test_every_path_of_the_api_is_described(self) -> None:
        """What stands below C{/api} in the tree of resources is described."""
        site = Listener().site
        listed = {name.decode() for name in site.resource.children[b"api"].children}
        self.assertEqual(listed, {operation.path.split("/")[2] for operation in OPERATIONS})

    def test_references(self) -> None:
        """Each leads somewhere."""
        schemas = DOCUMENT["components"]["schemas"]
        for reference in _references(DOCUMENT):
            self.assertIn(reference.removeprefix("#/components/schemas/"), schemas)

    def test_ids_are_unique(self) -> None:
        """Generated clients name their functions by them."""
        ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertIn("post_replicas_name_drain", ids)

    def test_texts(self) -> None:
        """No mark of the docstrings' language is left, and what a base says of a property is said where it is used."""
        self.assertIsNone(re.search(r"@ivar|[CL]\{", str(DOCUMENT)))
        schemas = DOCUMENT["components"]["schemas"]
        self.assertEqual(schemas["Timeline"]["properties"]["ttft_s"], schemas["Request"]["properties"]["ttft_s"])
        self.assertEqual(schemas["ReplicaTable"]["properties"]["url"]["description"], "http[s]://host[:port][/prefix].")

    def test_only_changes_ask_for_the_token(self) -> None:
        """Reads are free."""
        for methods in DOCUMENT["paths"].values():
            for method, operation in methods.items():
                self.assertEqual("security" in operation, method != "get")

    @settings(deadline=None)
    @given(st.from_regex(_URL.removesuffix("$") + r"\Z"))
    def test_urls(self, url: str) -> None:
        """Whatever the pattern allows is a URL for us."""
        parse_replica_url(url)
