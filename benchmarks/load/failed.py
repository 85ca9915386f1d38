"""The end of a measurement that gives no result."""

from __future__ import annotations

__all__ = ["Failed"]


class Failed(Exception):
    """What was answered is not what was asked for. The message says what came instead."""
