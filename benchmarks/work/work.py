"""What a kind of work is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..contenders.stage import KINDS, Stage

__all__ = [
    "EVERYONE",
    "MEDIAN",
    "P99",
    "PROCESSORS",
    "RATE",
    "Column",
    "Pace",
    "Values",
    "Work",
    "titles_of",
]

EVERYONE = tuple(KINDS)
"""The keys of all kinds of contenders."""


def titles_of(keys: Iterable[str]) -> Mapping[str, str]:
    """What kinds of contenders are, by their keys."""
    return {key: KINDS[key].title for key in keys}


@dataclass(frozen=True)
class Column:
    """A value that the document shows of a work.

    :ivar value: its name in the results.
    :ivar title: what it is, for people.
    :ivar unit: one of :data:`benchmarks.writing.UNITS`.
    :ivar more_is_better: whether the greater of two is the better.
    """

    value: str
    title: str
    unit: str
    more_is_better: bool = False


RATE = Column("rate", "Requests a second", "", more_is_better=True)
MEDIAN = Column("p50", "Median latency", "ms")
P99 = Column("p99", "Latency of 99 in 100", "ms")
PROCESSORS = Column("cpu", "Processor time of a request", "ms")


@dataclass(frozen=True)
class Pace:
    """How long to measure.

    :ivar rounds: how many times each contender has its turn.
    :ivar seconds: how long one measurement lasts, where that can be chosen.
    :ivar quick: whether a first impression will do.
    """

    rounds: int
    seconds: float
    quick: bool = False


@dataclass(frozen=True)
class Values:
    """The figures of one measurement; see :class:`benchmarks.results.Measurement`."""

    figures: Mapping[str, float]
    errors: Mapping[str, int] = field(default_factory=dict)


class Work(ABC):
    """One kind of work.

    :ivar key: the word by which results know it.
    :ivar title: what it is, for people.
    :ivar unit: what its cases are numbers of, such as ``connections``.
    :ivar titles: the contenders that can do it: their keys, and what they are.
    :ivar columns: what the document shows of it.
    :ivar reference: the contender that the others are compared with.
    :ivar threads: how many requests each of them is to answer at once, where that matters.
    """

    key: str
    title: str
    unit: str
    titles: Mapping[str, str]
    columns: Sequence[Column]
    reference: str = "ours"
    threads: int | None = None

    @abstractmethod
    def cases(self, pace: Pace) -> Sequence[int]:
        """How much there is to do, each time."""

    def rounds(self, pace: Pace, case: int) -> int:
        """How many rounds of a case are measured."""
        return pace.rounds

    def prepare(self, stage: Stage, key: str, case: int) -> None:  # noqa: B027 - some start later
        """Start a contender, see that it gives the right answer, and warm it.

        :raises Failed: it does not give the right answer.
        """

    @abstractmethod
    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        """Measure a contender once.

        :raises Failed: it does not give the right answer.
        """
