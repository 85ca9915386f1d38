"""The script by which open pages load themselves again.

It is the same for everybody and tells nothing, so nobody is asked who he is. A browser could not
say so here anyway: for the scripts of a page, JupyterHub does not count its cookies.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router

from ..gateway.answer import Answer, Answering
from ..records import RELOAD_SCRIPT

__all__ = ["ReloadScriptRouter"]


class ReloadScriptRouter(Router):
    """Answers requests for the script.

    :param base_url: the path under which everything is, with a slash at both ends.
    """

    def __init__(self, base_url: str) -> None:
        self._path = base_url + RELOAD_SCRIPT

    def find_handler(
        self, request: HTTPServerRequest, **kwargs: object
    ) -> HTTPMessageDelegate | None:
        if request.path != self._path or request.method not in ("GET", "HEAD"):
            return None
        body, tag = _script()
        known = tag in request.headers.get("If-None-Match", "")
        headers = [("Cache-Control", "no-cache"), ("ETag", tag)]
        if not known:
            headers += [
                ("Content-Type", "text/javascript; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("X-Content-Type-Options", "nosniff"),
            ]
        status, reason = (304, "Not Modified") if known else (200, "OK")
        return Answering(request, Answer(status, reason, tuple(headers), b"" if known else body))


@cache
def _script() -> tuple[bytes, str]:
    """The script and its entity tag."""
    body = Path(__file__).with_name("reload.js").read_bytes()
    return body, f'"{sha256(body).hexdigest()[:32]}"'
