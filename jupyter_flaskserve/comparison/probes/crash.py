"""Are requests answered after the process that runs the app was killed?"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import time

from ..cell import NO, PARTLY, UNKNOWN, YES, Cell
from ..contenders.contender import Contender, Target
from ..wire import Address, ask

__all__ = ["probe"]

TIMEOUT = 5.0  # seconds for an answer
TRY = 0.5  # seconds for an answer while what was killed may be away
TRIES = 5  # so often it is asked before that is a no
PATIENCE = 2.5  # seconds for what was killed to be back
REQUESTS = 20  # that are to be answered after that, one after the other


def probe(contender: Contender) -> Cell:
    with contender.victim() as target:
        return _kill(target, f"{contender.site.prefix}who")


def _kill(target: Target, path: str) -> Cell:
    first = _who(target.address, path)
    if not isinstance(first, int):
        return Cell(UNKNOWN, f"before anything was killed, the request failed: {first}")
    if first == os.getpid():
        return Cell(UNKNOWN, "the app runs in this process, which is not killed")
    if not target.may_be_killed(first):
        return Cell(
            UNKNOWN,
            f"process {first}, which the answer named, was not started here, and is not killed",
        )
    known = {_who(target.address, path) for _ in range(REQUESTS)}
    what = f"process {first} was killed"
    if target.stands_for:
        what += f" ({target.stands_for})"
    os.kill(first, signal.SIGKILL)
    killed = time.monotonic()
    failed = 0
    reason = ""
    while not isinstance(after := _who(target.address, path, TRY), int) or after == first:
        failed += 1
        reason = str(after)
        passed = time.monotonic() - killed
        if passed > PATIENCE and failed >= TRIES:
            told = f"{what}; for {passed:.1f} s each of {failed} requests failed"
            return Cell(NO, f"{told}, the last one so: {reason}")
        time.sleep(0.02)
    back = (time.monotonic() - killed) * 1000
    rest = [_who(target.address, path) for _ in range(REQUESTS)]
    lost = [answer for answer in rest if not isinstance(answer, int)]
    told = (
        f"{what}; process {after} answered {back:.0f} ms later, and {failed} requests failed before"
    )
    if lost:
        return Cell(PARTLY, f"{told}; of the {REQUESTS} after that {len(lost)} failed: {lost[-1]}")
    told = f"{told}; the {REQUESTS} after that were all answered"
    while time.monotonic() - killed < PATIENCE:
        answer = _who(target.address, path)
        if isinstance(answer, int) and answer not in known:
            return Cell(YES, f"{told}, and a new process, {answer}, answers too")
        time.sleep(0.02)
    return Cell(YES, told)


def _who(address: Address, path: str, seconds: float = TIMEOUT) -> int | str:
    """The process that answered, or why none did."""
    try:
        answer = ask(address, path, seconds)
    except (OSError, http.client.HTTPException) as error:
        return f"{error or type(error).__name__}"
    if answer.status != 200:
        return f"status {answer.status}"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(answer.json()["pid"])
    return "a response that is not the app's"
