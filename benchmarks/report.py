"""The document: tables and charts, between the marks of a text that is written by people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .charts import Bar, bars
from .results import Measurement, Results
from .targets import TARGETS, Outcome
from .work.every import every_work
from .work.work import MEDIAN, PROCESSORS, RATE, Column, Work
from .writing import with_range, written

__all__ = ["DOCUMENT", "IMAGES", "parts", "summary", "write_document"]

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
IMAGES = DOCUMENT.parent / "images"

_NOTHING = "–"
_WORDS = {True: "reached", False: "**not reached**", None: "no result"}


class _Chart(NamedTuple):
    """A bar chart of one case of a work."""

    name: str
    work: str
    case: int
    column: Column
    title: str


_RATE_NOTE = "longer is better; in brackets: how many times that ours is"
_TIME_NOTE = "shorter is better; in brackets: how many times ours that is"
_MIB_RATE = Column("rate", "a second", "MiB", more_is_better=True)

_CHARTS = (
    _Chart("hello", "hello", 32, RATE, "Hello, World!, 32 connections: requests a second"),
    _Chart("latency", "hello", 1, MEDIAN, "Hello, World!, 1 connection: median latency"),
    _Chart(
        "processors",
        "hello",
        32,
        PROCESSORS,
        "Hello, World!, 32 connections: processor time of a request, all processes",
    ),
    _Chart(
        "python-cell",
        "hello-python-cell",
        1,
        MEDIAN,
        "The same while a cell of the app's kernel runs a Python loop",
    ),
    _Chart(
        "c-cell",
        "hello-c-cell",
        1,
        MEDIAN,
        "The same while a cell holds the interpreter for 50 ms at a time",
    ),
    _Chart("websocket", "websocket", 8, RATE, "WebSocket echo, 8 connections: messages a second"),
    _Chart("download", "download", 1024, _MIB_RATE, "Download of 1 GiB: MiB a second"),
    _Chart("upload", "upload", 1024, _MIB_RATE, "Upload of 1 GiB: MiB a second"),
)


def summary(results: Results) -> Iterator[str]:
    """The targets and what came of them, and what gave no result, for a terminal."""
    for outcome in _outcomes(results):
        target, figure = outcome.target, outcome.figure
        found = "" if figure is None else with_range(figure, target.unit)
        word = _WORDS[outcome.reached].strip("*")
        yield f"{word:12} {found:24} {target.goal:18} {target.title}"
    yield from _problems(results)


def write_document(results: Results) -> None:
    """Write the charts, and the tables between the document's marks.

    :raises ValueError: the document lacks a mark.
    """
    for name, svg in _charts(results).items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, content in parts(results).items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        marks = pattern.search(text)
        if marks is None:
            raise ValueError(f"{DOCUMENT} lacks the marks of the part {name}.")
        text = f"{text[: marks.start()]}{marks[1]}\n{content}\n{marks[2]}{text[marks.end() :]}"
    DOCUMENT.write_text(text, encoding="utf-8")


def parts(results: Results) -> Mapping[str, str]:
    """What is written between the marks, by their names, as Markdown."""
    works = {work.key: work for work in every_work()}
    measured = [works[key] for key in dict.fromkeys(m.work for m in results.measurements)]
    problems = [f"- {problem}" for problem in _problems(results)]
    return {
        "targets": "\n".join(_target_table(results)) + "\n",
        "machine": _machine(results),
        "charts": "\n".join(
            f"![{chart.title}](images/{_file(chart)})\n"
            for chart in _CHARTS
            if _rows(results, chart)
        ),
        "figures": "\n".join(line for work in measured for line in _work_tables(results, work)),
        "problems": "\n".join(problems or ["Everything was answered."]) + "\n",
    }


def _outcomes(results: Results) -> list[Outcome]:
    """Those of the targets whose work was done, by the peer too."""
    return [
        target.outcome(results)
        for target in TARGETS
        if all(
            any(results.of(target.work, target.case, key))
            for key in (target.contender, target.peer or target.contender)
        )
    ]


def _problems(results: Results) -> Iterator[str]:
    """What gave no result, once for each contender and case, and in how many rounds."""
    failed: dict[tuple[str, int, str], list[Measurement]] = {}
    for m in results.measurements:
        if not m.is_result:
            failed.setdefault((m.work, m.case, m.contender), []).append(m)
    for (work, case, key), found in failed.items():
        errors = ", ".join(f"{count} × {kind}" for kind, count in found[0].errors.items())
        reason = _line(found[0].failure or f"requests that failed: {errors}")
        rounds = sum(1 for _ in results.of(work, case, key))
        of = f"{len(found)} of {rounds} rounds"
        yield f"{work}, {case}: {results.titles[key]}: {reason} ({of})"


def _line(reason: str) -> str:
    """A reason as one line of a table."""
    text = " ".join(reason.split()).replace("|", "\\|")
    return text if len(text) <= 300 else f"{text[:300]} …"


def _target_table(results: Results) -> Iterator[str]:
    outcomes = _outcomes(results)
    reached = sum(outcome.reached is True for outcome in outcomes)
    yield f"{reached} of {len(outcomes)} are reached."
    yield ""
    yield "| what | to reach | found | |"
    yield "| --- | --- | --- | --- |"
    for outcome in outcomes:
        target = outcome.target
        if outcome.figure is not None:
            found = with_range(outcome.figure, target.unit)
        else:
            titles = results.titles
            failures = outcome.failures.items()
            found = "; ".join(f"{titles[key]}: {_line(why)}" for key, why in failures)
        yield f"| {target.title} | {target.goal} | {found} | {_WORDS[outcome.reached]} |"


def _machine(results: Results) -> str:
    machine, settings = results.machine, results.settings
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']};"
        f" {machine['system']}; {machine['python']}. {versions}.\n\n"
        f"Begun {results.started}, {results.minutes:.0f} minutes, load at the beginning"
        f" {machine['load at the beginning']}: {settings['rounds']} rounds of"
        f" {settings['seconds']:g} s; Hello, World! over 1 and 32 connections twice as many,"
        " twice as long; most others 3, and longer where answers are few;"
        f" {settings['threads']} threads in each contender.\n"
    )


def _work_tables(results: Results, work: Work) -> Iterator[str]:
    """A row for each contender. A work of one case has a column for each value; of several, a table
    for each value, with a column for each case."""
    cases = results.cases(work.key)
    yield f"### {work.title}"
    yield ""
    if len(cases) == 1:
        heads = [column.title for column in work.columns]
        yield from _table(results, work, "", heads, [(cases[0], c) for c in work.columns])
        return
    for column in work.columns:
        head = f"{column.title}, by {work.unit}"
        heads = [f"{case:,}" for case in cases]
        yield from _table(results, work, head, heads, [(case, column) for case in cases])


def _table(
    results: Results,
    work: Work,
    head: str,
    heads: Sequence[str],
    columns: Sequence[tuple[int, Column]],
) -> Iterator[str]:
    yield f"| {head} | {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for key in results.contenders(work.key):
        cells = [_cell(results, work, case, key, column) for case, column in columns]
        if set(cells) != {_NOTHING}:
            yield f"| {results.titles[key]} | {' | '.join(cells)} |"
    yield ""


def _cell(results: Results, work: Work, case: int, key: str, column: Column) -> str:
    figure = results.figure(work.key, case, key, column.value)
    if figure is None:
        return _NOTHING
    if column.value == "growth":
        return _memory(results, work, case, key)
    text = written(figure.median, column.unit)
    better = _better(results, work, case, key, column)
    return text if better is None else f"{text} ({better})"


def _memory(results: Results, work: Work, case: int, key: str) -> str:
    """How much each process grew, and how large it was, in MiB."""
    found = []
    for value in next(m.values for m in results.of(work.key, case, key) if m.is_result):
        name = value.removeprefix("growth of ")
        growth = results.figure(work.key, case, key, value)
        peak = results.figure(work.key, case, key, f"peak of {name}")
        if growth is not None and peak is not None:
            grown, whole = (written(figure.median, "MiB") for figure in (growth, peak))
            found.append(f"{name} {grown} ({whole.removesuffix(' MiB')})")
    return ", ".join(found) or _NOTHING


def _better(results: Results, work: Work, case: int, key: str, column: Column) -> str | None:
    """How many times better than a contender the reference is."""
    if key == work.reference:
        return None
    pair = (work.reference, key) if column.more_is_better else (key, work.reference)
    ratio = results.ratio(work.key, case, *pair, column.value)
    return None if ratio is None else written(ratio.median, "×")


def _charts(results: Results) -> dict[str, str]:
    """The charts by the names of their files."""
    found = {}
    for chart in _CHARTS:
        rows = _rows(results, chart)
        if rows:
            note = _RATE_NOTE if chart.column.more_is_better else _TIME_NOTE
            found[_file(chart)] = bars(chart.title, note, rows)
    return found


def _rows(results: Results, chart: _Chart) -> list[Bar]:
    """The bars of a chart, the best one first; none, where nothing of it was measured."""
    (work,) = (work for work in every_work() if work.key == chart.work)
    rows = []
    for key in results.contenders(chart.work):
        figure = results.figure(chart.work, chart.case, key, chart.column.value)
        if figure is not None:
            text = _cell(results, work, chart.case, key, chart.column)
            is_ours = key.startswith("ours")
            title = results.titles[key]
            rows.append(Bar(title, figure.median, figure.low, figure.high, text, is_ours))
    return sorted(rows, key=lambda bar: bar.value, reverse=chart.column.more_is_better)


def _file(chart: _Chart) -> str:
    return f"performance-{chart.name}.svg"
