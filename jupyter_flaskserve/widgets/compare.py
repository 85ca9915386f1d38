"""The servers that were compared: who talks to whom, who does what, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
from traitlets import Dict, Unicode

from . import modules
from .panel import with_stand_in

if TYPE_CHECKING:
    from ..comparison.compare import Step
    from ..comparison.comparison import Comparison

__all__ = ["ComparePanel"]


class ComparePanel(anywidget.AnyWidget):
    """The widget of one comparison, which may still be going on.

    It is about no mount, and what it shows does not change once the comparison has ended. So unlike
    the other panels it has all of it in its state, and its module too, and asks nobody.

    :ivar comparison: what has been found so far, without secrets.
    :ivar step: how far it is; empty when it has ended.
    :ivar remark: why it ended early, if it did.
    """

    _esm = Unicode(modules.module("compare")).tag(sync=True)
    _css = Unicode(modules.stylesheet("compare")).tag(sync=True)

    comparison = Dict().tag(sync=True)
    step = Dict().tag(sync=True)
    remark = Unicode().tag(sync=True)

    def tell(self, comparison: Comparison, step: Step | None = None) -> None:
        """Show what has been found so far.

        :param step: how far it is; ``None`` where it has ended.
        """
        with self.hold_sync():
            self.comparison = comparison.as_json()
            self.step = step._asdict() if step is not None and step.key else {}

    def end(self, remark: str) -> None:
        """Show that it has ended.

        :param remark: why, if it was before its end.
        """
        with self.hold_sync():
            self.step = {}
            self.remark = remark

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        return with_stand_in(bundle, "Servers compared")
