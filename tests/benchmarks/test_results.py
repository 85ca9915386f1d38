"""Ratios, targets and stored results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results import Measurement, Results
from benchmarks.targets import TARGETS, Target
from benchmarks.work.every import every_work


def results(*measurements: Measurement) -> Results:
    titles = {key: key.title() for m in measurements for key in (m.contender,)}
    return Results(
        {"cores": 2}, {"rounds": 3}, "2026-01-01T00:00:00+00:00", 1.5, titles, [*measurements]
    )


def rates(contender: str, *values: float) -> list[Measurement]:
    return [
        Measurement("hello", 32, contender, number, {"rate": value})
        for number, value in enumerate(values)
    ]


def target(**bounds: float) -> Target:
    return Target("hello", "hello", 32, "rate", "ours", "waitress", **bounds)


def test_a_ratio_is_taken_within_each_round_and_its_median_is_the_result() -> None:
    # The second round is slow for both. Medians of the rates would give 300 / 110.
    found = results(*rates("ours", 300, 30, 330), *rates("waitress", 100, 20, 110))
    ratio = found.ratio("hello", 32, "ours", "waitress", "rate")
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (3.0, 1.5, 3.0, 3)


def test_a_round_in_which_one_of_them_had_errors_gives_no_ratio() -> None:
    failed = Measurement("hello", 32, "waitress", 1, {"rate": 1000.0}, {"timeout": 1})
    found = results(*rates("ours", 100, 100), *rates("waitress", 50), failed)
    ratio = found.ratio("hello", 32, "ours", "waitress", "rate")
    assert ratio is not None
    assert (ratio.median, ratio.rounds) == (2.0, 1)


def test_a_contender_that_failed_gives_neither_figure_nor_ratio_but_its_reason() -> None:
    failed = Measurement("hello", 32, "waitress", 0, failure="The answer is 599.")
    found = results(*rates("ours", 100), failed)
    assert found.figure("hello", 32, "waitress", "rate") is None
    outcome = target(least=1.0).outcome(found)
    assert outcome.reached is None
    assert outcome.failures == {"waitress": "The answer is 599."}


@pytest.mark.parametrize(
    ("bounds", "reached"),
    [
        ({"least": 2.0}, True),
        ({"least": 2.1}, False),
        ({"most": 2.0}, True),
        ({"most": 1.9}, False),
    ],
)
def test_a_target_is_reached_by_the_median(bounds: dict[str, float], reached: bool) -> None:
    found = results(*rates("ours", 100, 200, 900), *rates("waitress", 100, 100, 100))
    assert target(**bounds).outcome(found).reached is reached


def test_a_target_without_a_peer_is_about_the_value_itself() -> None:
    memory = Target("growth", "download", 1024, "growth", "ours", most=32.0, unit="MiB")
    grown = Measurement("download", 1024, "ours", 0, {"growth": 33.0})
    assert memory.outcome(results(grown)).reached is False


def test_what_is_stored_is_what_is_read(tmp_path: Path) -> None:
    failed = Measurement("hello", 32, "waitress", 0, failure="Nobody → there")
    stored = results(*rates("ours", 1.5, 2.5), failed)
    stored.write(tmp_path / "some" / "results.json")
    assert Results.read(tmp_path / "some" / "results.json") == stored


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"format": 0}')
    with pytest.raises(ValueError, match="no results of format 1"):
        Results.read(file)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.title)
def test_each_target_is_of_a_work_and_contenders_that_there_are(target: Target) -> None:
    (work,) = (work for work in every_work() if work.key == target.work)
    assert {target.contender, target.peer or target.contender} <= work.titles.keys()
