"""What tests of comparisons have in common: what is installed, and what is left over."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jupyter_flaskserve.comparison.contenders import CONTENDERS

Start = Callable[..., "subprocess.Popen[str]"]


def check_installed(key: str) -> None:
    """Skip the test, or fail it in CI, where a server is not installed."""
    missing = CONTENDERS[key].missing()
    if missing:
        reason = f"{CONTENDERS[key].title} is not installed: {missing}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


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
