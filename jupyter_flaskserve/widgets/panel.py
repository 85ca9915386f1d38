"""What all panels are: a widget whose state says where to ask, and nothing of what was asked.

A panel shows what its page fetches from the mount's inspector. So the widget's state is small, is
the same whatever the app does, and holds no secret. A notebook that was saved with it, or is shown
where no kernel is, has a line of text in its place.
"""

from __future__ import annotations

import html
import threading
from typing import TYPE_CHECKING, Any

import anywidget
from traitlets import Bool, Unicode

from . import modules, news

if TYPE_CHECKING:
    from ..kernel.mount import Mount

__all__ = ["Panel", "with_stand_in"]


class Panel(anywidget.AnyWidget):
    """A widget about one mount. Made by a mount: :meth:`.Mount.routes_panel` and the like.

    :ivar mount: the mount's name.
    :ivar inspector: the path of the mount's inspector, with a slash at its end.
    :ivar address: the app's address as a path, with a slash at its end.
    :ivar url: the app's address for people, without credentials.
    :ivar module: which panel it is.
    :ivar version: that of its ES module and stylesheet.
    :ivar other_origin: whether the page has another origin than the app, so that all goes by
        messages to the kernel.
    """

    _esm = Unicode(modules.loader()).tag(sync=True)
    _css = Unicode().tag(sync=True)

    mount = Unicode().tag(sync=True)
    inspector = Unicode().tag(sync=True)
    address = Unicode().tag(sync=True)
    url = Unicode().tag(sync=True)
    module = Unicode().tag(sync=True)
    version = Unicode().tag(sync=True)
    other_origin = Bool().tag(sync=True)

    title = ""
    """What it is called in the line that stands for it."""

    def __init__(self, mount: Mount) -> None:
        module: str = self.trait_defaults("module")
        super().__init__(
            mount=mount.name,
            inspector=mount.inspector_path,
            address=mount.path,
            url=mount.url,
            version=modules.version(module),
            other_origin=mount.token is not None,
        )
        self.on_msg(self._receive)
        news.subscribe(self)

    def close(self) -> None:
        """Take the panel away, where it is shown too."""
        # A widget that was closed is closed again, at any moment, when its memory is freed.
        if self.comm is not None:
            news.unsubscribe(self)
        super().close()

    def _receive(self, _: Panel, message: Any, buffers: list[memoryview]) -> None:
        """Have what the page asks by message answered, in a thread: a request that the kernel sends
        for it may last, and no cell would run until it ended."""
        if isinstance(message, dict) and message.get("kind") == "ask":
            threading.Thread(
                target=self._answer, args=(message,), name="flaskserve answer", daemon=True
            ).start()

    def _answer(self, message: dict[str, Any]) -> None:
        method, path, body = (str(message.get(key) or "") for key in ("method", "path", "body"))
        status, headers, content = news.ask(self.mount, method, path, body.encode())
        answer = {"kind": "answer", "id": message.get("id"), "status": status, "headers": headers}
        self.send(answer, [content])

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and what stands for it where no kernel is."""
        return with_stand_in(super()._repr_mimebundle_(**kwargs), f"{self.title} of {self.mount}")


def with_stand_in(bundle: Any, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a widget is displayed as, with a text for where no kernel is.

    :param bundle: what the widget's own class displays it as.
    :param what: what it shows.
    """
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    text = f"{what}. Run this cell to see it live."
    markup = f"<p><em>{html.escape(text)}</em></p>"
    return {**data, "text/plain": text, "text/html": markup}, metadata
