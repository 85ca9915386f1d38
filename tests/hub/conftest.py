"""Fixtures: a JupyterHub with the servers of its users."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))

from hub_processes import Hub, UserServer, find_proxy
from jupyter_processes import Kernel, Web


@pytest.fixture(scope="session")
def proxy() -> str:
    """The path of configurable-http-proxy."""
    path = find_proxy()
    if path is None:
        reason = (
            "JupyterHub's proxy is not installed: npm install --no-save configurable-http-proxy@4.6"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def new_hub(proxy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Hub]]:
    """Starts hubs; takes what :class:`Hub` takes beyond directory and proxy."""
    hubs = []

    def new(**options: Any) -> Hub:
        hubs.append(Hub(tmp_path_factory.mktemp("hub"), proxy=proxy, **options))
        return hubs[-1]

    yield new
    for hub in hubs:
        hub.stop()


@pytest.fixture(scope="session")
def hub(new_hub: Callable[..., Hub]) -> Hub:
    """A hub for all tests that do not break it."""
    return new_hub()


@pytest.fixture(scope="session")
def ann(hub: Hub) -> UserServer:
    """Ann's server."""
    return hub.server("ann")


@pytest.fixture(scope="session")
def kernel(ann: UserServer) -> Kernel:
    """A kernel of Ann's."""
    return ann.kernel()


@pytest.fixture
def browser(hub: Hub) -> Iterator[Callable[[str], httpx.Client]]:
    """Makes browsers without scripts; takes who has logged in, or an empty string for nobody."""
    made = []

    def browser(user: str = "") -> httpx.Client:
        made.append(hub.browser(user))
        return made[-1]

    yield browser
    for client in made:
        client.close()


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    """Closes the HTTP clients that a test has made."""
    yield
    for server in Web.running:
        server.close_clients()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the logs beside a failure."""
    report = yield
    if report.failed:
        for file in {server.log_file for server in Web.running}:
            text = file.read_text(errors="replace")
            report.sections.append((f"log of {file}", text[-15_000:]))
    return report
