"""Which requests are another site's, by what browsers say of them."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_flaskserve.server.admission import foreign

HOST = "localhost:8888"


def refused(method: str, **headers: str) -> bool:
    lines = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return foreign(method, lines, HOST, lambda origin: origin == "https://lms.example") is not None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:9999"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:8888"},
        {"Sec_Fetch_Site": "whatever"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:8889"},
        {"Origin": "http://localhost:8888.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Referer": "http://evil.example/localhost:8888"},
        {"Referer": "no-url"},
    ],
)
def test_what_another_site_sends_is_refused(method: str, headers: dict[str, str]) -> None:
    assert refused(method, **headers)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost:8888"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://localhost:8888"},
        {"Origin": "http://LOCALHOST:8888"},
        {"Referer": "http://localhost:8888/lab"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://lms.example"},
        {"Origin": "https://lms.example"},
    ],
)
def test_what_the_apps_own_pages_send_is_let_in(method: str, headers: dict[str, str]) -> None:
    assert not refused(method, **headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    ("headers", "result"),
    [
        ({}, False),
        ({"Referer": "http://search.example/"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, False),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, True),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, True),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "http://localhost:8888"}, False),
    ],
)
def test_links_to_the_app_work_but_not_its_use_as_data(
    method: str, headers: dict[str, str], result: bool
) -> None:
    assert refused(method, **headers) is result


@pytest.mark.parametrize(
    ("headers", "result"),
    [
        ({"Origin": "http://evil.example"}, True),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, True),
        ({"Origin": "http://localhost:8888"}, False),
        ({}, False),
    ],
)
def test_a_websocket_is_no_mere_reading(headers: dict[str, str], result: bool) -> None:
    assert refused("GET", Upgrade="websocket", **headers) is result
