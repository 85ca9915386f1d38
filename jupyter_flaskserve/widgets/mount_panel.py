"""All panels of a mount together, and each one of them, made once for each name.

What is shown again is the same widget, in one more view. So cells that are run again and again make
no more widgets, and what stands in other cells goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from .header import HeaderPanel
from .panel import Panel, with_stand_in
from .preview import PreviewPanel
from .requests import RequestsPanel
from .routes import RoutesPanel

if TYPE_CHECKING:
    from ..kernel.mount import Mount

__all__ = ["MountPanel", "close_all", "mount_panel", "single_panel"]

_SINGLE: dict[str, type[Panel]] = {
    "header": HeaderPanel,
    "routes": RoutesPanel,
    "requests": RequestsPanel,
    "preview": PreviewPanel,
}


class MountPanel(ipywidgets.VBox):  # type: ignore[misc]
    """The header of a mount, and a tab for each of its panels.

    :param below_line: whether it stands below the mount's line, which has its name and link.
    """

    def __init__(self, mount: Mount, *, below_line: bool) -> None:
        self._name = mount.name
        header, *others = (single_panel(mount, kind) for kind in _SINGLE)
        self.panels = (header, *others)
        tabs = ipywidgets.Tab(others, titles=["Routes", "Requests", "Preview"])
        super().__init__([header, tabs])
        self.add_class("flaskserve-panels")
        if below_line:
            self.add_class("flaskserve-below-line")

    def close(self) -> None:
        """Take it away, with the tabs but not with the panels, which others may show too."""
        for child in self.children:
            if not isinstance(child, Panel):
                child.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_stand_in(super()._repr_mimebundle_(**kwargs), f"The panels of {self._name}")


_panels: dict[tuple[str, str], Panel] = {}  # by the mount's name and what it is
_together: dict[tuple[str, bool], MountPanel] = {}  # by the mount's name and below_line


def single_panel(mount: Mount, kind: str) -> Panel:
    """One panel of a mount.

    :param kind: ``header``, ``routes``, ``requests`` or ``preview``.
    """
    panel = _panels.get((mount.name, kind))
    if panel is None or panel.comm is None:
        panel = _panels[mount.name, kind] = _SINGLE[kind](mount)
    return panel


def mount_panel(mount: Mount, *, below_line: bool = False) -> MountPanel:
    """The panels of a mount together.

    :param below_line: whether they stand below the mount's line, which has its name and link.
    """
    panel = _together.get((mount.name, below_line))
    if panel is None or panel.comm is None or any(p.comm is None for p in panel.panels):
        panel = _together[mount.name, below_line] = MountPanel(mount, below_line=below_line)
    return panel


def close_all() -> None:
    """Close all that is here."""
    for panel in _together.values():
        panel.close()
    for single in _panels.values():
        single.close()
    _together.clear()
    _panels.clear()
