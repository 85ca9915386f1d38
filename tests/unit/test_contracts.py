"""Who may import whom: the contracts in ``pyproject.toml``."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import jupyter_flaskserve
from jupyter_flaskserve.comparison import compare, running
from jupyter_flaskserve.kernel import mount

ROOT = Path(__file__).parents[2]


def test_every_import_keeps_the_contracts() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " kept, 0 broken" in done.stdout


def test_the_public_names_stay_what_they_are_when_everything_is_loaded() -> None:
    """A module of the package must not take the place of a function of the same name."""
    for module in pkgutil.walk_packages(jupyter_flaskserve.__path__, "jupyter_flaskserve."):
        import_module(module.name)
    for name in jupyter_flaskserve.__all__:
        home = {"compare": compare, "running": running}.get(name, mount)
        assert getattr(jupyter_flaskserve, name) is getattr(home, name)
