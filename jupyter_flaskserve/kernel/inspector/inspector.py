"""The inspector: a WSGI app of the project's own beside each app, which tells the panels of it.

The responder runs it for requests that the server has marked (:mod:`jupyter_flaskserve.fastcgi`),
in the thread of their link: they are noted nowhere, wait for no thread of the app's, and are
answered while a cell runs. Who may ask is decided by the server, as for the app itself. Where the
page cannot reach the server, the same questions come by messages: :meth:`Inspector.ask`.

What it tells was written by others: an app's bodies, headers and texts. So every answer forbids the
browser to run anything in it, and bodies are served as bytes of no known kind.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from ..mount import Mount
    from ..responder.environ import Environ

__all__ = ["Inspector"]


class Inspector:
    """Tells of one mount.

    :param mount: the mount, which need not be ready before the first question.
    """

    def __init__(self, mount: Mount) -> None:
        self._mount = mount

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._answer(environ)(environ, start_response)

    def ask(
        self, method: str, path: str, body: bytes = b""
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask without a server in between.

        :param path: such as ``/exchanges/7?reveal=1``.
        :param body: JSON, where the method is ``POST``.
        :returns: the status, the headers and the body of the answer.
        """
        bare_path, _, query = path.partition("?")
        response = self._answer(
            {
                "REQUEST_METHOD": method,
                "SCRIPT_NAME": "",
                "PATH_INFO": unquote_to_bytes("/" + bare_path.lstrip("/")).decode("latin-1"),
                "QUERY_STRING": query,
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(body)),
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "wsgi.errors": io.StringIO(),  # what goes wrong is in the answer
            }
        )
        return response.status_code, list(response.headers.items()), response.get_data()

    def _answer(self, environ: Environ) -> Response:
        # Imported only here: many kernels that serve are never asked.
        from .dispatch import answer

        return answer(self._mount, environ)
