"""Why a rule is not the one that a URL goes to, in a sentence for somebody who learns Flask."""

from __future__ import annotations

from typing import NamedTuple

from werkzeug.routing import Rule

from .converters import Argument, argument_of
from .matcher import PatternMatcher, Verdict
from .pattern import Part, part_of_domain, parts_of, tokens_of
from .table import RuleTable, converters_of

__all__ = ["Asked", "Reason", "alone", "reason"]


class Asked(NamedTuple):
    """A request, as the URL map's adapter has it.

    :ivar domain: the host, or the subdomain.
    """

    domain: str
    path: str
    method: str
    websocket: bool


class Reason(NamedTuple):
    """Why a rule lost.

    :ivar kind: ``path``, ``converter``, ``method``, ``slash``, ``later``, ``host`` or
        ``build-only``.
    """

    kind: str
    text: str


def alone(table: RuleTable, rule: Rule, asked: Asked) -> Verdict:
    """What would become of a request if there were no other rule."""
    matcher = PatternMatcher([rule], table.url_map.merge_slashes, checks_values=True)
    return matcher.ask(*asked)


def reason(
    table: RuleTable, index: int, verdict: Verdict, chosen: int | None, asked: Asked
) -> Reason:
    """Why a rule lost.

    :param verdict: what :func:`alone` said of it.
    :param chosen: the rule that matched by its pattern, where there is one, even if its converter
        then refused the value.
    """
    rule = table.rules[index]
    if rule.build_only:
        return Reason("build-only", "It is only for making URLs with url_for; it never matches.")
    if verdict.kind == "method":
        return _of_method(rule, verdict, asked)
    if verdict.kind == "websocket":
        return Reason("method", _of_websocket(rule))
    if verdict.kind == "refused":
        return _refused(rule, asked)
    if verdict.kind == "redirect" and verdict.path == asked.path + "/":
        return Reason("slash", f"It would match with a slash at the end: {_quoted(verdict.path)}.")
    if verdict.kind == "redirect":
        text = f"It would match with single slashes: {_quoted(verdict.path)}."
        return Reason("slash", text)
    if verdict.kind == "match" and index == chosen:
        return Reason("converter", "Its pattern fits, but its converter does not take the value.")
    if verdict.kind == "match" and chosen is not None:
        return Reason("later", _later(table, index, chosen, asked))
    return _misfit(table, rule, asked)


def _of_method(rule: Rule, verdict: Verdict, asked: Asked) -> Reason:
    methods = sorted(verdict.methods - {"HEAD", "OPTIONS"}) or sorted(verdict.methods)
    text = f"It fits, but takes only {_listed(methods)}, not {asked.method}."
    return Reason("method", text)


def _of_websocket(rule: Rule) -> str:
    if rule.websocket:
        return "It fits, but is for WebSockets: its URL begins with ws:// or wss://."
    return "It fits, but is not for WebSockets."


def _refused(rule: Rule, asked: Asked) -> Reason:
    arguments = [_argument(rule, name) for name in converters_of(rule)]
    limited = [argument for argument in arguments if argument.type in ("int", "float")]
    limits = _listed([f"<{argument.name}> takes {argument.takes}" for argument in limited])
    text = f"Its pattern fits, but not the value in {_quoted(asked.path)}: {limits}."
    return Reason("converter", text)


def _later(table: RuleTable, index: int, chosen: int, asked: Asked) -> str:
    first, rule = table.rules[chosen], table.rules[index]
    if alone(table, first, asked).kind == "refused":
        return f"It fits, but {first.rule} is tried first, and after that no other rule."
    if index < chosen:
        return f"It fits too, but {first.rule} fits exactly, up to the slash at the end."
    mine, others = _all_parts(table, rule), _all_parts(table, first)
    for number, (own, other) in enumerate(zip(mine, others, strict=False)):
        if own.text == other.text and own.regex == other.regex:
            continue
        return f"It fits too, but comes later: {_why_later(own, other, number)}."
    if len(mine) == len(others):
        return f"It fits too, but {first.rule} ({first.endpoint}) was defined before it."
    return f"It fits too, but comes later than {first.rule}."


def _why_later(own: Part, other: Part, number: int) -> str:
    place = f"part {number}" if number else "the host"
    if not other.regex:
        return f"in {place} the plain text {_quoted(other.text)} goes before {own.text}"
    if len(own.arguments) == len(other.arguments) and own.regex == other.regex:
        return f"{other.text} takes the same in {place} and was defined before it"
    if _plain(other) > _plain(own):
        return f"in {place} {other.text} has more plain text than {own.text}"
    return f"in {place} Flask tries {other.text} before {own.text}"


def _misfit(table: RuleTable, rule: Rule, asked: Asked) -> Reason:
    converters = converters_of(rule)
    domain = table.domain_of(rule)
    if not part_of_domain(domain, converters).fits(asked.domain):
        return Reason("host", _of_host(table, domain, asked))
    parts = parts_of(rule, converters)
    found = _misfit_of_path(rule, parts, asked.path)
    if found is None:
        return Reason("path", "Its pattern does not fit this path.")
    return found


def _of_host(table: RuleTable, domain: str, asked: Asked) -> str:
    what = "host" if table.url_map.host_matching else "subdomain"
    own = f"the {what} {domain}" if domain else f"requests without a {what}"
    given = f"the {what} {asked.domain}" if asked.domain else "none"
    return f"It is for {own}, and this URL has {given}."


def _misfit_of_path(rule: Rule, parts: list[Part], path: str) -> Reason | None:
    """Which part of a path does not fit."""
    pieces = path[1:].split("/")
    for number, part in enumerate(parts, 1):
        if number > len(pieces) or (pieces[number - 1 :] == [""] and part.text):
            return Reason("path", f"The path ends before part {number}, {part.text or 'a slash'}.")
        piece = pieces[number - 1]
        if part.takes_rest:
            piece = "/".join(pieces[number - 1 :])
            return None if part.fits(piece) else _of_value(rule, part, piece, number)
        if part.fits(piece):
            continue
        if not part.text:
            return Reason("path", _goes_on(pieces[number - 1 :]))
        if part.regex:
            return _of_value(rule, part, piece, number)
        return Reason("path", _of_text(part.text, piece, number))
    extra = pieces[len(parts) :]
    if extra == [""]:
        return Reason("slash", "It would match without the slash at the end.")
    return Reason("path", _goes_on(extra)) if extra else None


def _goes_on(pieces: list[str]) -> str:
    return f"The path goes on with {_quoted('/'.join(pieces))} where this rule ends."


def _of_text(expected: str, piece: str, number: int) -> str:
    text = f"Part {number} is {_given(piece)}, but this rule has {_quoted(expected)} there"
    if expected.casefold() == piece.casefold():
        return f"{text}: capital letters count."
    return f"{text}."


def _of_value(rule: Rule, part: Part, piece: str, number: int) -> Reason:
    arguments = [_argument(rule, str(token.argument)) for token in part.arguments]
    takes = _listed([f"<{argument.name}> takes {argument.takes}" for argument in arguments])
    if len(part.tokens) == 1:
        takes = f"{part.text} takes {arguments[0].takes}"
    else:
        takes = f"this rule has {part.text} there, where {takes}"
    text = f"Part {number} is {_given(piece)}, but {takes}."
    if piece.startswith("-") and part.fits(piece[1:]):
        text += " With signed=True it would take a minus."
    return Reason("converter", text)


def _argument(rule: Rule, name: str) -> Argument:
    tokens = [*tokens_of(rule.rule), *tokens_of(rule.host or rule.subdomain or "")]
    used = next((str(token.converter) for token in tokens if token.argument == name), "default")
    return argument_of(name, used, converters_of(rule)[name])


def _all_parts(table: RuleTable, rule: Rule) -> list[Part]:
    """A rule's host, and its parts."""
    converters = converters_of(rule)
    return [part_of_domain(table.domain_of(rule), converters), *parts_of(rule, converters)]


def _plain(part: Part) -> int:
    return sum(len(token.text) for token in part.tokens if token.argument is None)


def _listed(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]


def _given(piece: str) -> str:
    return _quoted(piece) if piece else "empty"


def _quoted(text: str) -> str:
    return "'" + (text if len(text) <= 60 else text[:59] + "\u2026") + "'"
