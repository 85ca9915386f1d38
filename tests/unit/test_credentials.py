"""What of a request is Jupyter's own, and does not reach the app."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_flaskserve.server.credentials import (
    Credentials,
    app_headers,
    app_query,
    is_jupyter_cookie,
)

TOKEN = "5ecre7"
CREDENTIALS = Credentials(frozenset({TOKEN}), frozenset({"login"}))


def passed(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    return list(app_headers(headers, CREDENTIALS))


@pytest.mark.parametrize(
    "name",
    ["_xsrf", "username-localhost-8888", "username-", "jupyterhub-session-id", "login"],
)
def test_a_cookie_of_jupyters_is_known_by_its_name(name: str) -> None:
    assert is_jupyter_cookie(name, CREDENTIALS.cookie_names)


@pytest.mark.parametrize("name", ["session", "xsrf", "username", "_XSRF", "logins", ""])
def test_a_cookie_of_the_apps_is_known_by_its_name(name: str) -> None:
    assert not is_jupyter_cookie(name, CREDENTIALS.cookie_names)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("session=1", "session=1"),
        ("_xsrf=2|a; session=1", "session=1"),
        ("session=1; username-localhost-8888=2|1:0; theme=dark", "session=1; theme=dark"),
        ("session=1;_xsrf=x;theme=dark", "session=1; theme=dark"),
        (" _xsrf = x ; session=1", "session=1"),
        ('session="a=b"; login=x', 'session="a=b"'),
        ("flag; _xsrf=1", "flag"),
    ],
)
def test_the_app_sees_its_own_cookies_only(sent: str, seen: str) -> None:
    assert passed(("Cookie", sent)) == [("Cookie", seen)]


def test_a_request_with_jupyters_cookies_alone_has_none_for_the_app() -> None:
    assert passed(("cookie", "_xsrf=1; login=2"), ("Cookie", "username-a=3")) == []


@pytest.mark.parametrize(
    "value",
    [f"token {TOKEN}", f"Token {TOKEN}", f"BEARER  {TOKEN}", f" bearer {TOKEN} "],
)
def test_jupyters_token_does_not_pass_in_a_header(value: str) -> None:
    assert passed(("authorization", value)) == []


@pytest.mark.parametrize(
    "value",
    ["Basic YTpi", "Digest username=a", "Bearer another", f"Basic {TOKEN}", "token", ""],
)
def test_an_authorization_of_the_apps_passes(value: str) -> None:
    assert passed(("Authorization", value)) == [("Authorization", value)]


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("", ""),
        ("a=1", "a=1"),
        (f"token={TOKEN}", ""),
        (f"a=1&token={TOKEN}&b=%20", "a=1&b=%20"),
        (f"%74oken={TOKEN}", ""),
        ("t%6fken=%35ecre7&token=abc", "token=abc"),
        (f"token={TOKEN}+", ""),
        ("token=abc", "token=abc"),
        (f"mytoken={TOKEN}", f"mytoken={TOKEN}"),
        ("a&&b=%FF", "a&&b=%FF"),
    ],
)
def test_jupyters_token_does_not_pass_in_the_query(sent: str, seen: str) -> None:
    assert app_query(sent, CREDENTIALS) == seen


@given(st.text(alphabet="tokena=&%37+", max_size=30))
def test_a_query_without_the_token_passes_unchanged(query: str) -> None:
    assert app_query(query, CREDENTIALS) == query


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("http://h/a", "http://h/a"),
        (f"http://h/a?token={TOKEN}", "http://h/a"),
        (f"http://h/a?x=1&token={TOKEN}#f", "http://h/a?x=1#f"),
        ("http://h/a?token=abc", "http://h/a?token=abc"),
    ],
)
def test_jupyters_token_does_not_pass_in_the_referer(sent: str, seen: str) -> None:
    assert passed(("Referer", sent)) == [("Referer", seen)]


def test_jupyters_xsrf_token_does_not_pass_but_an_apps_does() -> None:
    cookie = ("Cookie", "_xsrf=2|abc; session=1")
    assert passed(cookie, ("X-XSRFToken", "2|abc")) == [("Cookie", "session=1")]
    own = ("X-XSRFToken", "the app's")
    assert passed(cookie, own) == [("Cookie", "session=1"), own]


def test_other_headers_pass_in_their_order() -> None:
    headers = [("X-B", "1"), ("Accept", "*/*"), ("X-B", "2"), ("X-Token", TOKEN)]
    assert passed(*headers) == headers
