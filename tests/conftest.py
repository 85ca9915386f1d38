"""What all tests share."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# A loaded machine is not a failure. CI tries the same examples each time; others find new ones.
settings.register_profile("tests", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "slow: takes more than ten seconds; leave out with -m 'not slow'"
    )
    # A run that is terminated ends its fixtures, and with them the servers it has started.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
