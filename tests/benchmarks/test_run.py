"""A run of real contenders, as short as can be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from benchmarks.__main__ import main
from benchmarks.contenders.processes import wait_until
from benchmarks.contenders.stage import Stage
from benchmarks.load.failed import Failed
from benchmarks.results import Results
from benchmarks.run import run
from benchmarks.work.work import RATE, Pace, Values, Work


def test_one_round_of_ours_with_and_without_a_panel_and_of_a_peer(
    wrk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    works = "hello hello-python-cell websocket"
    contenders = "ours ours-panel kernel-flask"
    pace = f"--quick --rounds 1 --seconds 1 --output {file}"
    others = set(psutil.Process().children(recursive=True))
    assert main(f"--only {works} --contender {contenders} {pace}".split()) == 0
    results = Results.read(file)
    assert not [m for m in results.measurements if not m.is_result]
    for key in ("ours", "kernel-flask"):
        figure = results.figure("hello-python-cell", 1, key, "p50")
        assert figure is not None
        assert 0 < figure.median < 60
        echoes = results.figure("websocket", 8, key, "rate")
        assert echoes is not None
        assert echoes.median > 0
    assert "at most 0.33 ×" in capsys.readouterr().out
    assert set(psutil.Process().children(recursive=True)) <= others


class Counting(Work):
    """Needs no contender; fails for one of them in its second round."""

    key = "counting"
    title = "Counting"
    unit = "apples"
    columns = (RATE,)

    def __init__(self) -> None:
        self.titles = {"a": "A", "b": "B", "c": "C"}
        self.order: list[str] = []

    def cases(self, pace: Pace) -> Sequence[int]:
        return (3,)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        if key == "c":
            raise RuntimeError("it does not start")

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        self.order.append(key)
        if key == "b" and self.order.count("b") == 2:
            raise Failed("Enough.")
        return Values({"rate": 1.0})


def test_rounds_begin_with_one_after_the_other_and_a_failure_is_only_its_own() -> None:
    work = Counting()
    results = run([work], Pace(rounds=3, seconds=0.1))
    assert work.order == ["a", "b", "b", "a", "a", "b"]
    failures = {(m.contender, m.round): m.failure for m in results.measurements if m.failure}
    assert failures == {
        **{("c", number): "RuntimeError: it does not start" for number in range(3)},
        ("b", 1): "Enough.",
    }
    assert json.dumps(dict(results.machine))


def test_a_missing_program_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert main(["--only", "hello"]) == 1
    assert "apt-get install wrk" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "{}", "no JSON"])
def test_a_report_of_what_are_no_results_is_refused(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit):
        main(["--report", str(file)])
    assert "usage: python -m benchmarks" in capsys.readouterr().err


def test_an_unknown_work_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    assert "There is no nothing; --list" in capsys.readouterr().err


def test_an_interrupt_ends_all_that_was_started(wrk: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "hello", "--contender", "flask"]
    with subprocess.Popen(
        [*command, "--rounds", "99", "--seconds", "5", "--output", str(tmp_path / "results.json")],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        started: list[psutil.Process] = []

        def measures() -> bool:
            started[:] = psutil.Process(run.pid).children(recursive=True)
            return {"wrk", Path(sys.executable).name} <= {process.name() for process in started}

        try:
            wait_until(measures, "the first measurement")
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=30)
        finally:
            run.kill()
    assert run.returncode == 130
    assert errors.endswith("Interrupted. Nothing is written.\n")
    assert [process for process in started if process.is_running()] == []
    assert not list(tmp_path.iterdir())
