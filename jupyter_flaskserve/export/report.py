"""What a person is told when a project was written."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .cells import Notebook
from .export import STEPS, Exported, export

__all__ = ["export_with_progress", "report"]

_WIDTH = 96


def export_with_progress(notebook: Notebook, directory: Path, **options: Any) -> Exported:
    """Do what :func:`.export.export` does, with a progress bar on standard error."""
    bar_options = {"bar_format": "{desc} |{bar}| {elapsed}", "dynamic_ncols": True, "leave": False}
    with tqdm(total=len(STEPS), **bar_options) as bar:

        def progress(step: str) -> None:
            bar.set_description_str(step, refresh=False)
            bar.update()

        return export(notebook, directory, progress=progress, **options)


def report(exported: Exported) -> str:
    """Some lines: where the project is, what to know, and what to do next."""
    files = exported.files
    count = len(files.written) + len(files.unchanged)
    changed = f"{len(files.written)} of {count} files are new or have changed"
    lines = [f"Exported {exported.variable} to {exported.directory}: {changed}."]
    if files.removed:
        lines.append(f"Removed, because the notebook has them no more: {', '.join(files.removed)}.")
    lines += exported.notes
    lines.append(f"How to run it: {exported.directory / 'README.md'}")
    indented = (textwrap.wrap(line, _WIDTH, subsequent_indent="  ") for line in lines)
    return "\n".join(part for parts in indented for part in parts)
