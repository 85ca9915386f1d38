"""``jupyter flaskserve run``: run a notebook's cells in a kernel and serve its app."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from tqdm import tqdm

from jupyter_flaskserve.export.cells import Notebook

from .client import KernelClient, KernelError
from .ending import Failure, Interrupted, Signals
from .export import read
from .process import ServerProcess, exists
from .production import run_exported

__all__ = ["run"]

_SESSION_SECONDS = 60
_LOOK_SECONDS = 2  # how often the server is asked whether the app is still served
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run(options: argparse.Namespace) -> int:
    """Run a notebook and serve its app until Ctrl-C.

    :returns: the exit status.
    :raises Failure: the notebook, a cell, the app or the server will not do.
    """
    if options.server is not None:
        return run_exported(options)
    if options.workers is not None:
        raise Failure("--workers is for --server gunicorn.", 2)
    notebook = read(options.notebook)
    path = options.notebook.absolute()
    output = _Output()
    with (
        Signals() as signals,
        ServerProcess("jupyter_server", path.parent, options.port, signals) as server,
        contextlib.ExitStack() as stack,
    ):
        serving = False
        try:
            server.start()
            kernel = stack.enter_context(_kernel(server, notebook, path.name, output))
            _run_cells(kernel, notebook, output, options.timeout)
            mounts = _serve(kernel, options.app, options.name)
            serving = True
            links = [server.api.link(mount["path"]) for mount in mounts]
            print(f"Serving {path.name}")
            for link in links:
                print(f"    {link}")
            print("Press Ctrl-C to stop.", flush=True)
            if not options.no_browser:
                server.open_browser(links[0])
            _stay(server, kernel, [mount["name"] for mount in mounts])
        except Interrupted as interrupted:
            with contextlib.suppress(OSError):  # the terminal may be gone
                print("\nStopping the app, its kernel and the server.", file=sys.stderr)
            return 0 if serving else interrupted.status
        finally:
            output.flush()
    return 0


@contextlib.contextmanager
def _kernel(
    server: ServerProcess, notebook: Notebook, name: str, output: _Output
) -> Iterator[KernelClient]:
    """Start a kernel for the notebook, in its folder and with its name, as JupyterLab does."""
    session = {
        "type": "notebook",
        "name": name,
        "path": name,
        "kernel": {"name": _kernel_name(server, notebook)},
    }
    try:
        status, answer = server.api.request(
            "POST", "api/sessions", session, timeout=_SESSION_SECONDS
        )
    except OSError as error:
        server.check()
        raise Failure(f"The kernel does not start: {error}.") from error
    if status != 201:
        said = answer.get("message", "") if isinstance(answer, dict) else ""
        raise Failure(f"The kernel does not start: {said or f'status {status}'}")
    pid = 0

    def check() -> None:
        server.check()
        if pid and not exists(pid):
            raise Failure("The notebook's kernel has ended.")

    connection_file = Path(jupyter_runtime_dir()) / f"kernel-{answer['kernel']['id']}.json"
    kernel = KernelClient(connection_file, check=check, output=output.write)
    try:
        kernel.connect()
        pid = int(kernel.evaluate("__import__('os').getpid()")["text/plain"])
        server.watch_kernel(pid, connection_file)
        yield kernel
    finally:
        kernel.close()


def _kernel_name(server: ServerProcess, notebook: Notebook) -> str:
    """The notebook's own kernel or, where it is not installed, the default one."""
    _, answer = server.api.request("GET", "api/kernelspecs", timeout=_SESSION_SECONDS)
    installed, default = sorted(answer["kernelspecs"]), str(answer["default"])
    if notebook.kernel in installed:
        return notebook.kernel
    if notebook.language != "python":
        raise Failure(
            f"The notebook's language is {notebook.language}, and its kernel {notebook.kernel!r} is"
            f" not installed. Installed: {', '.join(installed)}.",
            2,
        )
    if notebook.kernel:
        print(
            f"The notebook's kernel {notebook.kernel!r} is not installed; {default!r} runs it.",
            file=sys.stderr,
        )
    return default


def _run_cells(
    kernel: KernelClient, notebook: Notebook, output: _Output, timeout: float | None
) -> None:
    count = len(notebook.cells)
    bar = tqdm(
        total=count,
        file=sys.stderr,
        desc=f"Cell 1 of {count}",
        bar_format="{desc} |{bar}| {elapsed}",
        dynamic_ncols=True,
    )
    with bar:
        for number, cell in enumerate(notebook.cells, 1):
            bar.set_description_str(f"Cell {number} of {count}")
            where = f"Cell {number} of {count} ({cell.first_line})"
            try:
                kernel.execute(cell.source, timeout=timeout)
            except KernelError as error:
                output.flush()
                if not cell.may_fail:
                    bar.close()
                    print(_coloured(error.traceback), file=sys.stderr)
                    raise Failure(f"{where} failed: {error.kind}.") from None
            except TimeoutError:
                raise Failure(f"{where} took longer than {timeout:g} seconds.") from None
            except Failure as failure:
                raise Failure(f"{where} was cut short. {failure}") from None
            output.flush()
            bar.update()


def _coloured(traceback: str) -> str:
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return traceback
    return _ANSI.sub("", traceback)


def _serve(kernel: KernelClient, variable: str | None, name: str | None) -> list[dict[str, str]]:
    """Serve the app in the kernel.

    :returns: the mounts' names and paths.
    """
    here = "__import__('jupyter_flaskserve.kernel.notebook', fromlist=['notebook'])"
    try:
        data = kernel.evaluate(f"{here}.serve_notebook({variable!r}, {name!r})")
    except KernelError as error:
        if error.kind == "ServeError":
            raise Failure(error.text, 2) from None
        if error.kind in ("ModuleNotFoundError", "ImportError"):
            raise Failure(
                "The notebook's kernel has no jupyter_flaskserve. Install it in the kernel's"
                f" environment: pip install jupyter-flaskserve ({error.text})"
            ) from None
        print(_coloured(error.traceback), file=sys.stderr)
        raise Failure(f"The app cannot be served: {error.kind}.") from None
    mounts: list[dict[str, str]] = data["application/json"]
    return mounts


def _stay(server: ServerProcess, kernel: KernelClient, names: list[str]) -> None:
    """Pass on what the kernel prints until there is nothing left to serve."""
    look = time.monotonic() + _LOOK_SECONDS
    while True:
        kernel.relay(0.5)
        kernel.check()
        if time.monotonic() < look:
            continue
        look = time.monotonic() + _LOOK_SECONDS
        with contextlib.suppress(OSError):
            status, mounts = server.api.mounts()
            if status == 200 and not any(mount["name"] in names for mount in mounts):
                print(f"{' and '.join(names)} was stopped, so the kernel and the server stop too.")
                return


class _Output:
    """What cells print, in whole lines, so that the progress bar and they keep out of each other's
    way."""

    def __init__(self) -> None:
        self._rest = {"stdout": "", "stderr": ""}

    def write(self, name: str, text: str) -> None:
        whole, newline, self._rest[name] = (self._rest[name] + text).rpartition("\n")
        if newline:
            self._show(name, whole)

    def flush(self) -> None:
        """Show lines that have no end yet, too."""
        for name, rest in self._rest.items():
            self._rest[name] = ""
            if rest:
                self._show(name, rest)

    def _show(self, name: str, text: str) -> None:
        stream = sys.stdout if name == "stdout" else sys.stderr
        tqdm.write(text, file=stream)
        stream.flush()
