"""An app's rules, described for a person who looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from ..apps import is_flask
from .converters import Argument, argument_of
from .pattern import Token, tokens_of
from .reachability import unreachable
from .table import RuleTable, converters_of
from .views import ViewFacts, view_facts

__all__ = ["ANY_METHOD", "arguments_of", "describe", "shown_repr"]

#: What a rule takes that was given no methods.
ANY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_SOURCE_LIMIT = 4_000_000  # characters of all sources together
_REPR_LIMIT = 200  # characters


def describe(app: object) -> list[dict[str, Any]]:
    """The rules of an app in match order; of apps that are not Flask's, none.

    What each of them holds is plain JSON. Rules that Werkzeug never matches, because they only make
    URLs, come last; they have ``build_only`` set. The sources of all views together are bounded:
    after four million characters they are empty.
    """
    if not is_flask(app):
        return []
    assert isinstance(app, Flask)
    table = RuleTable.of(app)
    lost = unreachable(table)
    views: dict[int, ViewFacts] = {}
    room = _SOURCE_LIMIT
    routes = []
    for index, rule in enumerate(table.rules):
        view = table.views.get(rule.endpoint)
        facts = views.get(id(view))
        if facts is None:
            facts = views[id(view)] = view_facts(view)
        source = facts.source if len(facts.source) <= room else ""
        room -= len(source)
        loss = lost.get(index)
        arguments = arguments_of(rule)
        doc = facts.full_doc
        routes.append(
            {
                "index": index,
                "defined": table.defined[index],
                "rule": rule.rule,
                "parts": _parts(rule, arguments),
                "methods": sorted(ANY_METHOD if rule.methods is None else rule.methods),
                "endpoint": str(rule.endpoint),
                "doc_first": doc.partition("\n")[0],
                "doc": doc,
                "arguments": [argument.as_json() for argument in arguments],
                "view": facts.name,
                "cell": facts.cell,
                "file": facts.file,
                "line": facts.line,
                "source": source,
                "host": _host(table, rule),
                "static": facts.is_flasks and str(rule.endpoint).rpartition(".")[2] == "static",
                "websocket": rule.websocket,
                "alias": rule.alias,
                "build_only": rule.build_only,
                "redirects": rule.redirect_to is not None,
                "defaults": {
                    str(name): shown_repr(value) for name, value in (rule.defaults or {}).items()
                },
                "unreachable": None if loss is None else loss.as_json(),
            }
        )
    return routes


def arguments_of(rule: Rule) -> list[Argument]:
    """A rule's arguments in the order they come in its URLs, without those of its host."""
    converters = converters_of(rule)
    named: Mapping[str, Token] = {
        token.argument: token for token in tokens_of(rule.rule) if token.argument is not None
    }
    return [
        argument_of(name, str(token.converter), converters[name]) for name, token in named.items()
    ]


def shown_repr(value: object) -> str:
    """A value's ``repr``, cut."""
    try:
        text = repr(value)
    except Exception:  # the value's own code answers
        return f"<{type(value).__name__}>"
    return text if len(text) <= _REPR_LIMIT else text[: _REPR_LIMIT - 1] + "\u2026"


def _parts(rule: Rule, arguments: list[Argument]) -> list[dict[str, str | None]]:
    named = {argument.name: argument.converter for argument in arguments}
    return [
        {
            "text": token.text,
            "kind": "static" if token.argument is None else "argument",
            "converter": named.get(token.argument or ""),
            "argument": token.argument,
        }
        for token in tokens_of(rule.rule)
    ]


def _host(table: RuleTable, rule: Rule) -> str:
    domain = table.domain_of(rule)
    if not domain or table.url_map.host_matching:
        return domain
    return f"{domain}.{table.app.config.get('SERVER_NAME') or '*'}"
