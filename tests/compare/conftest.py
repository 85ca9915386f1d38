"""Fixtures: comparisons as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from comparisons import Start

PROGRAM = Path(__file__).with_name("compare_in_process.py")


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
        *only: str,
        seconds: float = 0.3,
        path: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), str(seconds), path, *only],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "JUPYTER_RUNTIME_DIR": str(temporary / "runtime"),
                **(environment or {}),
            },
            start_new_session=True,
        )

    return start_comparison
