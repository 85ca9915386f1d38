"""The row above the panels of a mount: its state, and what one can do with its link."""

from __future__ import annotations

from traitlets import Unicode

from .panel import Panel

__all__ = ["HeaderPanel"]


class HeaderPanel(Panel):
    """Whether a mount serves, its link, and a button to stop it."""

    module = Unicode("header").tag(sync=True)
    title = "The state"
