"""Fixtures: Flask's documentation, and notebooks that its listings are pasted into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from jupyter_processes import Server
from listings import NotToBeHad, download
from pasting import Paste


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of Flask's documentation."""
    try:
        return download(tmp_path_factory.mktemp("flask"))
    except NotToBeHad as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter Server."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def paste(docs: Path, server: Server) -> Iterator[Callable[[str], Paste]]:
    """Opens a new notebook for the listings of a page."""
    opened = []

    def paste(page: str) -> Paste:
        name = page.replace("/", "-")
        opened.append(server.kernel(f"{name}/Page.ipynb"))
        folder = server.notebooks / name
        folder.mkdir()
        return Paste(opened[-1], name, (docs / f"{page}.rst").read_text(encoding="utf-8"), folder)

    yield paste
    for kernel in opened:
        kernel.close()
    server.close_clients()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the servers' logs beside a failure."""
    report = yield
    if report.failed:
        for server in Server.running:
            title = f"log of the server on port {server.port}"
            report.sections.append((title, server.log[-10_000:]))
    return report
