"""What the machine is, and which versions of everything are measured."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from .contenders.processes import MissingProgram, find_program

__all__ = ["describe"]

_PACKAGES = (
    "jupyter-flaskserve", "jupyter_server", "jupyter-server-proxy", "tornado", "ipykernel",
    "Flask", "Werkzeug", "flask-sock", "waitress", "gunicorn", "cheroot",
)  # fmt: skip
_PROGRAMS = {"wrk": ("wrk", "-v"), "nginx": ("nginx", "-v")}


def describe() -> dict[str, object]:
    """The machine and the versions, for people, by what they are."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_distribution()}, {platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load at the beginning": round(os.getloadavg()[0], 2),
        "versions": {**_packages(), **_programs()},
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _distribution() -> str:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.platform()


def _packages() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _programs() -> dict[str, str]:
    found = {}
    for name, command in _PROGRAMS.items():
        with contextlib.suppress(MissingProgram):
            program = find_program(name, name)
            answer = subprocess.run(
                [program, *command[1:]], capture_output=True, text=True, check=False
            )
            first = (answer.stdout or answer.stderr).splitlines()[0]
            words = first.replace("nginx version:", "").split()
            found[name] = words[1] if words[0] == name else words[0].partition("/")[2]
    return found
