"""Who may come in to an app of a user of a JupyterHub, and what the app gets to know of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hub_processes import Hub, UserServer
from jupyter_processes import Kernel, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Browser = Callable[..., httpx.Client]

APP = """
from flask import Flask, make_response, request
from flask_sock import Sock

app = Flask("told")
sock = Sock(app)
told = []  # all that has reached the app

@app.before_request
def note():
    told.append(request.full_path)

@app.route("/", methods=["GET", "POST", "PUT", "DELETE"])
def index():
    return {
        "method": request.method,
        "headers": list(request.headers.items()),
        "query": request.query_string.decode(),
        "form": request.form,
    }

@app.get("/cookies")
def cookies():
    response = make_response("set")
    response.set_cookie("session", "the-apps")
    response.set_cookie("theme", "dark", path="/user/ann/")
    for name in ("_xsrf", "jupyterhub-session-id", "jupyterhub-user-ann", "jupyterhub-hub-login"):
        for path in ("/", "/hub/", "/user/ann/"):
            response.set_cookie(name, "the-apps", path=path)
    return response

@sock.route("/echo")
def echo(socket):
    socket.send(request.headers.get("Cookie", "none"))
    while True:
        socket.send(socket.receive())
"""


@pytest.fixture(scope="module")
def address(kernel: Kernel, ann: UserServer) -> Iterator[str]:
    """Where the app is."""
    kernel.serve("told", APP)
    yield f"{ann.url}flaskserve/told/"
    kernel.run("_mount.stop()")


def number_told(kernel: Kernel) -> int:
    """How many requests have reached the app."""
    return int(kernel.run("print(len(told))").stdout)


# Who may come in


def test_a_user_who_has_logged_in_to_the_hub_is_let_in(address: str, browser: Browser) -> None:
    client = browser("ann")
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.json()["method"] == "GET"
    assert str(answer.url) == address
    assert client.post(address, data={"name": "Ada"}).json()["form"] == {"name": "Ada"}


def test_a_browser_that_has_not_logged_in_is_sent_to_the_hubs_login_and_comes_back(
    hub: Hub, address: str, kernel: Kernel, browser: Browser
) -> None:
    before = number_told(kernel)
    client = browser()
    page = client.get(f"{address}?page=2")
    assert page.url.path == "/hub/login"
    assert number_told(kernel) == before

    form = {
        "username": "ann",
        "password": hub.password,
        "_xsrf": re.findall(r'name="_xsrf" value="([^"]+)"', page.text)[0],
    }
    answer = client.post(str(page.url), data=form)
    assert str(answer.url) == f"{address}?page=2"
    assert answer.json()["query"] == "page=2"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PURGE"])
def test_a_program_without_a_token_is_refused_with_403(
    address: str, kernel: Kernel, method: str
) -> None:
    before = number_told(kernel)
    answer = httpx.request(method, address, headers={"Accept": "application/json"})
    assert answer.status_code == 403
    if method != "HEAD":
        assert answer.json()["error"] == "refused"
    assert number_told(kernel) == before


def test_another_user_gets_403(hub: Hub, address: str, kernel: Kernel, browser: Browser) -> None:
    before = number_told(kernel)
    bob = browser("bob")
    for url in (address, address.removesuffix("told/"), f"{address}deeper?x=1"):
        answer = bob.get(url)
        assert answer.status_code == 403
        assert "told" not in answer.text
    token = {"Authorization": f"token {hub.token('bob')}"}
    for method in ("GET", "POST", "DELETE", "PURGE"):
        answer = httpx.request(method, address, headers=token)
        assert answer.status_code == 403
    for page in (bob.cookies, {}):
        for site in ("same-origin", "same-site", "none"):
            answer = httpx.post(
                address,
                cookies=dict(page),
                data={"name": "Eve"},
                headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors", "Origin": hub.url[:-1]},
            )
            assert answer.status_code == 403
    assert number_told(kernel) == before


def test_another_users_websocket_is_refused(
    hub: Hub, address: str, kernel: Kernel, browser: Browser
) -> None:
    before = number_told(kernel)
    bob = browser("bob")
    url = address.replace("http:", "ws:") + "echo"
    token = hub.token("bob")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in bob.cookies.jar)
    ways_in: list[dict[str, str]] = [
        {},
        {"Cookie": cookies},
        {"Authorization": f"token {token}"},
        {"Sec-Fetch-Mode": "websocket", "Cookie": cookies},
    ]
    for headers, query in itertools.product(ways_in, ("", f"?token={token}")):
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(url + query, additional_headers=headers, proxy=None),
        ):
            pass
        assert refused.value.response.status_code in (302, 403)
    assert number_told(kernel) == before


def test_another_users_login_is_worth_nothing_under_the_name_of_the_owners_cookie(
    hub: Hub, address: str, kernel: Kernel, browser: Browser
) -> None:
    hub.server("bob")
    bob = browser("bob")
    assert bob.get(f"{hub.url}user/bob/flaskserve/").status_code == 200
    (login,) = (c.value for c in bob.cookies.jar if c.name == "jupyterhub-user-bob")
    before = number_told(kernel)
    forged = {"jupyterhub-user-ann": str(login)}
    answer = httpx.get(address, cookies=forged)
    assert answer.status_code == 403
    assert number_told(kernel) == before


def test_another_user_reaches_neither_the_list_of_apps_nor_the_panels(
    hub: Hub, ann: UserServer, address: str, kernel: Kernel
) -> None:
    bob = {"Authorization": f"token {hub.token('bob')}"}
    for path in (
        "flaskserve/",
        "api/flaskserve/mounts",
        "api/flaskserve/mounts/told",
        "api/flaskserve/inspector/told/state",
    ):
        assert ann.http.get(path).status_code == 200
        assert httpx.get(ann.url + path, headers=bob).status_code == 403
    assert httpx.delete(f"{ann.url}api/flaskserve/mounts/told", headers=bob).status_code == 403
    assert "told" in ann.mounts()


def test_a_token_with_the_scope_to_access_the_server_is_let_in_and_one_without_is_not(
    hub: Hub, address: str, kernel: Kernel
) -> None:
    may = hub.token("ann", "access:servers!user=ann")
    may_not = hub.token("ann", "read:users!user=ann")
    other = hub.token("bob")
    assert httpx.get(address, headers={"Authorization": f"token {may}"}).status_code == 200
    assert httpx.get(address, headers={"Authorization": f"Bearer {may}"}).status_code == 200
    before = number_told(kernel)
    for token in (may_not, other, "made-up"):
        answer = httpx.get(address, headers={"Authorization": f"token {token}"})
        assert answer.status_code == 403
    assert number_told(kernel) == before


def test_a_user_with_whom_the_server_is_shared_is_let_in_until_that_ends(
    hub: Hub, address: str, browser: Browser
) -> None:
    hub.add_user("carol")
    carol = browser("carol")
    assert carol.get(address).status_code == 403
    share = {"user": "carol", "scopes": ["access:servers!server=ann/"]}
    hub.api.post("shares/ann/", json=share).raise_for_status()

    page = carol.get(address)
    assert page.url.path == "/hub/api/oauth2/authorize"  # Carol is asked once
    form = dict(re.findall(r'<input[^>]*name="(_xsrf|scopes)"[^>]*value="([^"]*)"', page.text))
    answer = carol.post(str(page.url), data=form)
    assert answer.json()["method"] == "GET"
    assert str(answer.url) == address
    assert carol.post(address, data={"name": "Carol"}).json()["form"] == {"name": "Carol"}

    hub.api.patch("shares/ann/", json={"user": "carol"}).raise_for_status()
    stranger = browser("carol")
    assert stranger.get(address).status_code == 403


GUESTS = """
    import os
    from jupyter_server.auth import Authorizer

    class GuestsUseApps(Authorizer):
        def is_authorized(self, handler, user, action, resource):
            if user.username == os.environ["JUPYTERHUB_USER"]:
                return True
            return resource == "flaskserve" and action == "execute"

    c.ServerApp.authorizer_class = GuestsUseApps
"""


def test_guests_can_be_kept_to_the_apps_alone(hub: Hub, browser: Browser) -> None:
    server = hub.server("fay", GUESTS)
    server.kernel().serve("told", APP)
    hub.add_user("carol")
    share = {"user": "carol", "scopes": ["access:servers!server=fay/"]}
    hub.api.post("shares/fay/", json=share).raise_for_status()
    guest = {"Authorization": f"token {hub.token('carol')}"}
    app = f"{server.url}flaskserve/told/"
    assert httpx.get(app, headers=guest).status_code == 200
    assert httpx.post(app, headers=guest, data={"a": "1"}).json()["form"] == {"a": "1"}
    for path in (
        "flaskserve/",
        "api/flaskserve/mounts",
        "api/flaskserve/inspector/told/state",
        "api/kernels",
        "api/contents",
        "api/terminals",
        "files/Lesson%201.ipynb",
    ):
        assert httpx.get(server.url + path, headers=guest).status_code == 403, path
        assert server.http.get(path).status_code in (200, 404), path


# What the app gets to know


def test_neither_cookies_nor_tokens_of_the_hub_reach_the_app(
    hub: Hub, ann: UserServer, address: str, browser: Browser
) -> None:
    client = browser("ann")
    client.get(address)
    secrets = [cookie.value for cookie in client.cookies.jar]
    names = {cookie.name for cookie in client.cookies.jar}
    assert {"_xsrf", "jupyterhub-user-ann", "jupyterhub-session-id"} <= names
    client.cookies.set("mine", "1", path="/user/ann/", domain="127.0.0.1")
    told = client.get(address, headers={"X-Note": "kept"}).json()
    headers = {name.lower(): value for name, value in told["headers"]}
    assert headers["cookie"] == "mine=1"
    assert headers["x-note"] == "kept"
    for secret in secrets:
        assert secret not in str(told)

    token = hub.token("ann")
    for scheme in ("token", "Bearer"):
        with_token = {"Authorization": f"{scheme} {token}"}
        assert token not in httpx.get(address, headers=with_token).text
    app_own = client.get(address, headers={"Authorization": "Basic QWRhOnNlY3JldA=="}).json()
    assert ["Authorization", "Basic QWRhOnNlY3JldA=="] in app_own["headers"]


def test_neither_cookies_nor_the_token_of_a_websocket_reach_the_app(
    hub: Hub, ann: UserServer, address: str, browser: Browser
) -> None:
    client = browser("ann")
    client.get(address)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    url = address.replace("http:", "ws:") + "echo"
    headers = {"Cookie": f"{cookies}; mine=1", "Sec-Fetch-Mode": "websocket"}
    with connect(url, additional_headers=headers, proxy=None) as socket:
        assert socket.recv() == "mine=1"
        socket.send("hello")
        assert socket.recv() == "hello"


def test_the_apps_cookies_are_confined_to_its_address_and_leave_the_hubs_alone(
    ann: UserServer, address: str, browser: Browser
) -> None:
    client = browser("ann")
    client.get(address)
    before = {(c.name, c.path): c.value for c in client.cookies.jar}
    client.get(f"{address}cookies")
    after = {(c.name, c.path): c.value for c in client.cookies.jar}
    new = set(after) - set(before)
    root = "/user/ann/flaskserve/told/"
    assert new == {("session", root), ("theme", f"{root}user/ann/")}
    assert {place: after[place] for place in before} == before
    assert client.get(address).json()["method"] == "GET"  # still logged in


# Requests that other pages make


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/page"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_form_of_another_site_is_refused(
    address: str, kernel: Kernel, browser: Browser, headers: dict[str, str]
) -> None:
    client = browser("ann")
    client.get(address)
    before = number_told(kernel)
    del client.headers["Sec-Fetch-Mode"]
    answer = client.post(address, data={"name": "Eve"}, headers=headers)
    assert answer.status_code == 403
    assert number_told(kernel) == before


def test_the_requests_after_one_that_was_refused_are_answered(
    ann: UserServer, address: str
) -> None:
    """The hub's proxy keeps its connections to a server, and shares them among requests."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        for _ in range(50):
            assert client.post(address, data={"name": "Eve"}).status_code == 403
            assert client.get(address, headers=ann.authorization).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_fetch_of_the_apps_own_page_needs_no_token(
    hub: Hub, address: str, browser: Browser, method: str
) -> None:
    client = browser("ann")
    client.get(address)
    headers = {
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Origin": hub.url.removesuffix("/"),
        "Accept": "*/*",
    }
    assert client.request(method, address, headers=headers).json()["method"] == method


# The end of a login


def test_who_logs_out_of_the_hub_is_out_of_the_app_at_once(
    hub: Hub, address: str, kernel: Kernel, browser: Browser
) -> None:
    client = browser("ann")
    assert client.get(address).status_code == 200
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    url = address.replace("http:", "ws:") + "echo"
    headers = {"Cookie": cookies, "Sec-Fetch-Mode": "websocket"}
    with connect(url, additional_headers=headers, proxy=None) as socket:
        client.get(f"{hub.url}hub/logout")
        before = number_told(kernel)
        assert client.get(address).url.path == "/hub/login"
        assert number_told(kernel) == before
        assert socket.recv() == "none"
        socket.send("still open")  # as are those of JupyterLab
        assert socket.recv() == "still open"


def test_a_copy_of_the_cookies_is_worth_nothing_when_the_servers_memory_of_them_has_ended(
    hub: Hub, browser: Browser
) -> None:
    server = hub.server("dan", "c.HubOAuth.cache_max_age = 2")
    address = f"{server.url}flaskserve/"
    client = browser("dan")
    assert client.get(address).status_code == 200
    copy: dict[str, Any] = {
        str(cookie.name): cookie.value for cookie in client.cookies.jar if cookie.path != "/hub/"
    }
    assert httpx.get(address, cookies=copy).status_code == 200
    client.get(f"{hub.url}hub/logout")

    wait_until(
        lambda: httpx.get(address, cookies=copy).status_code == 403, seconds=30, what="the refusal"
    )
