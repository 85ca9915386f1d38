"""A plain request before a probe measures anything: where that is late, lateness says nothing."""

from __future__ import annotations

import http.client

from ..cell import UNKNOWN, Cell
from ..contenders.contender import Contender
from ..wire import ask

__all__ = ["failed_control"]


def failed_control(contender: Contender, seconds: float) -> Cell | None:
    """Send a plain request.

    :param seconds: in which it is to be answered.
    :returns: a cell that says that nothing can be measured; ``None`` where all is well.
    """
    assert contender.address is not None
    try:
        answer = ask(contender.address, f"{contender.site.prefix}hello", seconds)
    except (OSError, http.client.HTTPException) as error:
        said = f"failed: {error or type(error).__name__}"
    else:
        if answer.status == 200 and answer.seconds <= seconds:
            return None
        said = f"was answered with {answer.status} after {answer.seconds:.1f} s"
    return Cell(UNKNOWN, f"a plain request before the measurement {said}")
