"""Compares the servers that can run an app: starts each, asks it, and stops it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from .comparison import Comparison, Row
from .contenders import CONTENDERS, CannotCompare, Contender, find
from .passage import trace
from .probes import COLUMNS, measure
from .processes import NotStarted, Workshop
from .project import NotExported, WriteProject, project_of_notebook
from .site import Site, make_site
from .throughput import loaded_path, measure_throughput

__all__ = ["CannotCompare", "Step", "compare"]

SECONDS = 1.0
CONNECTIONS = 8


class Step(NamedTuple):
    """How far a comparison is.

    :ivar done: how many steps are done.
    :ivar total: of how many.
    :ivar key: whose turn it is; empty at the end.
    :ivar what: what is done next, in words.
    """

    done: int
    total: int
    key: str
    what: str


def compare(
    app: Any,
    *,
    only: Collection[str] = (),
    seconds: float = SECONDS,
    connections: int = CONNECTIONS,
    path: str = "/",
    write_project: WriteProject | None = None,
    on_step: Callable[[Comparison, Step], object] | None = None,
) -> Comparison:
    """Start the servers that there are in front of an app, one after the other, and look what each
    does. All listen on the loopback, and have ended when this returns or raises.

    :param app: the WSGI app. What runs it in other processes is given it as a project.
    :param only: the keys of the contenders to compare; all of them, if empty.
    :param seconds: how long each is loaded; 0 for no load.
    :param connections: how many requests are on their way at once during that.
    :param path: the page of the app that is asked for.
    :param write_project: writes the app as a project, see :data:`.project.WriteProject`; without
        it, the app of the notebook that runs here is exported.
    :param on_step: called before each step with what has been found so far.
    :raises CannotCompare: there is no such contender.
    :raises KeyboardInterrupt: it was interrupted.
    """
    keys = _chosen(only)
    rows = [Row(key, CONTENDERS[key].title, CONTENDERS[key].places) for key in keys]
    comparison = Comparison(rows, path)
    per_row = len(COLUMNS) + 3
    total = per_row * len(rows)

    def step(number: int, row: Row, done: int, what: str) -> None:
        if on_step is not None:
            on_step(comparison, Step(number * per_row + done, total, row.key, what))

    with Workshop() as workshop:
        site = make_site(workshop, app, write_project or project_of_notebook(app))
        for number, row in enumerate(rows):
            _measure_row(
                row,
                site.renewed(),
                partial(step, number, row),
                seconds=seconds,
                connections=connections,
                path=path,
            )
    if on_step is not None:
        on_step(comparison, Step(total, total, "", ""))
    return comparison


def _chosen(only: Collection[str]) -> list[str]:
    for key in only:
        find(key)
    return [key for key in CONTENDERS if not only or key in only]


def _measure_row(
    row: Row,
    site: Site,
    step: Callable[[int, str], object],
    *,
    seconds: float,
    connections: int,
    path: str,
) -> None:
    row.install = CONTENDERS[row.key].missing()
    if row.install:
        return
    step(0, "starting")
    try:
        with _running(row, site) as contender:
            step(1, "one request")
            _trace(row, contender, path)
            # The load comes before the last probe, which kills what answers.
            for number, column in enumerate(COLUMNS, 2):
                if column is COLUMNS[-1] and seconds:
                    step(number, "load")
                    _load(row, contender, path, seconds, connections)
                step(number + (column is COLUMNS[-1]), column.title)
                row.cells[column.key] = measure(column, contender)
    except (NotStarted, NotExported) as error:
        row.problem = str(error)
    except OSError as error:  # a disk that is full, a port that somebody else took
        row.problem = f"{row.title} cannot be started: {error}"


@contextmanager
def _running(row: Row, site: Site) -> Iterator[Contender]:
    contender = CONTENDERS[row.key](site)
    row.configuration = contender.configuration
    try:
        contender.start()
        yield contender
    finally:
        contender.stop()


def _trace(row: Row, contender: Contender, path: str) -> None:
    try:
        row.passage = trace(contender, path)
    except (OSError, http.client.HTTPException, ValueError, IndexError):
        row.passage = None  # then nothing is shown of it


def _load(row: Row, contender: Contender, path: str, seconds: float, connections: int) -> None:
    try:
        row.throughput = measure_throughput(
            contender, loaded_path(contender, path), seconds=seconds, connections=connections
        )
    except OSError:
        row.throughput = None
