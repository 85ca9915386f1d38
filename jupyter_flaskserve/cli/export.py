"""``jupyter flaskserve export``: a notebook's app as a project that runs without Jupyter."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from jupyter_flaskserve.export import (
    Addresses,
    Exported,
    ExportError,
    Notebook,
    export_with_progress,
    project_name,
    read_notebook,
    report,
)

from .ending import Failure

__all__ = ["export_notebook", "read", "write"]


def export_notebook(options: argparse.Namespace) -> int:
    """Write a project with the app of a notebook.

    :returns: the exit status.
    :raises Failure: it cannot be exported.
    """
    notebook = read(options.notebook)
    directory = options.output or Path(f"{project_name(notebook.name)}-project")
    exported, _ = write(notebook, directory, options.app, all_cells=options.all_cells)
    print(report(exported))
    return 0


def read(path: Path) -> Notebook:
    """Read a notebook's file.

    :raises Failure: it is not a notebook with code in it.
    """
    try:
        return read_notebook(path)
    except ExportError as error:
        raise Failure(str(error), 2) from None


def write(
    notebook: Notebook,
    directory: Path,
    variable: str | None,
    *,
    all_cells: bool = False,
    addresses: Addresses | None = None,
) -> tuple[Exported, str]:
    """Write a project, with a progress bar.

    :returns: what was exported, and the Python whose packages it uses.
    :raises Failure: it cannot be exported.
    """
    python = kernel_python(notebook)
    try:
        exported = export_with_progress(
            notebook,
            directory,
            variable=variable,
            all_cells=all_cells,
            python=python,
            addresses=addresses,
        )
    except ExportError as error:
        raise Failure(str(error), 2) from None
    return exported, python


def kernel_python(notebook: Notebook) -> str:
    """The Python that runs the notebook: that of its kernel where it is installed, or else of this
    program."""
    if not notebook.kernel:
        return sys.executable
    try:
        spec = KernelSpecManager().get_kernel_spec(notebook.kernel)
    except NoSuchKernel:
        print(
            f"The notebook's kernel {notebook.kernel!r} is not installed: the versions are those of"
            f" {sys.executable}.",
            file=sys.stderr,
        )
        return sys.executable
    program = str(spec.argv[0]) if spec.argv else ""
    # A kernel that is called just "python" is run by the Python that starts it.
    is_path = os.path.isabs(program) and "python" in os.path.basename(program).lower()
    same = re.fullmatch(r"python[0-9.]*(?:\.exe)?", program) or program == sys.executable
    return program if is_path and not same else sys.executable
