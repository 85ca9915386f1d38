"""A run: each work in each of its cases, all contenders in turns, round by round."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from . import machine
from .app import write_files
from .contenders.processes import MissingProgram
from .contenders.stage import Stage
from .load.failed import Failed
from .results import Measurement, Results
from .work.work import Pace, Work

__all__ = ["run"]

THREADS = 64
"""How many requests each contender answers at once. Of 4, 8, 32 and 64 it is the number at which
waitress, gunicorn and cheroot answer the most small requests."""

_PAUSE = 0.05  # seconds between two measurements, for connections to be closed


def run(works: Sequence[Work], pace: Pace, only: Sequence[str] = ()) -> Results:
    """Measure.

    :param only: the keys of the contenders that are measured; all, where it is empty.
    :raises MissingProgram: a program is not installed.
    """
    begin = time.monotonic()
    results = Results(
        machine=machine.describe(),
        settings={"rounds": pace.rounds, "seconds": pace.seconds, "threads": THREADS},
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    wanted = {work.key: [key for key in work.titles if not only or key in only] for work in works}
    for work in works:
        results.titles |= {key: work.titles[key] for key in wanted[work.key]}
    total = sum(
        len(wanted[work.key]) * work.rounds(pace, case)
        for work in works
        for case in work.cases(pace)
    )
    # Those that need another number of threads come last, on a stage of their own.
    ordered = sorted(works, key=lambda work: work.threads or THREADS)
    with tqdm(total=total, unit="measurement", smoothing=0) as bar:
        for threads, group in groupby(ordered, key=lambda work: work.threads or THREADS):
            with (
                tempfile.TemporaryDirectory(prefix="fsb", ignore_cleanup_errors=True) as name,
                Stage(Path(name), threads) as stage,
            ):
                write_files(stage.directory)
                for work in group:
                    for case in work.cases(pace):
                        bar.set_description(f"{work.key} {case}")
                        _measure_case(
                            stage, work, case, wanted[work.key], pace, results, bar.update
                        )
    results.minutes = (time.monotonic() - begin) / 60
    return results


def _measure_case(
    stage: Stage,
    work: Work,
    case: int,
    keys: Sequence[str],
    pace: Pace,
    results: Results,
    on_measured: Callable[[], object],
) -> None:
    """Measure all contenders in turns, but those that cannot be prepared."""
    failed: dict[str, str] = {}
    for key in keys:
        try:
            work.prepare(stage, key, case)
        except MissingProgram:
            raise
        except Exception as error:  # one that cannot be started or asked does not end the run
            failed[key] = _reason(error)
    for number in range(work.rounds(pace, case)):
        for key in _rotated(keys, number):
            measurement = Measurement(work.key, case, key, number, failure=failed.get(key, ""))
            if key not in failed:
                time.sleep(_PAUSE)
                try:
                    values = work.measure(stage, key, case, pace)
                    measurement = replace(measurement, values=values.figures, errors=values.errors)
                except Exception as error:
                    measurement = replace(measurement, failure=_reason(error))
            results.measurements.append(measurement)
            on_measured()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"


def _rotated(keys: Sequence[str], number: int) -> list[str]:
    """The contenders in the order of that round."""
    start = number % len(keys) if keys else 0
    return [*keys[start:], *keys[:start]]
