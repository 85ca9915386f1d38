"""jupyter_flaskserve, each contender in a kernel of its own: what one has recorded must not be in
the memory of another."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING

from .contender import Contender
from .jupyter import JupyterServer, Kernel
from .panel import open_panel

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["mounted", "serve", "start", "start_with_panel", "start_without_recorder"]

_SERVE = """
%load_ext jupyter_flaskserve
from benchmarks.app import app
%flaskserve app --name {name} --threads {threads} --no-panel
from jupyter_flaskserve import mounts
mount = mounts()[-1]
"""
_PANEL = """
import json
panel = mount.requests_panel()
print(json.dumps(mount.inspector_path))
"""


def start(stage: Stage, stack: ExitStack) -> Contender:
    """As it is by default: with the recorder on."""
    return mounted(stage.our_server, serve(stage, "ours"), "ours")


def start_without_recorder(stage: Stage, stack: ExitStack) -> Contender:
    kernel = serve(stage, "ours-off")
    kernel.run("mount.requests.recording = False")
    return mounted(stage.our_server, kernel, "ours-off")


def start_with_panel(stage: Stage, stack: ExitStack) -> Contender:
    """With a panel of requests that is open while it is measured."""
    kernel = serve(stage, "ours-panel")
    path = json.loads(kernel.run(_PANEL))
    return mounted(
        stage.our_server,
        kernel,
        "ours-panel",
        while_measured=partial(open_panel, kernel, path),
    )


def serve(stage: Stage, name: str) -> Kernel:
    """A new kernel that serves the app under that name."""
    kernel = stage.our_server.kernel(f"{name}.ipynb")
    kernel.run(_SERVE.format(name=name, threads=stage.threads))
    return kernel


def mounted(
    server: JupyterServer,
    kernel: Kernel,
    key: str,
    *,
    name: str = "",
    while_measured: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> Contender:
    """What a mount is as a contender.

    :param name: the mount's name, where it is not the key.
    :param while_measured: what has to go on while it is measured.
    """
    return Contender(
        key,
        f"{server.url}flaskserve/{name or key}/",
        {"server": server.pid, "kernel": kernel.pid},
        server.headers,
        kernel,
        while_measured=while_measured,
    )
