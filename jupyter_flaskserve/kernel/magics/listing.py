"""``%flaskserve list``: what all notebooks of the server serve."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.display import display

from ...records import MountRecord, is_live, read_all
from ..home import Home, known_home
from .line import Command, Parser, example

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["LIST"]

_PARSER = Parser(add_help=False)


def list_mounts(words: list[str], shell: InteractiveShell) -> None:
    """Show what all notebooks of this server serve: names, addresses and notebooks.

    Examples::

        %flaskserve list
    """
    _, rest = _PARSER.parse(words)
    if rest:
        raise UsageError("%flaskserve list takes no name and no option.")
    home = known_home()
    records = sorted(_live_records(home.server), key=lambda r: r.name) if home else []
    if home and records:
        table = {"text/plain": _as_text(home, records), "text/html": _as_html(home, records)}
        display(table, raw=True)  # type: ignore[no-untyped-call]
    else:
        print(f"No notebook serves anything yet. To serve an app: {example(shell)}")


LIST = Command(list_mounts, _PARSER)


def _live_records(server: str) -> Iterator[MountRecord]:
    """The mounts of all kernels of a server."""
    return (r for r in read_all() if r.server == server and is_live(r))


def _as_text(home: Home, records: Iterable[MountRecord]) -> str:
    rows = [("NAME", "ADDRESS", "NOTEBOOK")]
    rows += [
        (r.name, home.url_of(r.path_under(home.base_url)), os.path.basename(r.notebook) or "-")
        for r in records
    ]
    name_width, address_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(
        f"{name:{name_width}}  {address:{address_width}}  {notebook}"
        for name, address, notebook in rows
    )


def _as_html(home: Home, records: Iterable[MountRecord]) -> str:
    rows = []
    for record in records:
        path = html.escape(record.path_under(home.base_url))
        rows.append(
            f"<tr><td><b>{record.name}</b></td>"
            f'<td><a href="{path}" target="_blank" rel="noopener">{path}</a></td>'
            f"<td>{html.escape(os.path.basename(record.notebook)) or '-'}</td></tr>"
        )
    heading = "<tr><th>Name</th><th>Address</th><th>Notebook</th></tr>"
    return f"<table><thead>{heading}</thead><tbody>{''.join(rows)}</tbody></table>"
