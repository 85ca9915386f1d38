"""Figures as people read them."""

from __future__ import annotations

from .results import Figure

__all__ = ["UNITS", "with_range", "written"]

UNITS = {"×": 1.0, "": 1.0, "ms": 1000.0, "MiB": 1 / 2**20}
"""What a value is multiplied with to be given in that unit. Without a unit it is a number."""


def written(number: float, unit: str) -> str:
    """A figure with its unit, in about three digits.

    :param unit: one of :data:`UNITS`.
    """
    number *= UNITS[unit]
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:,.{digits}f} {unit}".rstrip()


def with_range(figure: Figure, unit: str) -> str:
    """A figure, and in brackets the least and the greatest of its rounds."""
    text = written(figure.median, unit)
    if figure.rounds == 1:
        return text
    low, high = (written(number, unit) for number in (figure.low, figure.high))
    return f"{text} ({low.removesuffix(unit).strip()} to {high.removesuffix(unit).strip()})"
