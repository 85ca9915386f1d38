"""How long imports take, beyond what is imported already where they take place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from types import MappingProxyType

from ..contenders.processes import environment
from ..contenders.stage import Stage
from ..load.failed import Failed
from .work import Column, Pace, Values, Work

__all__ = ["Imports"]

# What is there already, and what is timed.
_MODULES = {
    "import-server": ("jupyter_server.serverapp", "jupyter_flaskserve.server.extension"),
    "import-kernel": (
        "ipykernel.kernelapp, ipykernel.zmqshell, flask",
        "jupyter_flaskserve.kernel.extension, jupyter_flaskserve.kernel.mount",
    ),
    "import-proxy": ("jupyter_server.serverapp", "jupyter_server_proxy"),
}
_CODE = """
import time
import {before}
begin = time.perf_counter()
import {modules}
print(time.perf_counter() - begin)
"""


class Imports(Work):
    """Each in a new process, from compiled files."""

    key = "imports"
    title = "Imports"
    unit = "process"
    columns = (Column("seconds", "Import", "ms"),)
    reference = "import-server"
    titles = MappingProxyType(
        {
            "import-server": "jupyter_flaskserve, beyond jupyter_server",
            "import-kernel": "jupyter_flaskserve, beyond ipykernel and Flask",
            "import-proxy": "jupyter_server_proxy, beyond jupyter_server",
        }
    )

    def cases(self, pace: Pace) -> Sequence[int]:
        return (1,)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        self._import(stage, key)  # writes the compiled files

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        return Values({"seconds": self._import(stage, key)})

    def _import(self, stage: Stage, key: str) -> float:
        before, modules = _MODULES[key]
        process = subprocess.run(
            [sys.executable, "-c", _CODE.format(before=before, modules=modules)],
            env=environment(stage.directory),
            cwd=stage.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise Failed(process.stderr[-500:])
        return float(process.stdout)
