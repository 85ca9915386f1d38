"""Charts as SVG, for pages of light and of dark background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "bars"]

_WIDTH = 840
_LABELS = 340  # the width of the labels at the left
_TEXTS = 150  # and of the figures at the right
_ROW = 26
_TOP = 58

# Nothing is behind the chart: the page's own background has to do.
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.note { fill: #57606a }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.range { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .bar { fill: #6e7681 }
  .ours { fill: #4493f8 }
  .range { stroke: #e6edf3 }
}
"""


@dataclass(frozen=True)
class Bar:
    """One bar.

    :ivar label: whose it is.
    :ivar value: how long it is.
    :ivar low: where the line at its end begins, and ``high`` where it ends.
    :ivar text: the figure.
    :ivar is_ours: whether it is the one that the others are compared with, or a kind of it.
    """

    label: str
    value: float
    low: float
    high: float
    text: str
    is_ours: bool


def bars(title: str, note: str, rows: Sequence[Bar]) -> str:
    """A chart with a bar for each row.

    :param note: a line below the title.
    :returns: the SVG document.
    """
    height = _TOP + _ROW * len(rows) + 12
    scale = (_WIDTH - _LABELS - _TEXTS) / max((bar.high for bar in rows), default=1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
        f'<text class="note" x="8" y="42">{escape(note)}</text>',
    ]
    for index, bar in enumerate(rows):
        top = _TOP + _ROW * index
        middle = top + _ROW / 2
        end, low, high = (_LABELS + scale * x for x in (bar.value, bar.low, bar.high))
        kind = "ours" if bar.is_ours else "bar"
        lines += [
            f'<text x="{_LABELS - 10}" y="{middle + 4:g}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect class="{kind}" x="{_LABELS}" y="{top + 4}" rx="2"'
            f' width="{max(end - _LABELS, 1):.1f}" height="{_ROW - 8}"/>',
            f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
            f'<text x="{max(end, high) + 8:.1f}" y="{middle + 4:g}">{escape(bar.text)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
