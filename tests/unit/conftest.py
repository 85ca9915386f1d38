"""Fixtures of the tests that run in one process: an IPython shell, without and with the
extension."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import jupyter_flaskserve


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
