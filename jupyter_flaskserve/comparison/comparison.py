"""What a comparison has found: a table that shows itself."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from .cell import DOES_NOT_APPLY, NO, PARTLY, UNKNOWN, YES, Cell
from .contenders.contender import Place
from .passage import Passage
from .probes import COLUMNS
from .throughput import Throughput

if TYPE_CHECKING:
    import pandas

    from ..widgets.compare import ComparePanel

__all__ = ["Comparison", "Row"]

SIGNS = {YES: "yes", NO: "no", PARTLY: "partly", DOES_NOT_APPLY: "–", UNKNOWN: "?"}
_BAR = 24  # characters of the longest bar


@dataclass
class Row:
    """One contender.

    :ivar key: the word that names it.
    :ivar title: what people call it.
    :ivar places: who talks to whom.
    :ivar install: how to install it, where it is not; else empty.
    :ivar problem: why it could not be started; else empty.
    :ivar cells: what the probes have found, by the column's key.
    :ivar throughput: what came of the load; ``None`` where there was none.
    :ivar passage: one request on its way; ``None`` where there was none.
    :ivar configuration: what it was started with: texts by file name, and the command.
    """

    key: str
    title: str
    places: tuple[Place, ...]
    install: str = ""
    problem: str = ""
    cells: dict[str, Cell] = field(default_factory=dict)
    throughput: Throughput | None = None
    passage: Passage | None = None
    configuration: dict[str, str] = field(default_factory=dict)

    def tell(self, column: str) -> str:
        """What a probe has found, in words, or why nothing was measured.

        :param column: the key of the column, such as ``tls``.
        """
        if self.remark or column not in self.cells:
            return f"{self.title}: {self.remark or 'not measured'}"
        cell = self.cells[column]
        return f"{self.title}: {cell.state}. {cell.evidence}"

    @property
    def remark(self) -> str:
        """Why it was not measured; else empty."""
        return f"not installed: {self.install}" if self.install else self.problem


class Comparison(Mapping[str, Row]):
    """The rows of the table by their keys, such as ``comparison["nginx"].cells["tls"]``.

    It shows itself as a table, in a notebook and in a terminal.

    :ivar rows: the rows, in the order in which they are measured.
    :ivar path: the page of the app that was asked for.
    :ivar shown_in: the number of the cell that shows it already, if any does.
    """

    def __init__(self, rows: list[Row], path: str) -> None:
        self.rows = rows
        self.path = path
        self.shown_in: int | None = None

    def __getitem__(self, key: str) -> Row:
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (row.key for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> pandas.DataFrame:
        """The table as a data frame of pandas: a row each, states and requests a second.

        :raises ImportError: pandas is not installed.
        """
        import pandas

        data = [
            {
                **{
                    c.title: row.cells[c.key].state if c.key in row.cells else None for c in COLUMNS
                },
                "Requests/s": row.throughput.per_second if row.throughput else None,
                "Remark": row.remark,
            }
            for row in self.rows
        ]
        return pandas.DataFrame(data, index=pandas.Index([r.title for r in self.rows]))

    def as_json(self) -> dict[str, Any]:
        """All of it as what JSON can hold, for the widget. There is no secret in it."""
        return {
            "path": self.path,
            "columns": [{"key": c.key, "title": c.title, "question": c.question} for c in COLUMNS],
            "rows": [
                {
                    **asdict(row),
                    "places": [place._asdict() for place in row.places],
                    "remark": row.remark,
                }
                for row in self.rows
            ],
        }

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """The table as text, and below it the evidence."""
        width = max([len(row.title) for row in self.rows], default=0)
        titles = [column.title for column in COLUMNS]
        lines = ["  ".join([" " * width, *titles, "Requests/s"])]
        for row in self.rows:
            if row.remark:
                lines.append(f"{row.title:{width}}  {row.remark}")
                continue
            signs = (f"{_sign(row, column.key):{len(column.title)}}" for column in COLUMNS)
            lines.append("  ".join([f"{row.title:{width}}", *signs, _rate(row)]).rstrip())
        return "\n".join([*lines, "", *self._evidence()])

    def _evidence(self) -> Iterator[str]:
        for row in self.rows:
            if row.cells:
                yield row.title
            for column in COLUMNS:
                if column.key in row.cells:
                    cell = row.cells[column.key]
                    text = f"{column.title}: {cell.state}. {cell.evidence}"
                    yield textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="    ")

    def panel(self) -> ComparePanel:
        """The widget that shows it.

        :raises ImportError: ipywidgets or anywidget cannot be imported.
        """
        panel: ComparePanel = import_module("jupyter_flaskserve.widgets.compare").ComparePanel()
        panel.tell(self)
        return panel

    def as_bundle(self, words: str = "") -> dict[str, str]:
        """What it is displayed as, by media type.

        :param words: a line above the table.
        """
        above = f"<p>{html.escape(words)}</p>" if words else ""
        return {
            "text/plain": f"{words}\n{self}" if words else str(self),
            "text/html": above + self._repr_html_(),
        }

    def _ipython_display_(self) -> None:
        shell = get_ipython()
        if shell is None or shell.execution_count != self.shown_in:
            display(self.as_bundle(), raw=True)  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        """The table without scripts, with the evidence below it."""
        heads = "".join(
            f'<th scope="col" title="{html.escape(c.question)}">{html.escape(c.title)}</th>'
            for c in COLUMNS
        )
        most = max((r.throughput.per_second for r in self.rows if r.throughput), default=0)
        body = "".join(self._html_row(row, most) for row in self.rows)
        details = "".join(_html_details(row) for row in self.rows if row.cells)
        return (
            f"<table><caption>Who does what: each cell was measured</caption><thead><tr>"
            f'<th scope="col">Server</th>{heads}<th scope="col">Requests/s</th></tr></thead>'
            f"<tbody>{body}</tbody></table>{details}"
        )

    def _html_row(self, row: Row, most: float) -> str:
        title = f'<th scope="row" style="text-align:left">{html.escape(row.title)}</th>'
        if row.remark:
            span = len(COLUMNS) + 1
            remark = html.escape(row.remark)
            return f'<tr>{title}<td colspan="{span}" style="text-align:left">{remark}</td></tr>'
        cells = "".join(
            f'<td title="{html.escape(row.cells[c.key].evidence) if c.key in row.cells else ""}">'
            f"{_sign(row, c.key)}</td>"
            for c in COLUMNS
        )
        length = round(_BAR * row.throughput.per_second / most) if row.throughput and most else 0
        bar = "\N{FULL BLOCK}" * length
        return (
            f'<tr>{title}{cells}<td style="text-align:left;white-space:nowrap">{_rate(row)}'
            f' <span aria-hidden="true">{bar}</span></td></tr>'
        )


def _sign(row: Row, column: str) -> str:
    return SIGNS[row.cells[column].state] if column in row.cells else "…"


def _rate(row: Row) -> str:
    return f"{row.throughput.per_second:,.0f}" if row.throughput else ""


def _html_details(row: Row) -> str:
    items = "".join(
        f"<li><b>{html.escape(c.title)}: {row.cells[c.key].state}.</b>"
        f" {html.escape(row.cells[c.key].evidence)}</li>"
        for c in COLUMNS
        if c.key in row.cells
    )
    files = "".join(
        f"<p><code>{html.escape(name)}</code></p><pre>{html.escape(text)}</pre>"
        for name, text in row.configuration.items()
    )
    return f"<details><summary>{html.escape(row.title)}</summary><ul>{items}</ul>{files}</details>"
