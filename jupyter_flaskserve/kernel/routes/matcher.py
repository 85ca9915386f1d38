"""Werkzeug's matcher, asked about patterns alone.

A URL map also follows redirects, runs the app's own converters, and may change while it is asked.
So what is asked here is a matcher of our own, of Werkzeug's class, with copies of the rules: the
same parts, but converters that run no code of the app.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from werkzeug.routing import BaseConverter, Rule, ValidationError
from werkzeug.routing.exceptions import NoMatch, RequestPath
from werkzeug.routing.matcher import StateMachineMatcher

from .converters import WERKZEUGS
from .table import converters_of

__all__ = ["PatternMatcher", "Verdict"]


class Verdict(NamedTuple):
    """What becomes of a URL.

    :ivar kind: ``match``; ``redirect`` to a path with a slash added or slashes merged; ``method``
        or ``websocket`` where that alone does not fit; ``refused`` where the pattern fits and the
        converter does not take the value, after which Werkzeug tries no other rule; ``none``.
    :ivar winner: the index of the rule that matched.
    :ivar path: where the redirect goes.
    :ivar methods: the methods that would fit.
    """

    kind: Literal["match", "redirect", "method", "websocket", "refused", "none"]
    winner: int | None = None
    path: str = ""
    methods: frozenset[str] = frozenset()


class PatternMatcher:
    """Some rules.

    :param rules: in match order.
    :param merge_slashes: the URL map's setting.
    :param checks_values: whether Werkzeug's own converters check the values, such as the greatest
        number.
    """

    def __init__(self, rules: Sequence[Rule], merge_slashes: bool, checks_values: bool) -> None:
        self._matcher = StateMachineMatcher(merge_slashes)
        self._copies: list[Rule] = []
        self._indexes: dict[int, int] = {}
        for index, rule in enumerate(rules):
            if rule.build_only:
                continue
            twin = copy.copy(rule)
            twin.alias = False
            twin._converters = {
                name: converter
                if checks_values and type(converter) in WERKZEUGS
                else BaseConverter(rule.map)
                for name, converter in converters_of(rule).items()
            }
            self._copies.append(twin)
            self._indexes[id(twin)] = index
            self._matcher.add(twin)
        self._matcher.update()

    def ask(self, domain: str, path: str, method: str, websocket: bool) -> Verdict:
        """What becomes of a URL.

        :param domain: the host or subdomain, as the URL map's adapter has it.
        :param path: with its first slash, decoded.
        """
        try:
            rule, _ = self._matcher.match(domain, path, method, websocket)
        except RequestPath as redirect:
            return Verdict("redirect", path=redirect.path_info)
        except NoMatch as no:
            if isinstance(no.__context__, ValidationError):
                return Verdict("refused")
            if no.have_match_for:
                return Verdict("method", methods=frozenset(no.have_match_for))
            return Verdict("websocket" if no.websocket_mismatch else "none")
        except (re.error, OverflowError):  # a converter's pattern is none
            return Verdict("none")
        return Verdict("match", self._indexes[id(rule)])
