"""Counts and percentiles of requests: right to 5 %, in the same memory however many there are."""

from __future__ import annotations

import math
import random
import threading
import time
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from recorded_exchanges import Recorder, answer

from jupyter_flaskserve.kernel.exchanges import statistics
from jupyter_flaskserve.kernel.exchanges.statistics import (
    OTHERS,
    Durations,
    EndpointStatistics,
    Statistics,
)


class Ended:
    """What the statistics ask of an exchange that has ended."""

    def __init__(self, endpoint: str | None = "e", duration: float = 0.01, **more: Any) -> None:
        self.endpoint = endpoint
        self.duration = duration
        self.status: int | None = 200
        self.failed = ""
        vars(self).update(more)


def add(counts: Statistics, *exchanges: Any) -> None:
    for exchange in exchanges:
        counts.add(exchange)


@pytest.mark.parametrize("spread", [1e-4, 1e-2, 0.1, 10.0])
def test_percentiles_are_right_to_five_percent(spread: float) -> None:
    choose = random.Random(7)
    times = [choose.lognormvariate(math.log(spread), 1) for _ in range(5000)]
    durations = Durations()
    for seconds in times:
        durations.add(seconds)
    times.sort()
    for percent in (1, 50, 95, 99, 100):
        exact = times[math.ceil(len(times) * percent / 100) - 1]
        found = durations.percentile(percent)
        assert found == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_durations_out_of_range_are_counted(seconds: float) -> None:
    durations = Durations()
    durations.add(seconds)
    assert durations.count == 1
    assert durations.percentile(50) is not None
    assert Durations().percentile(50) is None


def test_each_endpoint_is_counted_and_all_together() -> None:
    counts = Statistics()
    add(counts, *[Ended("fast", 0.001)] * 30, *[Ended("slow", 1.0)] * 10, Ended(None, status=404))
    add(counts, Ended("slow", 1.0, status=500), Ended("slow", 1.0, failed="KeyError", status=200))
    found = counts.as_dict()
    assert found["seconds"] == 60
    assert [(e["endpoint"], e["count"], e["errors"]) for e in found["endpoints"]] == [
        ("fast", 30, 0), ("slow", 12, 2), ("", 1, 0)
    ]  # fmt: skip
    assert (found["all"]["endpoint"], found["all"]["count"], found["all"]["errors"]) == ("", 43, 2)
    assert found["all"]["p50"] == pytest.approx(1, rel=0.05)
    assert found["all"]["p99"] == pytest.approx(1000, rel=0.05)
    assert found["endpoints"][0]["p99"] == pytest.approx(1, rel=0.05)
    assert repr(counts) == "<43 requests, 2 errors>"


def test_a_websocket_is_counted_but_has_no_duration() -> None:
    counts = Statistics()
    add(counts, Ended("chat", 3600.0, status=101))
    (found,) = counts.as_dict()["endpoints"]
    assert (found["count"], found["p50"], found["p99"]) == (1, None, None)


def test_requests_per_second_go_by() -> None:
    counts = EndpointStatistics("e")
    now = int(time.monotonic())
    for second, count in ((0, 3), (1, 1), (59, 2)):
        for _ in range(count):
            counts.add(now + second, 0.01, False)
    assert counts.per_second(now + 59) == [3, 1, *[0] * 57, 2]
    assert counts.per_second(now + 60) == [1, *[0] * 57, 2, 0]
    assert counts.as_dict(now + 61)["rate"] == 0.2
    assert counts.as_dict(now + 69)["rate"] == 0.0
    assert counts.per_second(now + 10_000) == [0] * 60
    counts.add(now + 9_999, 0.01, False)  # another thread looked at the clock first
    assert sum(counts.per_second(now + 10_000)) == 1


def test_the_number_of_endpoints_is_bounded() -> None:
    counts = Statistics()
    add(counts, *[Ended(f"e{number}") for number in range(500)], Ended("e0"))
    found = {e["endpoint"]: e["count"] for e in counts.as_dict()["endpoints"]}
    assert len(found) == 201
    assert found["e0"] == 2
    assert found[OTHERS] == 300
    assert sum(found.values()) == counts.as_dict()["all"]["count"] == 501


def test_counting_is_cheap() -> None:
    counts = Statistics()
    exchange: Any = Ended()
    cost = []
    for _ in range(20):
        start = time.thread_time()
        for _ in range(1000):
            counts.add(exchange)
        cost.append((time.thread_time() - start) / 1000)
    assert min(cost) < 20e-6  # ten times what it takes, for slow machines


def test_threads_lose_no_count() -> None:
    counts = Statistics()
    exchange: Any = Ended()

    def work() -> None:
        for _ in range(3000):
            counts.add(exchange)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.as_dict()["all"]["count"] == 12_000
    assert counts._endpoints["e"].durations.count == 12_000
    assert not counts._ended


def test_exchanges_are_counted_as_they_end_and_stay_counted_when_they_are_dropped() -> None:
    app = flask.Flask("shop")
    app.add_url_rule("/hello", "hello", lambda: "hello")
    recorder = Recorder(app)
    recorder.exchanges.limit = 2
    for _ in range(5):
        recorder.ask("/hello")
    recorder.ask("/nowhere")
    recorder.ask(app=answer(status="503 Gone Fishing"))
    found = recorder.exchanges.statistics.as_dict()
    assert {e["endpoint"]: (e["count"], e["errors"]) for e in found["endpoints"]} == {
        "hello": (5, 0), "": (2, 1)
    }  # fmt: skip
    assert sum(found["all"]["per_second"]) == 7
    recorder.exchanges.clear()
    assert recorder.exchanges.statistics.as_dict() == {
        "seconds": statistics._SECONDS,
        "all": EndpointStatistics("").as_dict(int(time.monotonic())),
        "endpoints": [],
    }


def test_what_is_counted_late_is_not_taken_for_new(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(statistics, "time", SimpleNamespace(monotonic=lambda: now[0]))
    counts = Statistics()
    for now[0] in (1000.0, 1050.0, 1090.0):
        add(counts, Ended())
    found = counts.as_dict()
    for count in (found["all"], found["endpoints"][0]):
        assert count["count"] == 3
        assert [*enumerate(count["per_second"])][-41:] == [
            (second, int(second in (19, 59))) for second in range(19, 60)
        ]
        assert sum(count["per_second"]) == 2
