"""The rules of an app at one moment, in the order in which Werkzeug tries them.

Werkzeug keeps rules in a tree of their parts, split at slashes. Of the branches that fit a URL's
next part it takes plain text first, then those with arguments: more plain text in the part before
less, then by the weight of the converters (``int`` and ``float`` before ``string``, ``path``
last), then as they were added. Rules with the very same parts are tried as they were added. So the
match order is that of a walk through this tree; only rules that differ in plain text at the same
place have no order, because no URL fits both.

Only this module and :mod:`.matcher` read what Werkzeug does not document: the tree, and each rule's
converters.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask
from werkzeug.routing import BaseConverter, Map, Rule

from ..cells.runs import current_run

__all__ = ["RuleTable", "converters_of"]

_ATTEMPTS = 100


@dataclass(frozen=True)
class RuleTable:
    """The rules of an app.

    :ivar rules: in match order; last those that only make URLs.
    :ivar defined: for each of the rules, its place in the order of definition. Flask keeps that
        for endpoints; of one endpoint's rules those with more arguments count as earlier.
    :ivar views: the view functions by endpoint.
    :ivar blueprints: the names of the registered blueprints.
    """

    app: Flask
    url_map: Map
    rules: list[Rule]
    defined: list[int]
    views: Mapping[str, Any]
    blueprints: frozenset[str]

    @classmethod
    def of(cls, app: Flask) -> RuleTable:
        """The rules of an app as its requests see them; within a cell, as the cell sees them."""
        url_map, views, blueprints = _registrations(app)
        added = _added(url_map)
        places = {id(rule): place for place, rule in enumerate(added)}
        tried = [rule for rule in _walk(url_map) if id(rule) in places]
        seen = {id(rule) for rule in tried}
        rules = tried + [rule for rule in added if id(rule) not in seen]
        return cls(
            app=app,
            url_map=url_map,
            rules=rules,
            defined=[places[id(rule)] for rule in rules],
            views=dict(views),
            blueprints=frozenset(blueprints),
        )

    def index_of(self, rule: Rule) -> int | None:
        """A rule's place in the match order; ``None`` for one that was not there."""
        found = (index for index, known in enumerate(self.rules) if known is rule)
        return next(found, None)

    def domain_of(self, rule: Rule) -> str:
        """The pattern of the host or subdomain that a rule is for; empty where it has none."""
        return (rule.host if self.url_map.host_matching else rule.subdomain) or ""


def converters_of(rule: Rule) -> dict[str, BaseConverter]:
    """A rule's converters by the names of its arguments, those of its host first."""
    return dict(rule._converters)


def _registrations(app: Flask) -> tuple[Map, Mapping[str, Any], Mapping[str, Any]]:
    # An app can be a notebook's only where this module is in use.
    rerun = sys.modules.get("jupyter_flaskserve.kernel.cells.rerun")
    published = rerun.published_of(app) if rerun is not None else None
    if published is None or current_run() is not None:
        return app.url_map, app.view_functions, app.blueprints
    return cast(
        "tuple[Map, Mapping[str, Any], Mapping[str, Any]]",
        tuple(published.get(app, name) for name in ("url_map", "view_functions", "blueprints")),
    )


def _added(url_map: Map) -> list[Rule]:
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(RuntimeError):  # a dict changed its size meanwhile
            return list(url_map.iter_rules())
    # It changes all the time. This waits for nobody, but does not sort what has just been added.
    return [rule for rules in list(url_map._rules_by_endpoint.values()) for rule in list(rules)]


def _walk(url_map: Map) -> Iterator[Rule]:
    states = [url_map._matcher._root]
    while states:
        state = states.pop()
        yield from list(state.rules)
        branches = [*list(state.static.values()), *(branch for _, branch in list(state.dynamic))]
        states.extend(reversed(branches))
