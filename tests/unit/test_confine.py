"""What an app's response may not do to the rest of its origin."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_flaskserve.server.confine import confine_cookie, confine_headers

PATH = "/user/ann/flaskserve/demo/"


def confined(value: str) -> str | None:
    return confine_cookie(value, path=PATH, cookie_names=frozenset({"login"}))


def headers(*lines: tuple[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    return confine_headers(
        lines, path=PATH, frame_ancestors="'self'", cookie_names=frozenset({"login"})
    )


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("a=1", "a=1"),
        ("a=1; Path=/", f"a=1; Path={PATH}"),
        ("a=1; path = / ", f"a=1; Path={PATH}"),
        ("a=1; Path=/admin", f"a=1; Path={PATH}admin"),
        (f"a=1; Path={PATH}", f"a=1; Path={PATH}"),
        (f"a=1; Path={PATH}x", f"a=1; Path={PATH}x"),
        ("a=1; Path=/user/ann/flaskserve/demo", "a=1; Path=/user/ann/flaskserve/demo"),
        (
            "a=1; Path=/user/ann/flaskserve/demo2",
            "a=1; Path=/user/ann/flaskserve/demo/user/ann/flaskserve/demo2",
        ),
        ("a=1; Path=", "a=1"),
        ("a=1; Path=relative", "a=1"),
        ("a=1; Path=/x; Path=/", f"a=1; Path={PATH}"),
        ("a=1; Path=/; Path=", "a=1"),
        ("a=1; Domain=example.org; Secure", "a=1; Secure"),
        (
            "a=1; DOMAIN=.org; Path=/; HttpOnly; SameSite=Lax",
            f"a=1; HttpOnly; SameSite=Lax; Path={PATH}",
        ),
        ('a="x; Path=/"', f'a="x; Path={PATH}"'),  # browsers cut at each semicolon
    ],
)
def test_a_cookie_stays_at_its_address(value: str, result: str) -> None:
    assert confined(value) == result


@pytest.mark.parametrize(
    "value", ["_xsrf=1", " _xsrf =1; Path=/", "username-h=1", "jupyterhub-session-id=", "login=1"]
)
def test_a_cookie_with_the_name_of_jupyters_is_left_out(value: str) -> None:
    assert confined(value) is None
    lines, dropped = headers(("set-cookie", value), ("X-A", "1"))
    assert ("X-A", "1") in lines
    assert not any(name == "set-cookie" for name, _ in lines)
    assert len(dropped) == 1


@given(
    st.lists(
        st.sampled_from(["Path=/", "path=/x", "PATH=", "Domain=h", "Secure", "Path=//", "Path"]),
        max_size=5,
    )
)
def test_no_cookie_is_sent_to_another_path(attributes: list[str]) -> None:
    value = confined("; ".join(["a=1", *attributes]))
    assert value is not None
    morsel = SimpleCookie(value)["a"]
    assert morsel["domain"] == ""
    assert morsel["path"] == "" or morsel["path"].startswith(PATH)


@pytest.mark.parametrize(
    "name",
    ["Clear-Site-Data", "STRICT-TRANSPORT-SECURITY", "Service-Worker-Allowed", "Alt-Svc", "NEL"],
)
def test_a_header_that_acts_on_the_whole_origin_is_left_out(name: str) -> None:
    lines, dropped = headers((name, "x"))
    assert lines == [("Content-Security-Policy", "frame-ancestors 'self'")]
    assert dropped == [name]


@pytest.mark.parametrize(
    "line",
    [
        ("Content-Security-Policy", "default-src 'self'; Frame-Ancestors 'none'"),
        ("X-Frame-Options", "DENY"),
    ],
)
def test_an_app_that_says_who_may_frame_it_is_obeyed(line: tuple[str, str]) -> None:
    assert headers(line) == ([line], [])


def test_order_spelling_and_repetition_are_kept() -> None:
    lines = [("x-a", "1"), ("X-B", "2"), ("X-A", "3"), ("X-Frame-Options", "DENY")]
    assert headers(*lines) == (lines, [])
