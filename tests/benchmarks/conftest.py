"""What the tests of the benchmarks share."""

from __future__ import annotations

import pytest
from programs import program


@pytest.fixture(scope="session")
def wrk() -> str:
    """The path of wrk."""
    return program("wrk", "wrk")
