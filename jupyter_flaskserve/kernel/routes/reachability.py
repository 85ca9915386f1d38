"""Which rules can never match, because another rule takes their URLs.

For each rule sample URLs are made from its converters, and Werkzeug's matcher is asked where they
go. Where none reaches the rule, it probably never matches; a sample is no proof. A rule with a
converter for which no sample is known is taken to be reachable.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from werkzeug.routing import Rule

from .binding import Target, bound, default_host
from .converters import SHORT, argument_of, may_be_slow
from .matcher import PatternMatcher, Verdict
from .pattern import Token, tokens_of
from .table import RuleTable, converters_of

__all__ = ["Unreachable", "unreachable"]

_MOST_SAMPLES = 40  # of one rule
_AUTOMATIC = {"HEAD", "OPTIONS"}


class Unreachable(NamedTuple):
    """What is said of a rule that can probably never match.

    :ivar methods: with which methods.
    :ivar by: the rule that takes the first of these; empty where no rule does.
    :ivar text: a sentence about it.
    """

    methods: list[str]
    by: str
    text: str

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


class _Loss(NamedTuple):
    """A sample that goes elsewhere.

    :ivar winner: the index of the rule it goes to.
    :ivar refused: whether that rule takes no such value.
    """

    path: str
    winner: int
    refused: bool


def unreachable(table: RuleTable, seconds: float = 2.0) -> dict[int, Unreachable]:
    """The rules of a table that can probably never match, by their index.

    :param seconds: how long to look. Rules that are not looked at by then are taken to be
        reachable.
    """
    deadline = time.monotonic() + seconds
    search = _Search(table)
    found = {}
    for index in range(len(table.rules)):
        if time.monotonic() > deadline:
            break
        verdict = search.verdict(index)
        if verdict is not None:
            found[index] = verdict
    return found


class _Search:
    def __init__(self, table: RuleTable) -> None:
        self._table = table
        self._merges = table.url_map.merge_slashes
        self._all = PatternMatcher(table.rules, self._merges, checks_values=False)
        self._domains: dict[str, bool] = {}
        converters = (found for rule in table.rules for found in converters_of(rule).values())
        slow = any(may_be_slow(str(found.regex)) for found in converters)
        self._longest = SHORT if slow else None

    def verdict(self, index: int) -> Unreachable | None:
        rule = self._table.rules[index]
        if rule.build_only:
            return None
        domains = list(_samples(rule, self._table.domain_of(rule), self._longest))[:1]
        if not domains:
            return None
        if not self._is_served(domains[0]):
            return self._of_unserved_domain(rule)
        lost = {}
        for method in _methods_to_try(rule):
            loss = self._loss(index, domains[0], method)
            if loss is not None:
                lost[method] = loss
        return self._worded(rule, lost) if lost else None

    def _loss(self, index: int, domain: str, method: str) -> _Loss | None:
        """Where the samples of a rule go with a method; ``None`` where one reaches the rule."""
        rule = self._table.rules[index]
        loss = None
        for path in _samples(rule, rule.rule, self._longest):
            verdict = self._all.ask(domain, path, method, rule.websocket)
            if verdict.kind == "match" and verdict.winner == index:
                return None
            if verdict.kind == "redirect":
                there = self._all.ask(domain, verdict.path, method, rule.websocket)
                if there.winner == index:
                    return None
                verdict = there
            if verdict.winner is None or loss is not None:
                continue
            if self._ask_alone(rule, domain, path, method).kind != "match":
                continue  # the sample is none
            winner = self._table.rules[verdict.winner]
            refused = self._ask_alone(winner, domain, path, method).kind == "refused"
            loss = _Loss(path, verdict.winner, refused)
        return loss

    def _ask_alone(self, rule: Rule, domain: str, path: str, method: str) -> Verdict:
        matcher = PatternMatcher([rule], self._merges, checks_values=True)
        return matcher.ask(domain, path, method, rule.websocket)

    def _worded(self, rule: Rule, lost: dict[str, _Loss]) -> Unreachable:
        sentences = []
        for method, loss in lost.items():
            winner = self._table.rules[loss.winner]
            target = f"{winner.rule} ({winner.endpoint})"
            if winner.rule == rule.rule:
                target = f"the same rule of {winner.endpoint}, which was defined before it"
            sentence = f"{method} {_shown(loss.path)} goes to {target}"
            sentences.append(sentence + (", and is refused there" if loss.refused else ""))
        partly = set(_methods_to_try(rule)) - set(lost)
        start = f"With {_listed(list(lost))}, it" if partly else "It"
        first = next(iter(lost.values())).winner
        return Unreachable(
            methods=list(lost),
            by=self._table.rules[first].rule,
            text=f"{start} can probably never match: " + "; ".join(sentences) + ".",
        )

    def _is_served(self, domain: str) -> bool:
        """Whether requests for a host or subdomain can be recognised by the app."""
        if domain not in self._domains:
            self._domains[domain] = self._ask_flask(domain)
        return self._domains[domain]

    def _ask_flask(self, domain: str) -> bool:
        if self._table.url_map.host_matching:
            return domain != ""
        if domain == self._table.url_map.default_subdomain:
            return True
        host = f"{domain}.{default_host(self._table)}"
        try:
            adapter = bound(self._table, Target("http", host, "", "/"), "GET")
        except Exception:  # the app's own code may decide about hosts
            return True
        return adapter.subdomain == domain

    def _of_unserved_domain(self, rule: Rule) -> Unreachable:
        methods = _methods_to_try(rule)
        if self._table.url_map.host_matching:
            why = "this app matches hosts, and this rule names none"
        else:
            why = (
                f"it is for the subdomain {rule.subdomain}, and the app looks at subdomains only "
                "with Flask(..., subdomain_matching=True) and a SERVER_NAME"
            )
        return Unreachable(methods, "", f"It can probably never match: {why}.")


def _methods_to_try(rule: Rule) -> list[str]:
    """The methods that a rule was given, without those that Flask adds."""
    if rule.methods is None:
        return ["GET"]
    return sorted(set(rule.methods) - _AUTOMATIC)


def _samples(rule: Rule, text: str, longest: int | None) -> Iterator[str]:
    """Texts that a rule or its host takes.

    :param text: the rule, or the pattern of its host.
    :param longest: how many characters an argument may have.
    """
    converters = converters_of(rule)
    choices: list[Sequence[str]] = [
        (token.text,) if token.argument is None else _choices(token, converters, longest)
        for token in tokens_of(text)
    ]
    most = max((len(choice) for choice in choices), default=1)
    if not all(choices):
        return
    # Each choice of each argument comes up; then combinations of them.
    together = (tuple(choice[turn % len(choice)] for choice in choices) for turn in range(most))
    every = itertools.chain(together, itertools.product(*choices))
    seen = set()
    for sample in itertools.islice(every, _MOST_SAMPLES):
        if sample not in seen:
            seen.add(sample)
            yield "".join(sample)


def _choices(token: Token, converters: dict[str, Any], longest: int | None) -> Sequence[str]:
    name = str(token.argument)
    samples = argument_of(name, str(token.converter), converters[name]).samples
    return [text for text in samples if longest is None or len(text) <= longest]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _shown(path: str) -> str:
    return path if len(path) <= 80 else path[:79] + "\u2026"
