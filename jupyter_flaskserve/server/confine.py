"""What an app's response may do to the rest of its origin: nothing.

An app shares its host with Jupyter and with other apps. One place decides how its cookies and the
headers that act on a whole origin are confined to its own address.
"""

from __future__ import annotations

from collections.abc import Iterable

from .credentials import is_jupyter_cookie

__all__ = ["confine_cookie", "confine_headers"]

_WHOLE_ORIGIN = frozenset(
    (
        "alt-svc",  # sends the browser to another server for the whole host
        "clear-site-data",  # logs the user out of Jupyter and empties JupyterLab's storage
        "nel",
        "service-worker-allowed",  # lets a script of the app answer for JupyterLab
        "strict-transport-security",  # locks the user out of a Jupyter without TLS
    )
)


def confine_headers(
    headers: Iterable[tuple[str, str]],
    *,
    path: str,
    frame_ancestors: str,
    cookie_names: frozenset[str],
) -> tuple[list[tuple[str, str]], list[str]]:
    """The app's header lines as the browser may have them.

    :param path: the app's address, a percent-encoded path that ends in a slash.
    :param frame_ancestors: who may show the app in a frame where the app itself does not say so; an
        empty string where the response is shown nowhere.
    :param cookie_names: names of Jupyter's cookies beyond those known by their pattern.
    :returns: the lines, and the names of what was left out.
    """
    confined: list[tuple[str, str]] = []
    dropped: list[str] = []
    says_ancestors = False
    for name, value in headers:
        lower = name.lower()
        if lower == "set-cookie":
            cookie = confine_cookie(value, path=path, cookie_names=cookie_names)
            if cookie is None:
                dropped.append(f"Set-Cookie {value.partition('=')[0].strip()}")
                continue
            value = cookie
        elif lower in _WHOLE_ORIGIN:
            dropped.append(name)
            continue
        elif lower == "x-frame-options" or (
            lower == "content-security-policy" and "frame-ancestors" in value.lower()
        ):
            says_ancestors = True
        confined.append((name, value))
    if not says_ancestors and frame_ancestors:
        confined.append(("Content-Security-Policy", f"frame-ancestors {frame_ancestors}"))
    return confined, dropped


def confine_cookie(value: str, *, path: str, cookie_names: frozenset[str]) -> str | None:
    """Confine one ``Set-Cookie`` value (RFC 6265 §4.1) to the app's address.

    ``Path`` becomes a path under the address: one that is there already stays, any other is taken
    as the app's own and put behind it. ``Domain`` goes, so that the cookie is the host's alone. A
    cookie without ``Path`` stays as it is: the browser gives it a path under the address.

    :returns: the value, or ``None`` where the name is one of Jupyter's own cookies.
    """
    cookie, *attributes = value.split(";")
    # A cookie without a name is sent back as its value, which may look like name and value.
    if is_jupyter_cookie(cookie.lstrip("= \t").partition("=")[0].strip(), cookie_names):
        return None
    root = path.rstrip("/")
    parts = [cookie]
    new_path = None
    for attribute in attributes:
        name, _, attribute_value = attribute.partition("=")
        lower = name.strip().lower()
        if lower == "path":
            asked = attribute_value.strip()
            if not asked.startswith("/"):
                new_path = None  # the browser takes its default, as for no Path at all
            elif asked == root or asked.startswith(path):
                new_path = asked
            else:
                new_path = root + asked
        elif lower != "domain":
            parts.append(attribute)
    if new_path is not None:
        parts.append(f" Path={new_path}")
    return ";".join(parts)
