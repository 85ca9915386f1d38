"""What a probe has found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DOES_NOT_APPLY", "NO", "PARTLY", "UNKNOWN", "YES", "Cell"]

YES = "yes"
NO = "no"
PARTLY = "partly"
DOES_NOT_APPLY = "does not apply"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    :ivar state: :data:`YES`, :data:`NO`, :data:`PARTLY`, :data:`DOES_NOT_APPLY` or
        :data:`UNKNOWN`.
    :ivar evidence: what was sent and what came of it or, where nothing could be measured, why.
    """

    state: str
    evidence: str
