"""Flask's session as it came and as it left."""

from __future__ import annotations

import datetime
from typing import Any

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface, SessionInterface
from recorded_exchanges import Recorder, answer

from jupyter_flaskserve.kernel.exchanges.exchange import Exchange
from jupyter_flaskserve.kernel.exchanges.masking import MASK
from jupyter_flaskserve.kernel.exchanges.sessions import decode


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("shop")
    app.secret_key = "the app's"

    @app.route("/set")
    def change() -> str:
        flask.session["user"] = "ada"
        flask.session["csrf_token"] = "s3cret"
        flask.session["when"] = datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)
        flask.session["pair"] = (1, b"x")
        return "set"

    @app.route("/look")
    def look() -> str:
        return str(dict(flask.session))

    @app.route("/clear")
    def clear() -> str:
        flask.session.clear()
        return "cleared"

    return app


def cookie_of(exchange: Exchange) -> str:
    """What a client would send back."""
    (line,) = (value for name, value in exchange.response_headers if name == "Set-Cookie")
    return line.partition(";")[0]


def ask(app: Any, path: str, cookie: str = "") -> Exchange:
    return Recorder(app).ask(path, headers=[("Cookie", cookie)] if cookie else ())


PLAIN = {
    "user": "ada", "csrf_token": "s3cret", "when": "2024-01-02 00:00:00+00:00", "pair": [1, "b'x'"]
}  # fmt: skip


def test_a_session_is_shown_as_it_came_and_as_it_left(app: flask.Flask) -> None:
    first = ask(app, "/set")
    assert decode(app, first, reveal=True) == {"before": None, "after": PLAIN, "note": ""}
    second = ask(app, "/look", cookie_of(first))
    assert decode(app, second) == {
        "before": PLAIN | {"csrf_token": MASK},
        "after": None,
        "note": "The response left the session as it was.",
    }
    third = decode(app, ask(app, "/clear", cookie_of(first)))
    assert third is not None
    assert (third["after"], third["note"]) == ({}, "The response deletes the session.")
    assert decode(app, ask(app, "/look")) == {
        "before": None, "after": None, "note": "No session came, and the response set none."
    }  # fmt: skip


def test_a_cookie_of_another_name_is_found(app: flask.Flask) -> None:
    app.config["SESSION_COOKIE_NAME"] = "crumbs"
    found = decode(app, ask(app, "/set"))
    assert found is not None
    assert found["after"]["user"] == "ada"


def test_a_session_that_another_key_signed_is_not_believed(app: flask.Flask) -> None:
    cookie = cookie_of(ask(app, "/set"))
    app.secret_key = "another"
    found = decode(app, ask(app, "/look", cookie))
    assert found == {
        "before": None,
        "after": None,
        "note": "The session that came was not signed with the app's secret key."
        " The response left the session as it was.",
    }
    for broken in ("session=abc", "session=..", "session=", 'session="'):
        assert decode(app, ask(app, "/look", broken))["before"] is None  # type: ignore[index]


def test_why_there_is_no_session_is_said(app: flask.Flask) -> None:
    exchange = ask(app, "/set")
    app.secret_key = None
    found = decode(app, exchange)
    assert found is not None
    assert found["note"] == "The app has no secret key, so it has no session: set app.secret_key."

    class Stored(SessionInterface):
        pass

    app.session_interface = Stored()
    found = decode(app, exchange)
    assert found is not None
    assert found["note"] == "The session is kept by Stored, not in the cookie."
    assert decode(answer(), exchange) is None


def test_an_app_that_breaks_the_session_breaks_nothing_else(app: flask.Flask) -> None:
    exchange = ask(app, "/set")

    class Broken(SecureCookieSessionInterface):
        def get_signing_serializer(self, app: flask.Flask) -> Any:
            raise RuntimeError("no")

    app.session_interface = Broken()
    found = decode(app, exchange)
    assert found is not None
    assert found["note"] == "The session cannot be decoded: RuntimeError: no."
