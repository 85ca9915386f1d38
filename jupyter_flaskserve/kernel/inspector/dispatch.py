"""Each question that can be put to the inspector, and the answer it gets."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from . import about_app, about_mount, panel_files, sending, traffic
from .answers import Refusal, refusal_answer

if TYPE_CHECKING:
    from ..mount import Mount
    from ..responder.environ import Environ

__all__ = ["answer"]

_TEXT_LIMIT = 500  # characters of an error's own text

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_QUESTIONS: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("GET", "/state", about_mount.state),
    ("POST", "/clear", about_mount.clear),
    ("POST", "/stop", about_mount.stop),
    ("POST", "/rows", traffic.rows),
    ("GET", "/exchanges/<int:number>", traffic.detail),
    ("GET", "/exchanges/<int:number>/request-body", traffic.request_body),
    ("GET", "/exchanges/<int:number>/response-body", traffic.response_body),
    ("GET", "/exchanges/<int:number>/copy", traffic.copy),
    ("GET", "/exchanges/<int:number>/resend", traffic.resend),
    ("GET", "/statistics", traffic.statistics),
    ("GET", "/har", traffic.har),
    ("POST", "/send", sending.send_to_app),
    ("GET", "/routes", about_app.routes),
    ("GET", "/match", about_app.match),
    ("GET", "/openapi", about_app.openapi),
    ("GET", "/modules/<name>.js", panel_files.module),
    ("GET", "/modules/<name>.css", panel_files.stylesheet),
)

_MAP = Map(
    [Rule(path, methods=[method], endpoint=answer) for method, path, answer in _QUESTIONS],
    merge_slashes=False,
)


def answer(mount: Mount, environ: Environ) -> Response:
    """Answer a question.

    :param environ: the WSGI environ of a request whose path is the question.
    """
    request = Request(environ)
    try:
        response = _find(mount, request)
    except Refusal as refusal:
        response = refusal_answer(refusal)
    except BaseException as error:  # of an app's objects, or of ours; the panel is to say so
        what = traceback.format_exception_only(type(error), error)[-1].strip()[:_TEXT_LIMIT]
        response = refusal_answer(Refusal(500, "failed", f"This cannot be told: {what}"))
        environ["wsgi.errors"].write(f"the panels of {mount.name}: {traceback.format_exc()}")
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Flaskserve-Inspector"] = mount.name
    return response


def _find(mount: Mount, request: Request) -> Response:
    """
    :raises Refusal: there is nothing to be asked there, or not in this way.
    """
    # Werkzeug would take HEAD for GET.
    method = request.method if request.method in ("GET", "POST") else "OTHER"
    try:
        find, arguments = _MAP.bind("").match(request.path, method)
    except MethodNotAllowed as error:
        allowed = "POST" if "POST" in (error.valid_methods or ()) else "GET"
        response = refusal_answer(
            Refusal(405, "method-not-allowed", f"Use {allowed} for {request.path}.")
        )
        response.headers["Allow"] = allowed
        return response
    except (NotFound, RequestRedirect, ValueError):  # of a number with thousands of digits
        raise Refusal(404, "not-found", f"There is no {request.path} here.") from None
    found: Response = find(mount, request, **arguments)
    return found
