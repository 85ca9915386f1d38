"""An app's rules as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0).

The rules say which URLs there are and what their arguments may be. What a view wants in a body and
what it returns, they do not say; so the document says nothing of that either.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Flask
from werkzeug.routing import Rule

from ..apps import is_flask
from .converters import Argument, argument_of
from .description import ANY_METHOD
from .pattern import tokens_of
from .table import RuleTable, converters_of
from .views import ViewFacts, view_facts

__all__ = ["openapi"]

_VERSION = "3.1.0"
# The methods that a path item has a field for, without HEAD and OPTIONS.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
_AUTOMATIC = ("HEAD", "OPTIONS")
_WITH_BODY = ("POST", "PUT", "PATCH")
_SAFE = "!$&'()*+,/:;=@"  # what Werkzeug leaves as it is in the URLs it makes


def openapi(app: object, *, title: str, server: str = "") -> dict[str, Any]:
    """An OpenAPI document of an app's rules. Rules for WebSockets and those that only make URLs are
    left out, and HEAD and OPTIONS where there are other methods.

    :param title: the document's title.
    :param server: the URL or path that the app is at.
    """
    document: dict[str, Any] = {"openapi": _VERSION, "info": {"title": title, "version": "0"}}
    if server:
        document["servers"] = [{"url": server.replace("{", "%7B").replace("}", "%7D")}]
    if not is_flask(app):
        document["info"]["description"] = (
            "This app is not made with Flask, so its routes are not known."
        )
        return {**document, "paths": {}}
    assert isinstance(app, Flask)
    paths = _Paths(RuleTable.of(app))
    document["paths"] = paths.items
    if paths.tags:
        document["tags"] = [{"name": name} for name in paths.tags]
    return document


class _Paths:
    """The document's path items.

    :ivar items: by their path.
    :ivar tags: the blueprints that have one.
    """

    def __init__(self, table: RuleTable) -> None:
        self.items: dict[str, Any] = {}
        self.tags: list[str] = []
        self._table = table
        self._views: dict[int, ViewFacts] = {}
        self._operation_ids: set[str] = set()
        # Paths that differ in nothing but their arguments' names are one and the same.
        self._alike: dict[str, tuple[str, list[str]]] = {}
        for rule in table.rules:
            if not (rule.build_only or rule.websocket):
                self._add(rule)

    def _add(self, rule: Rule) -> None:
        path, arguments = _templated(rule)
        shape = re.sub(r"\{[^}]*\}", "{}", path)
        path, names = self._alike.setdefault(shape, (path, [name for name, _ in arguments]))
        item = self.items.setdefault(path, {})
        known, others = _methods(rule)
        if others:
            _note(
                item, f"{rule.rule} takes {', '.join(others)}, too. OpenAPI has no field for that."
            )
        parameters = [
            _parameter(name, argument) for name, (_, argument) in zip(names, arguments, strict=True)
        ]
        for method in known:
            operation = item.get(method.lower())
            if operation is None:
                item[method.lower()] = self._operation(rule, method, copy.deepcopy(parameters))
            else:
                _merge(operation, rule, parameters)

    def _operation(
        self, rule: Rule, method: str, parameters: list[dict[str, Any]]
    ) -> dict[str, Any]:
        facts = self._facts(rule)
        summary, _, description = facts.docs.get(method, facts.doc).partition("\n")
        operation: dict[str, Any] = {"operationId": self._operation_id(rule, method)}
        blueprint = str(rule.endpoint).rpartition(".")[0]
        if blueprint in self._table.blueprints:
            operation["tags"] = [blueprint]
            if blueprint not in self.tags:
                self.tags.append(blueprint)
        if summary:
            operation["summary"] = summary
        if description.strip():
            operation["description"] = description.strip()
        for remark in self._remarks(rule):
            _note(operation, remark)
        if parameters:
            operation["parameters"] = parameters
        if method in _WITH_BODY:
            operation["requestBody"] = {"content": {"*/*": {}}}
        operation["responses"] = {"default": {"description": "What the view returns."}}
        return operation

    def _facts(self, rule: Rule) -> ViewFacts:
        view = self._table.views.get(rule.endpoint)
        if id(view) not in self._views:
            self._views[id(view)] = view_facts(view)
        return self._views[id(view)]

    def _operation_id(self, rule: Rule, method: str) -> str:
        endpoint = str(rule.endpoint)
        named = f"{endpoint}_{method.lower()}"
        numbered = (f"{named}_{number}" for number in itertools.count(2))
        free = (
            name
            for name in itertools.chain((endpoint, named), numbered)
            if name not in self._operation_ids
        )
        operation_id = next(free)
        self._operation_ids.add(operation_id)
        return operation_id

    def _remarks(self, rule: Rule) -> Iterator[str]:
        domain = self._table.domain_of(rule)
        if domain:
            kind = "host" if self._table.url_map.host_matching else "subdomain"
            yield f"Only for the {kind} `{domain}`."
        if rule.alias:
            yield f"Redirects to another rule of `{rule.endpoint}`."
        elif rule.redirect_to is not None:
            yield "Redirects."


def _templated(rule: Rule) -> tuple[str, list[tuple[str, Argument]]]:
    """A rule as a path template, and its arguments by their names there."""
    converters = converters_of(rule)
    path = ""
    arguments: list[tuple[str, Argument]] = []
    for token in tokens_of(rule.rule):
        if token.argument is None:
            path += quote(token.text, safe=_SAFE)
            continue
        name, taken = token.argument, [name for name, _ in arguments]
        if name in taken:  # Werkzeug lets a rule use a name twice
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            name = next(free for free in numbered if free not in taken)
        path += f"{{{name}}}"
        argument = argument_of(token.argument, str(token.converter), converters[token.argument])
        arguments.append((name, argument))
    return path, arguments


def _methods(rule: Rule) -> tuple[list[str], list[str]]:
    """A rule's methods: those the document has operations for, and those it has no field for."""
    given = ANY_METHOD if rule.methods is None else rule.methods
    known = [method for method in _METHODS if method in given]
    others = sorted(set(given) - {*_METHODS, *_AUTOMATIC})
    if not known and not others:
        known = [method for method in _AUTOMATIC if method in given]
    return known, others


def _parameter(name: str, argument: Argument) -> dict[str, Any]:
    """A parameter object."""
    description = argument.takes[0].upper() + argument.takes[1:] + "."
    if argument.name != name:
        description += f" The app calls it {argument.name}."
    if argument.type == "path":
        description += " OpenAPI itself allows no slashes in a path parameter."
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": _schema(argument),
    }


def _schema(argument: Argument) -> dict[str, Any]:
    """What an argument may be, as JSON Schema."""
    if argument.type in ("int", "float"):
        schema: dict[str, Any] = {"type": "integer" if argument.type == "int" else "number"}
        least = argument.minimum if argument.signed else max(argument.minimum or 0, 0)
        if least is not None:
            schema["minimum"] = least
        if argument.maximum is not None:
            schema["maximum"] = argument.maximum
        return schema
    if argument.type == "any":
        return {"type": "string", "enum": list(dict.fromkeys(argument.options))}
    if argument.type == "uuid":
        return {"type": "string", "format": "uuid"}
    schema = {"type": "string"}
    if argument.shortest is not None and argument.shortest > 0:
        schema["minLength"] = argument.shortest
    if argument.longest is not None:
        schema["maxLength"] = argument.longest
    return schema


def _merge(operation: dict[str, Any], rule: Rule, parameters: list[dict[str, Any]]) -> None:
    """Add to an operation what another rule of the same path and method takes."""
    _note(
        operation,
        f"Also the rule `{rule.rule}` (`{rule.endpoint}`): OpenAPI has no two for one path.",
    )
    for mine, other in zip(operation.get("parameters", ()), parameters, strict=True):
        schemas = mine["schema"].get("anyOf", [mine["schema"]])
        if other["schema"] not in schemas:
            mine["schema"] = {"anyOf": [*schemas, other["schema"]]}
            mine["description"] += f" Or: {other['description']}"


def _note(described: dict[str, Any], remark: str) -> None:
    before = described.get("description")
    described["description"] = f"{before}\n\n{remark}" if before else remark
