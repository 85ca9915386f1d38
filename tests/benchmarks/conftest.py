"""What the tests of the benchmarks share."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def wrk() -> str:
    """The path of wrk."""
    path = shutil.which("wrk")
    if path is None:
        reason = "wrk is not installed: apt-get install wrk"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
