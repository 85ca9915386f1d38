"""A mount's panels in the output of a cell, which need a notebook and widgets."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

__all__ = ["is_notebook", "show", "widgets"]


def widgets() -> Any:
    """The module that makes the panels. It is imported only when there is one to show, because that
    takes a while.

    :raises ImportError: ipywidgets or anywidget cannot be imported.
    """
    return import_module("jupyter_flaskserve.widgets.mount_panel")


def is_notebook() -> bool:
    """Whether a front end may show widgets. A terminal does not."""
    return getattr(get_ipython(), "kernel", None) is not None


def show(make: Callable[[], object]) -> None:
    """Show a panel as output of the cell that runs, in a notebook only.

    :param make: gives the panel. Where that cannot be imported, a sentence says so.
    """
    if not is_notebook():
        return
    try:
        panel = make()
    except ImportError as error:
        print(
            f"The panels cannot be shown: {error}. To have them: pip install anywidget in the"
            " kernel's environment, then restart the kernel."
        )
        return
    display(panel)  # type: ignore[no-untyped-call]
