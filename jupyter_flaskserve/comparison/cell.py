"""What a probe has found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NO", "PARTLY", "UNKNOWN", "YES", "Cell"]

YES = "yes"
NO = "no"
PARTLY = "partly"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    :ivar state: :data:`YES`, :data:`NO`, :data:`PARTLY` or :data:`UNKNOWN`.
    :ivar evidence: what was sent and what came of it or, where nothing could be measured, why.
    """

    state: str
    evidence: str
