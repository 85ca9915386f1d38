"""The name a mount gets when nobody gives it one: the notebook's, made into a label.

``Lesson 2.ipynb`` serves its app as ``lesson-2``, and a second app as ``lesson-2-admin``, after its
variable. So the address stays the same from run to run and says where the app comes from.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from itertools import count
from pathlib import PureWindowsPath

from jupyter_flaskserve.records import label

__all__ = ["default_name", "notebook_path"]

_SESSION_ENV = "JPY_SESSION_NAME"  # set by Jupyter Server for the kernels of sessions
_EDITOR_VARIABLE = "__vsc_ipynb_file__"  # set by VS Code in the user's namespace

_LONGEST = 63  # characters of a DNS label, RFC 1035 §2.3.4
_LONGEST_VARIABLE = 31  # of these, so that something of the notebook's name is left

# Latin letters that Unicode does not take apart into an ASCII letter and a mark.
_LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "\u0131": "i"}
)


def notebook_path(namespace: Mapping[str, object] | None = None) -> str:
    """The file of the notebook that this kernel belongs to, as far as the kernel knows.

    The editor's word comes before the server's, because an editor may give its sessions on a
    server file names that it made up.

    :param namespace: the user's variables, where an editor may have left the path.
    :returns: the path, or an empty string: for consoles, and where nobody told the kernel.
    """
    for path in ((namespace or {}).get(_EDITOR_VARIABLE), os.environ.get(_SESSION_ENV)):
        if isinstance(path, str) and path.lower().endswith(".ipynb"):
            return path
    return ""


def default_name(variable: str | None, notebook: str, held: Collection[str]) -> str:
    """The name for a mount whose user gave none.

    :param variable: the variable that holds the app, which may be dotted.
    :param notebook: what :func:`notebook_path` returned.
    :param held: the names under which this kernel serves other variables.
    :returns: a valid name that is not in ``held``.
    """
    # Either kind of path may come: the editor may run on another system than the kernel.
    file = re.sub(r"\.ipynb$", "", PureWindowsPath(notebook).name, flags=re.IGNORECASE)
    candidates = _candidates(_label(file), _label(variable or ""))
    return next(name for name in candidates if name not in held)


def _candidates(of_notebook: str, of_variable: str) -> Iterator[str]:
    first = of_notebook or of_variable or "app"
    yield first
    ending = ""
    if of_notebook and of_variable:
        ending = "-" + of_variable[:_LONGEST_VARIABLE].strip("-")
        yield _with_ending(first, ending)
    for number in count(2):
        yield _with_ending(first, f"{ending}-{number}")


def _with_ending(name: str, ending: str) -> str:
    return name[: _LONGEST - len(ending)].strip("-") + ending


def _label(text: str) -> str:
    """``text`` as a name in ASCII, or nothing where that would leave none of its letters."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LATIN))
    name = label("".join(c for c in decomposed if not unicodedata.combining(c)))
    had_letters = any(c.isalpha() for c in text)
    return "" if had_letters and not any(c.isalpha() for c in name) else name
