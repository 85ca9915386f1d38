"""The panels' own ES modules and stylesheets, which so are of the kernel's version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from ...widgets import modules
from .answers import Refusal

if TYPE_CHECKING:
    from ..mount import Mount

__all__ = ["module", "stylesheet"]

_FOR_EVER = "private, max-age=31536000, immutable"


def module(mount: Mount, request: Request, name: str) -> Response:
    """``GET modules/NAME.js``."""
    return _file(request, name, modules.module, "text/javascript")


def stylesheet(mount: Mount, request: Request, name: str) -> Response:
    """``GET modules/NAME.css``."""
    return _file(request, name, modules.stylesheet, "text/css")


def _file(request: Request, name: str, read: Callable[[str], str], media_type: str) -> Response:
    """
    :raises Refusal: there is no such panel.
    """
    if name not in modules.PANELS:
        raise Refusal(404, "not-found", f"There is no panel {name!r}.")
    response = Response(read(name), content_type=f"{media_type}; charset=utf-8")
    if request.args.get("v") == modules.version(name):
        response.headers["Cache-Control"] = _FOR_EVER
    return response
