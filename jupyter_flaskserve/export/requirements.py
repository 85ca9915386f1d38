"""``requirements.txt``: the distributions that a project needs, with the versions in use."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import installed
from .errors import ExportError

__all__ = ["Requirements", "modules_in", "requirements_of"]

_SECONDS = 60  # for the kernel's Python to answer


@dataclass(frozen=True)
class Requirements:
    """What has to be installed.

    :ivar text: the text of ``requirements.txt``.
    :ivar python: the version of the notebook's Python, such as ``3.11``.
    :ivar unknown: modules of which no distribution is installed.
    :ivar elsewhere: distributions that were installed from a folder of this machine.
    """

    text: str
    python: str
    unknown: list[str]
    elsewhere: list[str]


def modules_in(tree: ast.AST) -> Iterator[str]:
    """The top-level modules that some code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def requirements_of(
    modules: Iterable[str], distributions: Iterable[str], python: str = sys.executable
) -> Requirements:
    """Find out what has to be installed for some modules.

    :param distributions: what is wanted besides. It is named also where it is not installed.
    :param python: the Python that runs the notebook.
    :raises ExportError: that Python does not answer.
    """
    wanted = sorted(set(distributions))
    found = _ask(python, sorted(set(modules)), wanted)
    direct: dict[str, str] = found["direct"]
    elsewhere: dict[str, str] = found["elsewhere"]
    known = {_normal(name) for name in direct}
    lines = ["# What the app imports, and the server that runs it."]
    lines += sorted(
        [_line(name, version, elsewhere) for name, version in direct.items()]
        + [name for name in wanted if _normal(name) not in known],
        key=str.lower,
    )
    indirect = [_line(name, version, elsewhere) for name, version in found["indirect"].items()]
    if indirect:
        lines += ["", "# What these need.", *sorted(indirect, key=str.lower)]
    local = [name for name, place in elsewhere.items() if place.startswith("file:")]
    return Requirements("\n".join(lines) + "\n", found["python"], found["unknown"], local)


def _ask(python: str, modules: list[str], distributions: list[str]) -> dict[str, Any]:
    if python == sys.executable:
        return installed.installed(modules, distributions)
    command = [
        python,
        "-I",
        str(Path(installed.__file__)),
        json.dumps(modules),
        json.dumps(distributions),
    ]
    try:
        done = subprocess.run(  # noqa: S603 -- the Python that the notebook's kernelspec names
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ExportError(
            f"The notebook's Python, {python}, does not say which versions it uses: {error}."
        ) from None
    return answer


def _line(name: str, version: str, elsewhere: dict[str, str]) -> str:
    place = elsewhere.get(name, "")
    if place.startswith("file:"):
        return f"# {name}=={version} was installed from a folder: copy it here, and name its path."
    return f"{name} @ {place}" if place else f"{name}=={version}"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
