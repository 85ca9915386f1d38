"""What a person is told when a notebook cannot be exported."""

from __future__ import annotations

__all__ = ["ExportError"]


class ExportError(Exception):
    """A notebook cannot be exported. The text says why, in which cell, and what to do."""
