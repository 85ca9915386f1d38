"""Comparisons as processes, and what is said where a server is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_flaskserve.comparison.contenders import CONTENDERS

PROGRAM = Path(__file__).with_name("compare_in_process.py")

Start = Callable[..., "subprocess.Popen[str]"]


def check_installed(key: str) -> None:
    """Skip the test, or fail it in CI, where a server is not installed."""
    missing = CONTENDERS[key].missing()
    if missing:
        reason = f"{CONTENDERS[key].title} is not installed: {missing}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """Where comparisons make their directories. pytest's own are closed to the user as whom
    servers serve where root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="fs") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="module")
def start(temporary: Path) -> Start:
    """Starts a comparison in a process of its own."""

    def start_comparison(
        *only: str, seconds: float = 0.3, path: str = "/"
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), str(seconds), path, *only],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "JUPYTER_RUNTIME_DIR": str(temporary / "runtime"),
            },
            start_new_session=True,
        )

    return start_comparison


def left_over(temporary: Path) -> list[str]:
    """What is left of comparisons: directories, and processes that run in or know of one."""
    found = [path.name for path in temporary.glob("flaskserve-*")]
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        info = process.info
        words = " ".join(info["cmdline"] or ())
        if info["status"] != psutil.STATUS_ZOMBIE and f"{temporary}/flaskserve-" in (
            f"{words} {info['cwd']}"
        ):
            found.append(f"{info['pid']}: {words}")
    return found
