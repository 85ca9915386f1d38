"""The code cells of a notebook: of a file, or as a kernel has run them."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ExportError

__all__ = ["Cell", "Notebook", "read_notebook"]

_LONGEST = 70  # characters that are shown of a line


@dataclass(frozen=True)
class Cell:
    """A code cell.

    :ivar number: its number as the person sees it: the position among the code cells of a file,
        or what stands in the brackets before a cell that was run. 0 for a module beside the
        notebook, of which ``source`` is the file's name.
    :ivar may_fail: whether it is tagged as one that may fail.
    """

    number: int
    source: str
    may_fail: bool = False

    @property
    def first_line(self) -> str:
        line = next((line.strip() for line in self.source.splitlines() if line.strip()), "")
        return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"

    @property
    def place(self) -> str:
        """Where its code is, in a sentence."""
        return f"cell {self.number}" if self.number else self.source

    def __str__(self) -> str:
        return f"Cell {self.number} ({self.first_line})" if self.number else self.source


@dataclass(frozen=True)
class Notebook:
    """A notebook with its code cells in order, without those that are empty or not to be run.

    :ivar name: its file's name, without the ending.
    :ivar directory: where its code is run: files beside it are found there.
    :ivar kernel: the name of its kernelspec, or an empty string.
    :ivar language: the language of its cells, in lower case.
    """

    name: str
    directory: Path
    cells: list[Cell]
    kernel: str = ""
    language: str = "python"


def read_notebook(path: Path) -> Notebook:
    """Read a notebook's file. Cells tagged ``skip-execution`` are left out.

    :raises ExportError: it is not a notebook with code in it.
    """
    import nbformat  # a kernel, which has no file to read, does without it

    try:
        text = path.read_text("utf-8")
        data = json.loads(text)
        if not isinstance(data, dict) or "nbformat" not in data:
            raise ValueError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about its format is not our concern
            node = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        found = [cell for cell in node.cells if _is_run(cell)]
        cells = [
            Cell(number, cell.source, "raises-exception" in cell.metadata.get("tags", []))
            for number, cell in enumerate(found, 1)
        ]
        kernelspec = node.metadata.get("kernelspec", {})
        kernel = str(kernelspec.get("name", ""))
        language = str(kernelspec.get("language", "python")).lower()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise ExportError(f"There is no notebook {path}.") from None
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception:  # nbformat raises whatever a broken file makes it stumble over
        raise ExportError(f"{path} is not a Jupyter notebook.") from None
    if not cells:
        raise ExportError(f"{path} has no code to run.")
    path = path.absolute()
    return Notebook(path.stem, path.parent, cells, kernel, language)


def _is_run(cell: Any) -> bool:
    tags = cell.metadata.get("tags", [])
    return cell.cell_type == "code" and bool(cell.source.strip()) and "skip-execution" not in tags
