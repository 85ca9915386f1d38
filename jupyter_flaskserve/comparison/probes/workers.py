"""Does it spread requests over several processes?"""

from __future__ import annotations

import http.client
from collections import Counter

from ..cell import NO, PARTLY, YES, Cell
from ..contenders.contender import Contender
from ..wire import Address, ask
from .together import together

__all__ = ["probe"]

TIMEOUT = 15.0  # seconds
REQUESTS = 24  # in each round
AT_ONCE = 8
ROUNDS = 3
HOLD = 0.05  # seconds that a request stays with who answers it


def probe(contender: Contender) -> Cell:
    address = contender.address
    assert address is not None
    path = f"{contender.site.prefix}who/{HOLD}"
    processes: Counter[int] = Counter()
    threads: set[tuple[int, int]] = set()
    # More than one round: one worker may have taken all of the first.
    for _ in range(ROUNDS):
        for found in together(lambda: _who(address, path), REQUESTS, AT_ONCE):
            if found is not None:
                processes[found[0]] += 1
                threads.add(found)
        if len(processes) != 1:
            break
    asked = sum(processes.values())
    if not processes:
        return Cell(NO, f"none of {REQUESTS} requests was answered")
    shares = ", ".join(f"process {pid} {count}" for pid, count in processes.most_common())
    told = f"of {asked} requests, {AT_ONCE} at a time: {shares}"
    if len(processes) > 1:
        return Cell(YES, told)
    if len(threads) > 1:
        return Cell(PARTLY, f"{told}, which answered with {len(threads)} threads")
    return Cell(NO, f"{told}, one after the other")


def _who(address: Address, path: str) -> tuple[int, int] | None:
    try:
        who = ask(address, path, TIMEOUT).json()
        return who["pid"], who["thread"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
