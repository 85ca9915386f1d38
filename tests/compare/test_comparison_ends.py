"""What a comparison has started has ended when it has, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from comparisons import Start, check_installed, left_over

from jupyter_flaskserve.comparison import guard
from jupyter_flaskserve.comparison.processes import Workshop

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


def test_a_process_that_a_cell_has_forked_holds_nothing_up(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with Workshop() as workshop:
            server = workshop.start(["sleep", "600"], directory=tmp_path, name="sleep")
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
            stack.callback(os.waitpid, child, 0)
            stack.callback(os.kill, child, signal.SIGKILL)
        assert not guard.is_running(server.pid)
        assert not workshop.directory.exists()


def test_the_end_of_a_process_that_a_cell_has_forked_ends_no_server(tmp_path: Path) -> None:
    with Workshop() as workshop:
        server = workshop.start(["sleep", "600"], directory=tmp_path, name="sleep")
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                workshop._dismiss()  # which is called at the end of a process
            os._exit(0)
        os.waitpid(child, 0)
        assert guard.is_running(server.pid)
        assert workshop.directory.exists()
        workshop.start(["true"], directory=tmp_path, name="true").result(30)  # it goes on


FORKING = """
import os, time
from pathlib import Path
from jupyter_flaskserve.comparison.processes import Workshop
workshop = Workshop().__enter__()
server = workshop.start(["sleep", "600"], directory=workshop.directory, name="sleep")
child = os.fork()
if child == 0:
    time.sleep(600)
print(server.pid, child, workshop.directory, flush=True)
time.sleep(600)
"""


def test_a_kernel_that_is_killed_leaves_nothing_though_a_child_of_it_lives() -> None:
    with subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        server, child, directory = process.stdout.readline().split()
        try:
            process.kill()
            assert wait_until(lambda: not Path(directory.decode()).exists())
            assert not guard.is_running(int(server))
        finally:
            os.kill(int(child), signal.SIGKILL)


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
