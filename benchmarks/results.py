"""What was measured, as it is stored, and the ratios that follow from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["Figure", "Measurement", "Results"]

_FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """What was measured of one contender in one round.

    :ivar work: the key of the work.
    :ivar case: how much of it: connections, streams, MiB; what the work says.
    :ivar contender: the key of the contender.
    :ivar round: the number of the round, from 0.
    :ivar values: figures by name. Times are in seconds, sizes in bytes, rates in one a second.
    :ivar errors: how many requests failed, by how. Figures with errors are no result.
    :ivar failure: why there are no figures, if there are none.
    """

    work: str
    case: int
    contender: str
    round: int
    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""

    @property
    def is_result(self) -> bool:
        """Whether it was answered as it should be, and each time."""
        return not self.errors and not self.failure


@dataclass(frozen=True)
class Figure:
    """A median over the rounds.

    :ivar low: the least of the rounds.
    :ivar high: the greatest.
    :ivar rounds: how many they are.
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: list[float]) -> Figure | None:
        """The figure of what the rounds gave; ``None`` where they gave nothing."""
        if not values:
            return None
        return cls(median(values), min(values), max(values), len(values))


@dataclass
class Results:
    """All that a run has measured.

    :ivar machine: what it was measured on; see :mod:`.machine`.
    :ivar settings: how: rounds, seconds and threads.
    :ivar started: when, as in ISO 8601.
    :ivar minutes: how long the run took.
    :ivar titles: what the contenders are, by their keys.
    """

    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    started: str
    minutes: float = 0.0
    titles: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    def of(self, work: str, case: int, contender: str) -> Iterator[Measurement]:
        """The measurements of a contender in one case of a work, round by round."""
        for measurement in self.measurements:
            if (measurement.work, measurement.case, measurement.contender) == (
                work,
                case,
                contender,
            ):
                yield measurement

    def cases(self, work: str) -> list[int]:
        """The cases of a work."""
        return sorted({m.case for m in self.measurements if m.work == work})

    def contenders(self, work: str) -> list[str]:
        """The contenders that did a work, in the order in which all are listed."""
        present = {m.contender for m in self.measurements if m.work == work}
        return [key for key in self.titles if key in present]

    def figure(self, work: str, case: int, contender: str, value: str) -> Figure | None:
        """A value of a contender; ``None`` where there is no result."""
        return Figure.of(list(self._by_round(work, case, contender, value).values()))

    def ratio(self, work: str, case: int, contender: str, peer: str, value: str) -> Figure | None:
        """How many times its peer's a value of a contender is. The ratio is taken within each
        round, so that what slows the machine for a while slows both.

        :returns: ``None`` where there is no round in which both gave a result.
        """
        ours = self._by_round(work, case, contender, value)
        theirs = self._by_round(work, case, peer, value)
        rounds = sorted(ours.keys() & theirs.keys())
        return Figure.of([ours[n] / theirs[n] for n in rounds if theirs[n]])

    def _by_round(self, work: str, case: int, contender: str, value: str) -> dict[int, float]:
        return {
            m.round: m.values[value]
            for m in self.of(work, case, contender)
            if m.is_result and value in m.values
        }

    def write(self, path: Path) -> None:
        """Store them as JSON, a measurement a line."""
        document = {"format": _FORMAT, **asdict(self)}
        measurements = document.pop("measurements")
        head = json.dumps(document, indent=1, ensure_ascii=False)
        lines = ",\n".join(json.dumps(m, ensure_ascii=False) for m in measurements)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head[:-2]},\n "measurements": [\n{lines}\n]}}\n', encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """
        :raises ValueError: the file holds no results of this version.
        """
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
            raise ValueError(f"{path} holds no results of format {_FORMAT}.")
        measurements = [Measurement(**m) for m in document.pop("measurements")]
        return cls(**document, measurements=measurements)
