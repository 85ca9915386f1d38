"""What a person is told when a project was written."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Iterator

from tqdm import tqdm

from .export import STEPS, Exported

__all__ = ["progress_bar", "report"]

_WIDTH = 96


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str], None]]:
    """A bar on standard error, for as long as something is exported: what
    :func:`.export.export` takes as ``progress``."""
    options = {"bar_format": "{desc} |{bar}| {elapsed}", "dynamic_ncols": True, "leave": False}
    with tqdm(total=len(STEPS), **options) as bar:

        def progress(step: str) -> None:
            bar.set_description_str(step, refresh=False)
            bar.update()

        yield progress


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
