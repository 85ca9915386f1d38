"""The document and its charts, from stored results."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import parts, summary, write_document
from benchmarks.results import Measurement, Results

MACHINE = {
    "processor": "A processor",
    "cores": 2,
    "memory": "8 GiB",
    "system": "Debian, Linux 6",
    "python": "CPython 3.11",
    "load at the beginning": 0.1,
    "versions": {"Flask": "3.1", "wrk": "4.1"},
}
SETTINGS = {"rounds": 2, "seconds": 0.5, "threads": 64}
TITLES = {"ours": "Ours", "proxy-waitress": "A proxy | <&>", "tornado": "Tornado"}
LONG = "The answer is | 599,\n" + "and so on " * 100


@pytest.fixture
def results() -> Results:
    found = Results(MACHINE, SETTINGS, "2026-01-01T00:00:00+00:00", 12.0, TITLES)
    for number in range(2):
        for key, rate in (("ours", 3000.0), ("proxy-waitress", 600.0), ("tornado", 4000.0)):
            values = {"rate": rate + number, "p50": 1 / rate, "p99": 2 / rate}
            found.measurements.append(Measurement("hello", 32, key, number, values))
    found.measurements.append(Measurement("hello", 256, "ours", 0, {}, {"timeout": 3}))
    found.measurements.append(Measurement("hello", 256, "ours", 1, {"rate": 1.0, "p50": 1.0}))
    memory = {"growth of server": 2.0**20, "peak of server": 2.0**26}
    values = {"rate": 1e9, "first byte": 0.001, "growth": 2.0**20, **memory}
    found.measurements.append(Measurement("download", 1024, "ours", 0, values))
    found.measurements.append(Measurement("download", 1024, "proxy-waitress", 0, failure=LONG))
    return found


def line_with(text: str, start: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


def test_the_table_of_targets_says_what_is_reached_and_what_is_not(results: Results) -> None:
    table = parts(results)["targets"]
    assert table.startswith("1 of 4 are reached.")
    proxy = line_with(table, "| Hello, World!, 32 connections, requests a second, against jupyter")
    assert "| at least 6.00 × | 5.00 × (4.99 to 5.00) | **not reached** |" in proxy
    memory = line_with(table, "| Download of 1 GiB, memory")
    assert "| at most 32.0 MiB | 1.00 MiB | reached |" in memory
    rate = line_with(table, "| Download of 1 GiB, rate")
    assert r"The answer is \| 599, and so on" in rate
    assert rate.endswith("… | no result |")


def test_the_figures_say_how_many_times_better_ours_is(results: Results) -> None:
    figures = parts(results)["figures"]
    rates, latencies = figures.split("| Median latency, by connections | 32 | 256 |")
    assert "| A proxy | <&> | 600 (5.00 ×) | – |" in rates
    assert "| Tornado | 4,000 (0.75 ×) | – |" in rates
    assert "| A proxy | <&> | 1.67 ms (5.00 ×) | – |" in latencies
    assert "| Tornado | 0.25 ms (0.75 ×) | – |" in latencies


def test_the_figures_tell_of_the_memory_of_each_process(results: Results) -> None:
    ours = line_with(parts(results)["figures"], "| Ours | 954 MiB")
    assert ours == "| Ours | 954 MiB | 1.00 ms | server 1.00 MiB (64.0) |"


def test_what_was_not_answered_is_listed_once_and_in_one_line(results: Results) -> None:
    problems = parts(results)["problems"].splitlines()
    assert problems[0] == "- hello, 256: Ours: requests that failed: 3 × timeout (1 of 2 rounds)"
    assert problems[1].startswith(r"- download, 1024: A proxy | <&>: The answer is \| 599, and so")
    assert len(problems) == 2


def test_the_machine_is_described(results: Results) -> None:
    machine = parts(results)["machine"]
    for word in ("A processor, 2 cores, 8 GiB", "Flask 3.1", "12 minutes", "2 rounds"):
        assert word in machine


def test_a_terminal_is_told_the_same(results: Results) -> None:
    lines = list(summary(results))
    assert sum(line.startswith("reached") for line in lines) == 1
    assert any("256: Ours: requests that failed" in line for line in lines)


class TestTheDocument:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        document = tmp_path / "performance.md"
        document.write_text(report.DOCUMENT.read_text())
        monkeypatch.setattr(report, "DOCUMENT", document)
        monkeypatch.setattr(report, "IMAGES", tmp_path)

    def test_what_people_have_written_stays(self, results: Results) -> None:
        before = report.DOCUMENT.read_text()
        write_document(results)
        after = report.DOCUMENT.read_text()
        assert after.startswith(before.partition("<!-- targets -->")[0])
        assert "1 of 4 are reached." in after
        write_document(results)
        assert report.DOCUMENT.read_text() == after

    def test_each_picture_that_is_shown_is_there(self, results: Results, tmp_path: Path) -> None:
        write_document(results)
        shown = [
            line.partition("(images/")[2].rstrip(")")
            for line in report.DOCUMENT.read_text().splitlines()
            if line.startswith("![")
        ]
        assert shown == ["performance-hello.svg", "performance-download.svg"]
        assert sorted(shown) == sorted(file.name for file in tmp_path.glob("*.svg"))

    def test_a_longer_bar_is_a_greater_figure_and_texts_are_escaped(
        self, results: Results, tmp_path: Path
    ) -> None:
        write_document(results)
        text = (tmp_path / "performance-hello.svg").read_text()
        svg = ElementTree.fromstring(text)
        namespace = "{http://www.w3.org/2000/svg}"
        widths = [float(bar.attrib["width"]) for bar in svg.iter(f"{namespace}rect")]
        assert widths[0] / widths[2] == pytest.approx(4000 / 600, rel=0.01)
        labels = [label.text for label in svg.iter(f"{namespace}text")]
        assert (
            labels.index("Tornado") < labels.index("Ours") < labels.index(TITLES["proxy-waitress"])
        )
        assert "prefers-color-scheme: dark" in text

    def test_a_document_without_its_marks_is_not_written(self, results: Results) -> None:
        report.DOCUMENT.write_text("# Performance\n")
        with pytest.raises(ValueError, match="lacks the marks"):
            write_document(results)
        assert report.DOCUMENT.read_text() == "# Performance\n"
