"""The panels' JavaScript that needs no page: Node.js runs its tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1] / "javascript"
LOWEST_NODE = 18


def node() -> str:
    """The path of Node.js; without one that will do, the test is skipped, in CI it fails."""
    found = shutil.which("node")
    if found is not None:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.lstrip("v").partition(".")[0]) >= LOWEST_NODE:
            return found
    reason = f"there is no Node.js {LOWEST_NODE} or newer; install it with: apt-get install nodejs"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.mjs")), ids=lambda file: file.name)
def test_the_panels_javascript(file: Path) -> None:
    done = subprocess.run(
        [node(), "--no-warnings", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\S pass [1-9]", done.stdout, re.MULTILINE), done.stdout
