"""A rule's text, taken apart: plain text and arguments, and its parts between slashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.routing import BaseConverter, Rule

__all__ = ["Part", "Token", "parts_of", "tokens_of"]

_TOKEN = re.compile(
    r"(?P<slash>/)|(?P<plain>[^</]+)"
    r"|<(?:(?P<converter>[a-zA-Z_][a-zA-Z0-9_]*)(?:\(.*?\))?:)?(?P<argument>[a-zA-Z_][a-zA-Z0-9_]*)>"
)


@dataclass(frozen=True)
class Token:
    """A piece of a rule: plain text, or an argument in angle brackets.

    :ivar converter: the name of the argument's converter; ``None`` in plain text.
    """

    text: str
    argument: str | None = None
    converter: str | None = None


@dataclass(frozen=True)
class Part:
    """What is between two slashes of a rule, or between its last one and its end.

    :ivar regex: what a URL's part has to match; empty for one without arguments.
    :ivar takes_rest: whether it has an argument that may contain slashes. It is then the last part,
        with all that follows.
    """

    tokens: tuple[Token, ...]
    regex: str
    takes_rest: bool

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    @property
    def arguments(self) -> tuple[Token, ...]:
        return tuple(token for token in self.tokens if token.argument is not None)

    def fits(self, text: str) -> bool:
        """Whether a part of a URL fits."""
        if not self.regex:
            return text == self.text
        try:
            return re.compile(rf"(?:{self.regex})\Z").match(text) is not None
        except (re.error, OverflowError):  # a converter's pattern is none
            return False


def tokens_of(text: str) -> list[Token]:
    """The pieces of a rule or of its host, which together are its text."""
    tokens: list[Token] = []
    plain = ""
    for match in _TOKEN.finditer(text):
        if match["argument"] is None:
            plain += match[0]
            continue
        if plain:
            tokens.append(Token(plain))
            plain = ""
        tokens.append(Token(match[0], match["argument"], match["converter"] or "default"))
    return [*tokens, Token(plain)] if plain else tokens


def parts_of(rule: Rule, converters: Mapping[str, BaseConverter]) -> list[Part]:
    """The parts of a rule after its first slash, as Werkzeug compares them with those of a URL."""
    text = re.sub("/{2,}", "/", rule.rule) if rule.merge_slashes else rule.rule
    parts: list[list[Token]] = [[]]
    takes_rest = False
    for token in _split(text):
        if token.text == "/" and not takes_rest:
            parts.append([])
            continue
        parts[-1].append(token)
        if token.argument is not None:
            takes_rest = takes_rest or not converters[token.argument].part_isolating
    return [
        Part(tuple(tokens), _regex(tokens, converters), takes_rest and tokens is parts[-1])
        for tokens in parts[1:]
    ]


def part_of_domain(text: str, converters: Mapping[str, BaseConverter]) -> Part:
    """A host or subdomain as one part."""
    tokens = _split(text)
    return Part(tuple(tokens), _regex(tokens, converters), False)


def _split(text: str) -> list[Token]:
    """The pieces of a rule, with each slash of its own."""
    return [
        Token(match[0], match["argument"], match["argument"] and (match["converter"] or "default"))
        for match in _TOKEN.finditer(text)
    ]


def _regex(tokens: list[Token], converters: Mapping[str, BaseConverter]) -> str:
    if all(token.argument is None for token in tokens):
        return ""
    patterns = [
        re.escape(token.text)
        if token.argument is None
        else f"(?:{converters[token.argument].regex})"
        for token in tokens
    ]
    if tokens[-1].text == "/":  # Werkzeug takes no other slash before the last one
        patterns.insert(-1, "(?<!/)")
    return "".join(patterns)
