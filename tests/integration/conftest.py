"""Fixtures: servers and kernels that run, and the server's log beside every failure."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from jupyter_processes import Kernel, LoneKernels, Server, Web, arrangement
from validation import Validation

_log_starts = pytest.StashKey[dict[Web, int]]()
_left_out = pytest.StashKey[Counter[str]]()
_validated = pytest.StashKey[int]()


@pytest.fixture(scope="session", autouse=True)
def _arrangement(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Sets up all servers and kernels as the options say."""
    arrangement.transport = request.config.getoption("--transport")
    if request.config.getoption("--validate"):
        arrangement.validation = Validation(tmp_path_factory.mktemp("validation"))
    yield
    if arrangement.validation is not None:
        request.config.stash[_validated] = arrangement.validation.requests


@pytest.fixture(autouse=True)
def _no_validation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Turns the validation off for the tests that are marked so."""
    with contextlib.ExitStack() as stack:
        if arrangement.validation is not None and request.node.get_closest_marker("unvalidated"):
            stack.enter_context(arrangement.validation.off())
        yield


def _server_scope(fixture_name: str, config: pytest.Config) -> Any:
    return "module" if config.option.server == "kernel" else "session"


@pytest.fixture(scope=_server_scope)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server | LoneKernels]:
    """One Jupyter Server for all tests that do not break it, or what there is in its place."""
    server: Server | LoneKernels
    if request.config.option.server == "kernel":
        server = LoneKernels(tmp_path_factory.mktemp("kernels"))
        server.kernel()
    else:
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
    if isinstance(server, LoneKernels):
        yield server.kernels[0]
    else:
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
    for server in Web.running:
        server.close_clients()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A mount name of the test's own."""
    return f"m{abs(hash(request.node.nodeid)):x}"


# The tests that a way to run them leaves out, and why


def _reason_to_leave_out(item: pytest.Item) -> str | None:
    options = item.config.option
    if options.server == "kernel" and "new_server" in getattr(item, "fixturenames", ()):
        return "jupyter_server: it starts one of its own, with settings of its own"
    for marker, applies in (
        ("unix_sockets", options.transport == "tcp"),
        ("jupyter_server", options.server == "kernel"),
        ("validated", not options.validate),
    ):
        mark = item.get_closest_marker(marker)
        if applies and mark is not None:
            return f"{marker}: {mark.args[0]}"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = [_reason_to_leave_out(item) for item in items]
    config.stash[_left_out] = Counter(reason for reason in reasons if reason is not None)
    left_out = [item for item, reason in zip(items, reasons, strict=True) if reason is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item, reason in zip(items, reasons, strict=True) if reason is None]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)  # of a worker of pytest-xdist
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(_left_out, Counter()))
        output["validated"] = session.config.stash.get(_validated, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    stash = node.config.stash
    stash[_left_out] = Counter(output.get("left_out", {}))  # each worker collects all tests
    stash[_validated] = stash.get(_validated, 0) + output.get("validated", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for reason, number in sorted(config.stash.get(_left_out, Counter()).items()):
        terminalreporter.write_line(f"LEFT OUT [{number}] {reason}")
    if config.option.validate:
        number = config.stash.get(_validated, 0)
        terminalreporter.write_line(f"{number} requests were run inside wsgiref.validate")


# What is beside a failure


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_log_starts] = {server: server.log_file.stat().st_size for server in Web.running}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if arrangement.validation is not None and report.when != "setup":
        findings = arrangement.validation.take()
        if findings and report.passed:
            report.outcome = "failed"
            report.longrepr = f"wsgiref.validate has found:\n{findings}"
        elif findings:
            report.sections.append(("findings of wsgiref.validate", findings))
    if report.failed:
        starts = item.stash.get(_log_starts, {})
        for server in Web.running:
            with server.log_file.open("rb") as file:
                file.seek(starts.get(server, 0))
                text = file.read().decode(errors="replace")
            report.sections.append((f"log of the server on port {server.port}", text[-20_000:]))
    return report
