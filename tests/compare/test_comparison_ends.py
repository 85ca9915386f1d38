"""What a comparison has started has ended when it has, however it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from comparisons import Start, check_installed, left_over

SECONDS = 30


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill -9"])
@pytest.mark.parametrize(
    ("key", "moment"),
    [
        ("nginx", "Several workers"),
        ("nginx", "Slow clients"),
        ("apache-kernel", "load"),
        ("gunicorn", "starting"),
    ],
)
def test_nothing_is_left(
    start: Start, temporary: Path, key: str, moment: str, number: signal.Signals
) -> None:
    check_installed(key)
    with start(key, seconds=5) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == f"{key} {moment}":
                break
        else:
            pytest.fail("that step was not reached")
        if moment != "starting":
            assert left_over(temporary)
        process.send_signal(number)
        began = time.monotonic()
        process.wait(SECONDS)
        if number == signal.SIGINT:
            assert time.monotonic() - began < SECONDS / 2
            # Nothing is left by the time the cell has ended, not only later.
            assert not left_over(temporary)
    assert wait_until(lambda: not left_over(temporary)), left_over(temporary)


def test_a_second_interrupt_while_servers_are_stopped_leaves_nothing(
    start: Start, temporary: Path
) -> None:
    check_installed("gunicorn")
    with start("gunicorn") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "gunicorn TLS":
                break
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
    assert wait_until(lambda: not left_over(temporary)), left_over(temporary)
