"""What a person is told when a project was written."""

from __future__ import annotations

import textwrap

from .export import Exported

__all__ = ["report"]

_WIDTH = 96


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
