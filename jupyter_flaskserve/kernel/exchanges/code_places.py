"""Where code is, as a person knows it: ``Cell In[3], line 4`` and not the file that IPython invents
for a cell; and whether it is a person's own code or a library's.
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
import traceback
from types import TracebackType

__all__ = ["cell_name", "is_own", "name_cells", "own_index", "place", "place_of_failure"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_LIBRARIES = tuple(
    {
        os.path.join(path, "")
        for directory in (
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
            *site.getsitepackages(),
            site.getusersitepackages(),
            _PACKAGE,
        )
        for path in (directory, os.path.realpath(directory))
    }
)
# What Jinja calls a template that is in no file.
_NAMELESS_TEMPLATES = ("<template>", "<unknown>")

_FRAME = re.compile(r'^([ \t|]*)File "([^"\n]+)"(?=, line \d+)', re.MULTILINE)


def is_own(filename: str) -> bool:
    """Whether code in a file is the notebook's own, rather than a library's or this package's."""
    if cell_name(filename) is not None or filename in _NAMELESS_TEMPLATES:
        return True
    return not filename.startswith("<") and not os.path.abspath(filename).startswith(_LIBRARIES)


def place(filename: str, line: int | None) -> str:
    """A line of code: ``Cell In[3], line 4`` or ``shop.py, line 12``."""
    return f"{cell_name(filename) or os.path.basename(filename)}, line {line}"


def own_index(filenames: list[str]) -> int | None:
    """Which of the files of a traceback, outermost first, is the innermost own code."""
    indexes = range(len(filenames) - 1, -1, -1)
    return next((index for index in indexes if is_own(filenames[index])), None)


def place_of_failure(trace: TracebackType | None) -> str:
    """Where an exception went through the innermost own code, else where it was raised; empty
    where it never was."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(trace)]
    if not frames:
        return ""
    index = own_index([filename for filename, _ in frames])
    return place(*frames[-1 if index is None else index])


def name_cells(text: str) -> str:
    """A text with tracebacks in it, with cells in place of the files that IPython invents."""
    if 'File "' not in text:
        return text
    return _FRAME.sub(_renamed, text)


def _renamed(frame: re.Match[str]) -> str:
    cell = cell_name(frame[2])
    return frame[0] if cell is None else frame[1] + cell


def cell_name(filename: str) -> str | None:
    """The cell whose code IPython gave a file name, such as ``Cell In[3]``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    named = None if shell is None else shell.compile.format_code_name(filename)
    return None if named is None else " ".join(named)
