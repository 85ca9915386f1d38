"""What there is to be known of the rules of a mount's app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from ..apps import is_flask
from .answers import Refusal, json_answer

if TYPE_CHECKING:
    from ..mount import Mount

__all__ = ["match", "openapi", "routes"]

# What knows the rules imports Flask, which the kernel of another app may have no use for: so only
# who asks imports it, and always as a whole. A page asks several questions at once, and of threads
# that import a package and its modules at the same time one may get a module that is half made.


def routes(mount: Mount, request: Request) -> Response:
    """``GET routes``: the rules, in the order in which they are matched."""
    from ..routes import describe

    revision = mount.revision  # before the rules: a change in between is then asked for again
    app = mount.app
    return json_answer({"revision": revision, "is_flask": is_flask(app), "routes": describe(app)})


def match(mount: Mount, request: Request) -> Response:
    """``GET match?url=/users/7&method=GET``: which rule answers, and why the others do not."""
    from ..routes import explain

    url = request.args.get("url", "")
    method = request.args.get("method", "GET").strip().upper()
    if not url or not method:
        raise Refusal(400, "bad-request", "Give a URL and a method, such as /users/7 and GET.")
    return json_answer(explain(mount.app, url, method, mount.path))


def openapi(mount: Mount, request: Request) -> Response:
    """``GET openapi``: the rules as an OpenAPI document."""
    from ..routes import openapi as document

    return json_answer(document(mount.app, title=mount.variable or mount.name, server=mount.url))
