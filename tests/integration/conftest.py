"""Fixtures: servers and kernels that run, and the server's log beside every failure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from jupyter_processes import Kernel, Server

_log_starts = pytest.StashKey[dict[Server, int]]()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Jupyter Server for all tests that do not break it."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def new_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own; takes what :class:`Server` takes."""
    servers = []

    def new(**options: Any) -> Server:
        servers.append(Server(tmp_path_factory.mktemp("server"), **options))
        return servers[-1]

    yield new
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def kernel(server: Server, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """One kernel for the tests of a module that do not break it."""
    kernel = server.kernel(f"{request.module.__name__}.ipynb")
    yield kernel
    kernel.close()


@pytest.fixture
def new_kernel(server: Server) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels of the test's own in the shared server; takes the notebook's path."""
    kernels = []

    def new(notebook: str = "Lesson 1.ipynb") -> Kernel:
        kernels.append(server.kernel(notebook))
        return kernels[-1]

    yield new
    for kernel in kernels:
        kernel.close()


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    """Closes the HTTP clients that a test has made."""
    yield
    for server in Server.running:
        server.close_clients()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A mount name of the test's own."""
    return f"m{abs(hash(request.node.nodeid)):x}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_starts] = {server: server.log_file.stat().st_size for server in Server.running}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        starts = item.stash.get(_log_starts, {})
        for server in Server.running:
            with server.log_file.open("rb") as file:
                file.seek(starts.get(server, 0))
                text = file.read().decode(errors="replace")
            report.sections.append((f"log of the server on port {server.port}", text[-20_000:]))
    return report
