"""A request's FastCGI parameters as a WSGI environ (PEP 3333, "environ Variables")."""

from __future__ import annotations

from typing import Any

from ... import fastcgi
from .streams import FileWrapper

__all__ = ["Environ", "make_environ"]

Environ = dict[str, Any]


def make_environ(params: bytes) -> Environ:
    """The CGI part of a WSGI environ from the content of a ``PARAMS`` stream.

    :raises fastcgi.ProtocolError: the content is not name-value pairs.
    """
    environ: Environ = dict(fastcgi.decode_text_pairs(params))
    for name in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        if environ.get(name) == "":  # nginx sends them empty where the client sent none
            del environ[name]
    environ.pop("HTTP_PROXY", None)  # a request header in the clothes of a setting
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_CONTENT_TYPE", None)
    for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"):
        environ.setdefault(name, "")
    environ.setdefault("REQUEST_METHOD", "GET")
    environ.setdefault("SERVER_NAME", "localhost")
    environ.setdefault("SERVER_PROTOCOL", "HTTP/1.1")
    secure = environ.get("HTTPS", "").lower() in ("on", "1")
    scheme = "https" if secure or environ.get("REQUEST_SCHEME") == "https" else "http"
    environ.setdefault("SERVER_PORT", "443" if scheme == "https" else "80")
    environ["wsgi.url_scheme"] = scheme
    environ["wsgi.version"] = (1, 0)
    environ["wsgi.multithread"] = True
    environ["wsgi.multiprocess"] = False
    environ["wsgi.run_once"] = False
    environ["wsgi.file_wrapper"] = FileWrapper
    environ["wsgi.input_terminated"] = True
    return environ
