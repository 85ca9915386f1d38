"""Notebooks of some cells that are exported, for the tests of that."""

from __future__ import annotations

import functools
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from jupyter_flaskserve.export import Cell, Exported, Notebook, export

__all__ = ["quick_metadata", "write"]

_distributions = functools.cache(metadata.packages_distributions)


@pytest.fixture(autouse=True)
def quick_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks once for what is installed, because that takes a while."""
    monkeypatch.setattr(metadata, "packages_distributions", _distributions)


def write(directory: Path, *cells: str, **options: Any) -> Exported:
    """Export a notebook of some cells, which is in a directory, to ``out`` there."""
    numbered = [Cell(n, textwrap.dedent(cell).strip("\n")) for n, cell in enumerate(cells, 1)]
    notebook = Notebook("test", directory, numbered)
    return export(notebook, directory / "out", **options)
