"""What there is to be known of a mount, and what can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from ..apps import is_flask
from .answers import json_answer
from .questions import json_object

if TYPE_CHECKING:
    from ..exchanges.exchanges import Exchanges
    from ..mount import Mount

__all__ = ["clear", "state", "stop"]


def state(mount: Mount, request: Request) -> Response:
    """``GET state``: what the mount is now."""
    return json_answer(_state(mount))


def clear(mount: Mount, request: Request) -> Response:
    """``POST clear``: forget the exchanges so far. Answers with the state after it."""
    json_object(request)
    mount.requests.clear()
    return json_answer(_state(mount))


def stop(mount: Mount, request: Request) -> Response:
    """``POST stop``: stop the mount."""
    json_object(request)
    mount.stop()
    return json_answer({"stopped": True})


def _state(mount: Mount) -> dict[str, Any]:
    exchanges = mount.requests
    first = exchanges.first_number
    return {
        "name": mount.name,
        "path": mount.path,
        "url": mount.url,
        "variable": mount.variable,
        "notebook": mount.notebook,
        "stopped": mount.stopped,
        "started": mount.started,
        "generation": exchanges.generation,
        "revision": mount.revision,
        "recording": exchanges.recording,
        "debug": bool(getattr(mount.app, "debug", False)),
        "is_flask": is_flask(mount.app),
        "requests": {
            "first": first,
            "last": exchanges.last_number,
            "kept": len(exchanges),
            "cleared": exchanges.cleared,
        },
        "failure": _failure(exchanges),
    }


def _failure(exchanges: Exchanges) -> dict[str, Any] | None:
    """The latest failure of a view, unless the same has been answered well since."""
    failed = next(reversed(exchanges.failures), None)
    if failed is None:
        return None
    for later in exchanges.since(failed.number):
        is_same_rule = later.endpoint is not None and later.endpoint == failed.endpoint
        is_same = is_same_rule or later.bare_path == failed.bare_path
        if is_same and (later.status or 500) < 500 and not later.failed:
            return None
    text = f"{failed.method} {failed.masked_bare_path} failed: {failed.failed}"
    return {"number": failed.number, "text": text}
