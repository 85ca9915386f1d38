"""The columns of the table: a probe each, which looks at a server from outside and finds out.

A probe is given a contender that has started. It sends real requests, and says what came of them.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass

from ..cell import UNKNOWN, Cell
from ..contenders.contender import Contender
from . import (
    by_hand,
    crash,
    listening,
    parsing,
    slow_clients,
    static_files,
    streaming,
    tls,
    workers,
)

__all__ = ["COLUMNS", "Column", "measure"]


@dataclass(frozen=True)
class Column:
    """A question that all contenders are asked.

    :ivar key: the word that names it.
    :ivar title: what stands above the column.
    :ivar question: the question in full.
    :ivar probe: finds the answer for what listens.
    :ivar by_hand: finds it where no server is at all.
    """

    key: str
    title: str
    question: str
    probe: Callable[[Contender], Cell]
    by_hand: Callable[[Contender], Cell]


COLUMNS = (
    Column(
        "listens",
        "Listens",
        "Does it wait for connections?",
        listening.probe,
        by_hand.listens,
    ),
    Column(
        "parses",
        "Parses HTTP",
        "Does it turn the bytes of a request into one, and refuse what is none?",
        parsing.probe,
        by_hand.parses,
    ),
    Column(
        "static",
        "Static files",
        "Does it send a file of the app's static folder itself, without asking the app?",
        static_files.probe,
        by_hand.static_files,
    ),
    Column(
        "balances",
        "Several workers",
        "Does it spread requests over several processes?",
        workers.probe,
        by_hand.balances,
    ),
    Column("tls", "TLS", "Does it speak HTTPS?", tls.probe, by_hand.tls),
    Column(
        "streams",
        "Streams",
        "Does the first part of a response arrive before the last one is made?",
        streaming.probe,
        by_hand.streams,
    ),
    Column(
        "slow",
        "Slow clients",
        "Is a normal request answered while many slow clients are connected?",
        slow_clients.probe,
        by_hand.slow_clients,
    ),
    # The last one: what is killed may not come back.
    Column(
        "survives",
        "Survives a crash",
        "Are requests answered after the process that runs the app was killed?",
        crash.probe,
        by_hand.survives,
    ),
)
"""In the order in which they are measured."""


def measure(column: Column, contender: Contender) -> Cell:
    """Ask a contender that has started one question."""
    probe = column.by_hand if contender.address is None else column.probe
    try:
        return probe(contender)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Cell(UNKNOWN, f"the probe failed: {error or type(error).__name__}")
