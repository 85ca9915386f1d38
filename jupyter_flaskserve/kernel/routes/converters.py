"""What the argument of a rule may be: in words, as limits, and as samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from werkzeug.routing import (
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
)

__all__ = ["SHORT", "WERKZEUGS", "Argument", "argument_of", "may_be_slow"]

#: Converters whose Python code is Werkzeug's own, by the type that is told of them.
WERKZEUGS: dict[type[BaseConverter], str] = {
    UnicodeConverter: "string",
    AnyConverter: "any",
    PathConverter: "path",
    IntegerConverter: "int",
    FloatConverter: "float",
    UUIDConverter: "uuid",
}

# They differ in length, case and kind of character, so that of two rules that take different text
# one sample fits only one.
_WORDS = ("sample", "q", "x7", "Sample-Value_42~", "abc", "42", "ABCDEFGH", "\u00fc.y", "z" * 40)
_PATHS = ("folder/file.txt", "q", "a/b/c", "Sample-Value_42~/z7", "sample", "42/\u00fc.y")
_UUIDS = ("123e4567-e89b-42d3-a456-426614174000", "0f8fad5b-d9cb-469f-a165-70867728950e")
_ANYTHING = (
    *("sample", "abc", "a", "A", "ABC", "1", "42", "007", "-1", "1.5", "a1", "a-b", "a_b", "a.b"),
    *("a,b", "1,2", "a+b", "1+2", "a/b", "2024-01-31", "20240131", "12:30", "true", "en", "en-US"),
    *("#fff", "ffcc00", "deadbeef", "@sample", "a@b.org", "1-5", "v1", "v1.2", _UUIDS[0]),
)
#: The most characters of a sample that a pattern is tried with which may be slow.
SHORT = 12
_MOST_OPTIONS = 50
_MOST_TOLD = 20
_LONGEST_SAMPLE = 200  # characters
_GREATEST = 1e300

_REPEATED_CHOICE = re.compile(r"[*+}|].*\)[*+{]", re.DOTALL)
_LENGTHS = re.compile(r"\[\^/\]\{(\d+)(?:(,)(\d*))?\}")


@dataclass(frozen=True)
class Argument:
    """An argument of a rule.

    :ivar converter: the name of its converter in the rule; ``string`` where the rule names none.
    :ivar type: ``string``, ``path``, ``int``, ``float``, ``uuid``, ``any`` or ``custom``.
    :ivar options: what it may be, where it is one of several texts.
    :ivar minimum: the least number.
    :ivar maximum: the greatest number.
    :ivar length: the number of characters or digits, where there is but one.
    :ivar shortest: the least number of characters.
    :ivar longest: the greatest number of characters.
    :ivar signed: whether a number may have a minus.
    :ivar regex: the pattern it has to match.
    :ivar takes: what it takes, as the end of a sentence: ``a whole number from 1 to 9``.
    :ivar samples: parts of a URL that it takes; empty where none is known.
    """

    name: str
    converter: str
    type: str
    regex: str
    takes: str
    samples: tuple[str, ...]
    options: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    length: int | None = None
    shortest: int | None = None
    longest: int | None = None
    signed: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "converter": self.converter,
            "type": self.type,
            "options": list(self.options),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "length": self.length,
            "shortest": self.shortest,
            "longest": self.longest,
            "signed": self.signed,
            "regex": self.regex,
            "takes": self.takes,
            "example": self.samples[0] if self.samples else "",
        }


def argument_of(name: str, converter_name: str, converter: BaseConverter) -> Argument:
    """What is known of one argument.

    :param converter_name: what the rule calls the converter.
    """
    if type(converter) is UnicodeConverter:
        plain = "string" if converter_name == "default" else converter_name
        return _string(name, plain, converter)
    if type(converter) is AnyConverter:
        return _any(name, converter_name, converter)
    if type(converter) in (IntegerConverter, FloatConverter):
        return _number(name, converter_name, converter)
    samples: tuple[str, ...]
    known = WERKZEUGS.get(type(converter), "custom")
    if known == "path":
        takes, samples = "text that may contain slashes", _PATHS
    elif known == "uuid":
        takes, samples = f"a UUID such as {_UUIDS[0]}", _UUIDS
    else:
        takes = f"what {type(converter).__name__} takes (pattern {_cut(str(converter.regex))})"
        samples = _fitting(str(converter.regex))
    return Argument(name, converter_name, known, str(converter.regex), takes, samples)


def _string(name: str, converter_name: str, converter: UnicodeConverter) -> Argument:
    found = _LENGTHS.fullmatch(converter.regex)
    shortest = int(found[1]) if found else 1
    longest = None if found is None or (found[2] and not found[3]) else int(found[3] or found[1])
    exact = longest if longest == shortest else None
    takes = "text without a slash" + _of_length(shortest, longest)
    return Argument(
        *(name, converter_name, "string", converter.regex, takes),
        samples=_texts(shortest, longest),
        length=exact,
        shortest=shortest,
        longest=longest,
    )


@lru_cache(maxsize=1000)
def _texts(shortest: int, longest: int | None) -> tuple[str, ...]:
    """Texts of these lengths."""
    lengths = {max(shortest, 1), shortest + 1, *([longest] if longest is not None else [])}
    samples = [
        word
        for word in _WORDS
        if shortest <= len(word) <= (len(word) if longest is None else longest)
    ]
    samples += [
        (word * length)[:length]
        for word in ("sample", "Q7~")
        for length in sorted(lengths)
        if length <= min(_LONGEST_SAMPLE, length if longest is None else longest)
    ]
    return tuple(dict.fromkeys(samples))


def _of_length(shortest: int, longest: int | None) -> str:
    if longest == shortest:
        return f" of {shortest} {'character' if shortest == 1 else 'characters'}"
    if longest is not None:
        return f" of {shortest} to {longest} characters"
    return f" of at least {shortest} characters" if shortest > 1 else ""


def _any(name: str, converter_name: str, converter: AnyConverter) -> Argument:
    by_pattern = {re.escape(option): option for option in converter.items}
    patterns = re.findall(r"(?:\\.|[^|\\])+", converter.regex[3:-1], re.DOTALL)
    options = tuple(by_pattern[pattern] for pattern in patterns if pattern in by_pattern)
    return Argument(
        *(name, converter_name, "any", converter.regex),
        takes="one of "
        + ", ".join([*options[:_MOST_TOLD], *["\u2026"] * (len(options) > _MOST_TOLD)]),
        samples=options[:_MOST_OPTIONS],
        options=options,
    )


def _number(name: str, converter_name: str, converter: Any) -> Argument:
    low, high = _limit(converter.min), _limit(converter.max)
    digits = converter.fixed_digits if isinstance(converter.fixed_digits, int) else 0
    whole = type(converter) is IntegerConverter
    takes = "a whole number" if whole else "a number with a decimal point"
    takes += " (also negative)" if converter.signed else ""
    takes += f" of {digits} digits" if digits else ""
    if low is not None and high is not None:
        takes += f" from {low} to {high}"
    elif low is not None:
        takes += f" of at least {low}"
    elif high is not None:
        takes += f" of at most {high}"
    return Argument(
        *(name, converter_name, "int" if whole else "float", converter.regex, takes),
        samples=_numbers(whole, low, high, digits, converter.signed),
        minimum=low,
        maximum=high,
        length=digits or None,
        signed=converter.signed,
    )


def _limit(value: object) -> float | None:
    """A limit that a rule gives, which may be anything; ``None`` for what is no number."""
    return value if isinstance(value, (int, float)) and abs(value) < _GREATEST else None


@lru_cache(maxsize=1000)
def _numbers(whole: bool, low: Any, high: Any, digits: int, signed: bool) -> tuple[str, ...]:
    """Numbers that a converter of these limits takes."""
    if digits > _LONGEST_SAMPLE:
        return ()
    near = [bound + step for bound in (low, high) if bound is not None for step in (0, 1, -1)]
    if low is not None and high is not None:
        near.append((low + high) // 2 if whole else (low + high) / 2)
    texts = {
        _digits(value, whole, digits): value
        for value in (7, 1, 0, 42, 123456, *near, -7, -1)
        if (signed or value >= 0)
    }
    return tuple(text for text in texts if _is_within(text, low, high, digits))


def _digits(value: float, whole: bool, digits: int) -> str:
    """A number as the converter takes it."""
    if whole:
        return str(int(value)).zfill(digits)
    return re.sub(r"(\.\d+?)0+$", r"\1", f"{value + 0.5 if value in (7, 42) else value:f}")


def _is_within(text: str, low: Any, high: Any, digits: int) -> bool:
    if digits and len(text) != digits:
        return False
    return (low is None or float(text) >= low) and (high is None or float(text) <= high)


def may_be_slow(regex: str) -> bool:
    """Whether the time that a pattern takes may double with each character of a text, as that of
    ``(a+)+`` does: a repeated group has a repetition or a choice in it."""
    return _REPEATED_CHOICE.search(regex) is not None


def _fitting(regex: str) -> tuple[str, ...]:
    samples = [text for text in _ANYTHING if len(text) <= SHORT or not may_be_slow(regex)]
    try:
        pattern = re.compile(rf"(?:{regex})\Z")
    except re.error:
        return ()
    return tuple(text for text in samples if pattern.match(text))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "\u2026"
