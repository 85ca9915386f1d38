"""HTTP from the command line to a Jupyter Server of the same user."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import quote, urlencode, urljoin

from jupyter_flaskserve.records import API

__all__ = ["ServerAPI"]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to wherever it leads."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


class ServerAPI:
    """The REST API of one server.

    :ivar url: the server's base URL, which ends in a slash.
    :ivar token: its token, or an empty string.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url if url.endswith("/") else url + "/"
        self.token = token
        # A server on this machine has a certificate for its public name, or one it signed itself.
        context = ssl._create_unverified_context()  # noqa: S323
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            _NoRedirects(),
        )

    def request(
        self, method: str, path: str, body: object = None, *, timeout: float = 2
    ) -> tuple[int, Any]:
        """Make one request.

        :param path: below the base URL, such as ``api/sessions``.
        :param body: what to send as JSON, if anything.
        :param timeout: seconds to wait for the server each time.
        :returns: the status, and the answer's JSON or ``None`` where it is not JSON.
        :raises OSError: the server does not answer.
        """
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        else:  # a server without a token asks for its double-submit cookie instead
            headers |= {"Cookie": "_xsrf=command-line", "X-XSRFToken": "command-line"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(  # noqa: S310 -- the URL is a running server's own
            self.url + path, data, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=timeout) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        except http.client.HTTPException as error:
            raise OSError(f"it does not speak HTTP ({type(error).__name__})") from error
        answer = None
        with contextlib.suppress(ValueError):
            answer = json.loads(text)
        return status, answer

    def mounts(self) -> tuple[int, list[dict[str, Any]]]:
        """The status of the list of mounts, and the mounts.

        :raises OSError: the server does not answer.
        """
        status, answer = self.request("GET", f"{API}/mounts")
        return status, answer["mounts"] if status == 200 and isinstance(answer, dict) else []

    def address(self, path: str) -> str:
        """The URL of a path such as a mount's, which has the base URL in it."""
        return urljoin(self.url, path)

    def link(self, path: str) -> str:
        """The same with the token, so that a browser comes in by it."""
        query = "?" + urlencode({"token": self.token}, quote_via=quote) if self.token else ""
        return self.address(path) + query
