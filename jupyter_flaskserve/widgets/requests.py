"""The requests to an app and what came of them, as they come."""

from __future__ import annotations

from traitlets import Unicode

from .panel import Panel

__all__ = ["RequestsPanel"]


class RequestsPanel(Panel):
    """The exchanges of an app."""

    module = Unicode("requests").tag(sync=True)
    title = "The requests"
