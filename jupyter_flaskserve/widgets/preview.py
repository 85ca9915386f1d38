"""The app itself, in a frame with an address bar."""

from __future__ import annotations

from traitlets import Unicode

from .panel import Panel

__all__ = ["PreviewPanel"]


class PreviewPanel(Panel):
    """The pages of an app."""

    module = Unicode("preview").tag(sync=True)
    title = "The preview"
