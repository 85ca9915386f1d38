"""Fixtures of the tests that run in one process: an IPython shell, without and with the
extension, and responders."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastcgi_clients import App, CountingSocket, Serve, Served
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import jupyter_flaskserve
from jupyter_flaskserve.kernel.responder.listener import Listener
from jupyter_flaskserve.kernel.responder.responder import Responder


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A new shell, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.HistoryManager.enabled = False
    config.ProfileDir.location = str(tmp_path / "profile")
    shell = InteractiveShell.instance(config=config)
    yield shell
    InteractiveShell.clear_instance()
    atexit.unregister(shell.atexit_operations)  # of hundreds of shells they take minutes


@pytest.fixture
def loaded_shell(shell: InteractiveShell) -> Iterator[InteractiveShell]:
    """A new shell with the extension loaded."""
    shell.run_line_magic("load_ext", "jupyter_flaskserve")
    yield shell
    jupyter_flaskserve.unload_ipython_extension(shell)


@pytest.fixture
def complete(shell: InteractiveShell) -> Callable[[str], list[str]]:
    """What the shell's completer offers at the end of a text."""

    def completions(text: str) -> list[str]:
        with provisionalcompleter():
            offers = list(shell.Completer.completions(text, len(text)))
        return [text[: offer.start] + offer.text for offer in offers]

    return completions


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts responders; gives what reaches them."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    all_served: list[Served] = []

    def start(app: App) -> Served:
        listener = Listener("unix", generation=f"g{len(all_served)}", backlog=16)
        counting = CountingSocket(fileno=listener.socket.detach())
        counting.calls = []
        listener.socket = counting
        responder = Responder(app, name="test", listener=listener, threads=8)
        all_served.append(Served(responder, listener.address, counting, counting.calls))
        return all_served[-1]

    yield start
    for served in all_served:
        for client in served.clients:
            client.close()
        served.responder.stop()
