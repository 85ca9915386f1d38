"""What all tests share."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import settings

# A loaded machine is not a failure. CI tries the same examples each time; others find new ones.
settings.register_profile("tests", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("integration", "other ways to run the integration tests")
    group.addoption(
        "--transport",
        choices=("unix", "tcp"),
        default="unix",
        help="how servers reach the apps: over Unix sockets or over the loopback with a secret",
    )
    group.addoption(
        "--validate",
        action="store_true",
        help="run every app inside wsgiref.validate; what that finds fails the test",
    )
    group.addoption(
        "--server",
        choices=("jupyter", "kernel"),
        default="jupyter",
        help="what serves the apps: a Jupyter Server, or the kernel's own process",
    )


MARKERS = (
    "slow: takes more than ten seconds; leave out with -m 'not slow'",
    "unix_sockets(reason): is about the files of Unix sockets; left out with --transport=tcp",
    "jupyter_server(reason): is about Jupyter Server; left out with --server=kernel",
    "unvalidated(reason): its apps break the rules of WSGI, so --validate leaves them alone",
    "validated(reason): is about the validation itself; left out without --validate",
)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.basetemp is None:
        # The path of a Unix socket has room for 107 bytes, of which pytest's own takes too many.
        config.option.basetemp = tempfile.mkdtemp(prefix="fs")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # A run that is terminated ends its fixtures, and with them the servers it has started.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    # A shell lets what it runs in the background ignore interrupts, and so all its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
