"""A request's FastCGI parameters as a WSGI environ (PEP 3333, "environ Variables")."""

from __future__ import annotations

from typing import Any

from ... import fastcgi
from .streams import FileWrapper

__all__ = ["Environ", "make_environ"]

Environ = dict[str, Any]


_CGI: Environ = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PROTOCOL": "HTTP/1.1",
}
"""What holds where the web server says nothing."""

_WSGI: Environ = {
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    "wsgi.input_terminated": True,
}


def make_environ(params: bytes) -> Environ:
    """The CGI part of a WSGI environ from the content of a ``PARAMS`` stream.

    :raises fastcgi.ProtocolError: the content is not name-value pairs.
    """
    environ = _CGI.copy()
    environ.update(fastcgi.decode_text_pairs(params))
    environ.update(_WSGI)
    for name in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        if environ.get(name) == "":  # nginx sends them empty where the client sent none
            del environ[name]
    environ.pop("HTTP_PROXY", None)  # a request header in the clothes of a setting
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_CONTENT_TYPE", None)
    secure = environ.get("HTTPS", "").lower() in ("on", "1")
    scheme = "https" if secure or environ.get("REQUEST_SCHEME") == "https" else "http"
    environ["wsgi.url_scheme"] = scheme
    environ.setdefault("SERVER_PORT", "443" if scheme == "https" else "80")
    return environ
