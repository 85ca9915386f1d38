"""Flask's session as it came with a request and as the response left it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..apps import is_flask
from . import masking

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["decode"]


def decode(app: object, exchange: Exchange, *, reveal: bool = False) -> dict[str, Any] | None:
    """The session of an exchange. It does not raise.

    :param app: the app that answered.
    :param reveal: whether values that look like secrets are shown.
    :returns: ``before``, the session that came; ``after``, the session that the response set, or
        ``None`` where it set none; and ``note``, what there is to say of them. ``None`` where the
        app is not Flask's.
    """
    if not is_flask(app):
        return None
    try:
        return _decode(app, exchange, reveal)
    except Exception as error:  # an app may have put anything in the place of Flask's own
        return _only(f"The session cannot be decoded: {type(error).__name__}: {error}.")


def _only(note: str) -> dict[str, Any]:
    return {"before": None, "after": None, "note": note}


def _decode(app: Any, exchange: Exchange, reveal: bool) -> dict[str, Any]:
    from flask.sessions import SecureCookieSessionInterface

    interface = app.session_interface
    if not isinstance(interface, SecureCookieSessionInterface):
        return _only(f"The session is kept by {type(interface).__name__}, not in the cookie.")
    serializer = interface.get_signing_serializer(app)
    if serializer is None:
        return _only("The app has no secret key, so it has no session: set app.secret_key.")
    name = interface.get_cookie_name(app)
    came = exchange.request.cookies.get(name)
    left = _set_cookie(exchange, name)
    notes = []
    before = _value(serializer, came, reveal) if came else None
    if came and before is None:
        notes.append("The session that came was not signed with the app's secret key.")
    after = _value(serializer, left, reveal) if left else None
    if left == "":
        after = {}
        notes.append("The response deletes the session.")
    elif left and after is None:
        notes.append("The session that the response set was not signed with the app's secret key.")
    if came is None and left is None:
        notes.append("No session came, and the response set none.")
    elif left is None:
        notes.append("The response left the session as it was.")
    return {"before": before, "after": after, "note": " ".join(notes)}


def _set_cookie(exchange: Exchange, name: str) -> str | None:
    """The value of the cookie that the response sets last, if it sets it."""
    from werkzeug.http import parse_cookie

    found = None
    for header, value in exchange.response_headers:
        if header.lower() == "set-cookie":
            found = parse_cookie(value.partition(";")[0]).get(name, found)
    return found


def _value(serializer: Any, text: str, reveal: bool) -> dict[str, Any] | None:
    from itsdangerous import BadSignature

    try:
        session = serializer.loads(text)
    except BadSignature:
        return None
    plain: dict[str, Any] = json.loads(json.dumps(session, default=str))
    return plain if reveal else masking.mask_tree(plain)[0]
