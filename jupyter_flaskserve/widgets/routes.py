"""The routes of an app: what there is, what matches, and requests to try them with."""

from __future__ import annotations

from traitlets import Unicode

from .panel import Panel

__all__ = ["RoutesPanel"]


class RoutesPanel(Panel):
    """The rules of an app."""

    module = Unicode("routes").tag(sync=True)
    title = "The routes"
