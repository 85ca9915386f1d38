"""Who may come in, and what of Jupyter's the app never sees and never harms."""

from __future__ import annotations

import base64
import http.client
import json
import re
import stat
from collections.abc import Callable

import httpx
import pytest
from jupyter_processes import Kernel, Reply, Server, arrangement, read_until

COUNTING = """
import json
requests = []

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    requests.append(environ["PATH_INFO"])
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    seen["body"] = body.decode("latin-1")
    answer = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(answer)))])
    return [answer]
"""


class CountedApp:
    """An app that answers with its environ and counts its requests."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.server = kernel.server
        self.path = f"/flaskserve/{name}/"
        kernel.serve(name, COUNTING)

    @property
    def requests(self) -> int:
        return int(self.kernel.run("print(len(requests))").stdout)

    def ask(
        self,
        target: str = "",
        method: str = "GET",
        *headers: tuple[str, str],
        body: bytes = b"",
        authorized: bool = True,
    ) -> Reply:
        return self.server.ask(self.path + target, method, headers, body, authorized=authorized)

    def environ(self, *headers: tuple[str, str], target: str = "") -> dict[str, str]:
        reply = self.ask(target, "GET", *headers)
        assert reply.status == 200, reply
        seen: dict[str, str] = json.loads(reply.content)
        return seen


@pytest.fixture
def app(kernel: Kernel, name: str) -> CountedApp:
    return CountedApp(kernel, name)


def cookie_header(cookies: dict[str, str]) -> tuple[str, str]:
    return ("Cookie", "; ".join(f"{key}={value}" for key, value in cookies.items()))


@pytest.fixture(scope="module")
def browser(server: Server) -> dict[str, str]:
    """The cookies of a browser that has logged in."""
    cookies = server.login()
    assert any(key.startswith(("username-", "flaskserve-")) for key in cookies), cookies
    return cookies


def refused(reply: Reply) -> bool:
    """Whether a reply is Jupyter's refusal: 403, or the way to the page for logging in."""
    login = (reply.header("location") or "").startswith("/login?")
    return reply.status == 403 or (reply.status == 302 and login)


# Who may come in


@pytest.mark.parametrize("scheme", ["token", "Token", "Bearer", "bearer"])
def test_the_token_in_the_header_opens(scheme: str, app: CountedApp) -> None:
    reply = app.ask("", "GET", ("Authorization", f"{scheme} {app.server.token}"), authorized=False)
    assert reply.status == 200


def test_the_token_in_the_query_opens(app: CountedApp) -> None:
    assert app.ask(f"?token={app.server.token}", authorized=False).status == 200


def test_the_cookie_opens(app: CountedApp, browser: dict[str, str]) -> None:
    assert app.ask("", "GET", cookie_header(browser), authorized=False).status == 200


def test_a_server_without_authentication_is_open(new_server: Callable[..., Server]) -> None:
    server = new_server(token="", config="c.PasswordIdentityProvider.hashed_password = ''")
    app = CountedApp(server.kernel(), "open")
    assert app.ask(authorized=False).status == 200
    assert app.ask("", "POST", body=b"a=1", authorized=False).status == 200


WRONG = [
    ("nothing", "", ()),
    ("wrong-header", "", (("Authorization", "token wrong"),)),
    ("empty-header", "", (("Authorization", "token "),)),
    ("wrong-bearer", "", (("Authorization", "Bearer wrong"),)),
    ("basic", "", (("Authorization", "Basic dTpw"),)),
    ("wrong-query", "?token=wrong", ()),
    ("empty-query", "?token=", ()),
    ("wrong-cookie", "", (("Cookie", "username-127-0-0-1-8888=x; _xsrf=y"),)),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PROPFIND", "OPTIONS"])
@pytest.mark.parametrize(
    ("target", "headers"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_without_credentials_nothing_reaches_the_kernel(
    method: str, target: str, headers: tuple[tuple[str, str], ...], app: CountedApp
) -> None:
    reply = app.ask(target, method, *headers, authorized=False)
    assert refused(reply), reply
    assert b"PATH_INFO" not in reply.body
    assert app.requests == 0


@pytest.mark.parametrize("asked", ["there-is-no-such-app", ""])
def test_without_credentials_nobody_learns_what_there_is(asked: str, app: CountedApp) -> None:
    for path in (f"/flaskserve/{asked}", f"/api/flaskserve/mounts/{asked}".rstrip("/")):
        reply = app.server.ask(path, authorized=False)
        assert refused(reply), (path, reply)
        assert app.path.split("/")[2].encode() not in reply.body


@pytest.mark.parametrize("expect", [True, False])
def test_without_credentials_no_byte_of_the_body_is_asked_for(
    expect: bool, app: CountedApp
) -> None:
    lines = [
        f"POST {app.path} HTTP/1.1",
        f"Host: 127.0.0.1:{app.server.port}",
        "Content-Length: 1000000000",
        *(["Expect: 100-continue"] if expect else []),
    ]
    with app.server.connect() as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        reply = Reply.parse(read_until(connection, b"\r\n\r\n"))
    assert refused(reply), reply
    assert app.requests == 0


def test_without_credentials_an_upload_is_cut_off(app: CountedApp) -> None:
    """Nobody who may not come in can make the server read for as long as they like."""
    with app.server.connect() as connection:
        connection.sendall(
            f"POST {app.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        read_until(connection, b"\r\n\r\n")
        piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        sent = 0
        try:
            while sent < 200:
                connection.sendall(piece)
                sent += 1
        except (ConnectionError, TimeoutError):
            pass
    assert sent < 100
    assert app.requests == 0


def test_a_server_where_nothing_is_public_refuses_as_well(
    new_server: Callable[..., Server],
) -> None:
    server = new_server(config="c.ServerApp.allow_unauthenticated_access = False")
    app = CountedApp(server.kernel(), "closed")
    assert refused(app.ask(authorized=False))
    assert refused(app.ask("", "POST", body=b"a=1", authorized=False))
    assert app.requests == 0
    assert app.ask().status == 200
    assert app.ask("", "POST", body=b"a=1").status == 200


def test_only_the_user_may_reach_the_sockets(app: CountedApp) -> None:
    directory = app.server.runtime_dir / "flaskserve"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    sockets = [name for name in modes if name.endswith(".sock")]
    (record,) = directory.glob(f"*-{app.path.split('/')[2]}.json")
    secret = json.loads(record.read_text())["secret"]
    if arrangement.transport == "tcp":
        assert (sockets, len(secret)) == ([], 128), "the secret is in no file but the record"
    else:
        assert (sockets != [], secret) == (True, "")


def test_a_foreign_host_name_is_refused(app: CountedApp) -> None:
    """Against DNS rebinding, as Jupyter's own pages do."""
    reply = app.ask("", "GET", ("Host", "evil.example"))
    assert reply.status == 403
    assert app.requests == 0


def test_a_host_name_that_jupyter_allows_is_served(app: CountedApp) -> None:
    assert app.ask("", "GET", ("Host", f"localhost:{app.server.port}")).status == 200


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("GET", {}, b""),
        ("GET", {"Accept": "text/html"}, b""),  # is sent to the login page
        ("HEAD", {}, b""),
        ("PURGE", {}, b""),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, b"a=1"),
        ("POST", {}, b"x" * 200_000),
        ("GET", {"Connection": "Upgrade", "Upgrade": "websocket"}, b""),
    ],
    ids=str,
)
def test_a_refusal_leaves_the_connection_for_the_next_request(
    app: CountedApp, method: str, headers: dict[str, str], body: bytes
) -> None:
    """A proxy in front of Jupyter shares a connection among its users' requests."""
    client = http.client.HTTPConnection("127.0.0.1", app.server.port, timeout=20)
    client.request(method, app.path, body, headers)
    refused = client.getresponse()
    assert refused.status in (302, 403)
    refused.read()
    connection = client.sock
    assert connection is not None
    client.request("GET", app.path, headers=app.server.authorization)
    assert client.getresponse().status == 200
    assert client.sock is connection
    client.close()


DENIES = """
from jupyter_server.auth import Authorizer

class Deny(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        path = handler.request.path
        if "flaskserve" in path:
            handler.log.warning("ASKED %s %s %s", user.username, action, resource)
            return "/denied" not in path and handler.request.method != "DELETE"
        return True

c.ServerApp.authorizer_class = Deny
"""


def test_the_authorizer_is_asked(new_server: Callable[..., Server]) -> None:
    server = new_server(config=DENIES)
    kernel = server.kernel()
    allowed, denied = CountedApp(kernel, "allowed"), CountedApp(kernel, "denied")
    assert allowed.ask().status == 200
    assert denied.ask().status == 403
    assert denied.ask("", "POST", body=b"a=1").status == 403
    assert server.http.delete("api/flaskserve/mounts/allowed").status_code == 403
    assert kernel.run("print(requests)").stdout == "['/']\n"
    assert allowed.ask().status == 200
    assert "ASKED" in server.log


# Cross-site requests


def same_origin(server: Server) -> tuple[str, str]:
    return ("Origin", f"http://127.0.0.1:{server.port}")


CROSS_SITE = [
    (("Origin", "https://evil.example"),),
    (("Origin", "null"),),
    (("Sec-Fetch-Site", "cross-site"),),
    (("Sec-Fetch-Site", "cross-site"), ("Origin", "null")),
    (("Referer", "https://evil.example/page"),),
    (("Origin", "http://127.0.0.1:1"),),
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_a_cross_site_request_that_changes_something_is_refused(
    method: str,
    headers: tuple[tuple[str, str], ...],
    app: CountedApp,
    browser: dict[str, str],
) -> None:
    reply = app.ask("", method, cookie_header(browser), *headers, body=b"a=1", authorized=False)
    assert reply.status == 403, reply
    assert app.requests == 0


def test_a_same_site_but_foreign_origin_is_refused(
    app: CountedApp, browser: dict[str, str]
) -> None:
    """Another port of this machine is the same site, and still another's page."""
    reply = app.ask(
        "",
        "POST",
        cookie_header(browser),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://127.0.0.1:1"),
        body=b"a=1",
        authorized=False,
    )
    assert reply.status == 403
    assert app.requests == 0


@pytest.mark.parametrize("fetch_metadata", [True, False])
def test_the_apps_own_form_is_posted_without_xsrf(
    fetch_metadata: bool, app: CountedApp, browser: dict[str, str]
) -> None:
    headers = [cookie_header(browser), same_origin(app.server)]
    headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    headers.append(("Referer", f"http://127.0.0.1:{app.server.port}{app.path}"))
    if fetch_metadata:
        headers += [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")]
    reply = app.ask("", "POST", *headers, body=b"a=1&_xsrf=mine", authorized=False)
    assert reply.status == 200, reply
    assert json.loads(reply.content)["body"] == "a=1&_xsrf=mine"


def test_the_apps_own_fetch_is_let_through(app: CountedApp, browser: dict[str, str]) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = app.ask(
            "",
            method,
            cookie_header(browser),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "cors"),
            ("Sec-Fetch-Dest", "empty"),
            *([same_origin(app.server)] if method != "GET" else []),
            authorized=False,
        )
        assert reply.status == 200, (method, reply)


@pytest.mark.parametrize("destination", ["image", "script", "empty", "style"])
def test_a_cross_site_subresource_is_refused(
    destination: str, app: CountedApp, browser: dict[str, str]
) -> None:
    reply = app.ask(
        "",
        "GET",
        cookie_header(browser),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", destination),
        authorized=False,
    )
    assert reply.status == 403, reply
    assert app.requests == 0


def test_a_link_on_another_site_leads_to_the_app(app: CountedApp, browser: dict[str, str]) -> None:
    reply = app.ask(
        "",
        "GET",
        cookie_header(browser),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-User", "?1"),
        ("Referer", "https://school.example/"),
        authorized=False,
    )
    assert reply.status == 200


def test_an_address_that_is_typed_in_leads_to_the_app(
    app: CountedApp, browser: dict[str, str]
) -> None:
    reply = app.ask("", "GET", cookie_header(browser), ("Sec-Fetch-Site", "none"), authorized=False)
    assert reply.status == 200


def test_a_program_with_the_token_may_post_without_origin(app: CountedApp) -> None:
    assert app.ask("", "POST", body=b"{}").status == 200


def test_no_cors_header_of_jupyters_is_added(app: CountedApp) -> None:
    reply = app.ask("", "GET", ("Origin", "https://school.example"))
    assert not [key for key, _ in reply.headers if key.startswith("access-control-")]


# What the app sees


@pytest.mark.parametrize("scheme", ["token", "Token", "Bearer"])
def test_the_app_does_not_see_the_token_in_the_header(scheme: str, app: CountedApp) -> None:
    reply = app.ask("", "GET", ("Authorization", f"{scheme} {app.server.token}"), authorized=False)
    assert "HTTP_AUTHORIZATION" not in json.loads(reply.content)
    assert app.server.token.encode() not in reply.content


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("token={}", ""),
        ("a=1&token={}&b=2", "a=1&b=2"),
        ("token={}&token=abc", "token=abc"),
        ("%74oken={}", ""),
        ("a=1&token={}&a=%FF+x", "a=1&a=%FF+x"),
    ],
)
def test_the_app_does_not_see_the_token_in_the_query(
    query: str, left: str, app: CountedApp, browser: dict[str, str]
) -> None:
    token = app.server.token
    target = "p?" + query.format(token)
    reply = app.ask(target, "GET", cookie_header(browser), authorized=False)
    seen = json.loads(reply.content)
    assert seen["QUERY_STRING"] == left
    assert token not in json.dumps(seen)


def test_the_app_does_not_see_an_escaped_token_in_the_query(app: CountedApp) -> None:
    token = app.server.token
    escaped = "".join(f"%{ord(char):02X}" for char in token)
    seen = app.environ(target=f"?token={escaped}&a=1")
    assert seen["QUERY_STRING"] == "a=1"
    assert escaped not in json.dumps(seen)


def test_the_app_does_not_see_the_token_in_the_referer(app: CountedApp) -> None:
    here = f"http://127.0.0.1:{app.server.port}{app.path}"
    seen = app.environ(("Referer", f"{here}page?a=1&token={app.server.token}&b=2"))
    assert seen["HTTP_REFERER"] == f"{here}page?a=1&b=2"


@pytest.mark.jupyter_server("its cookies are Jupyter's")
def test_the_app_does_not_see_jupyters_cookies(app: CountedApp, browser: dict[str, str]) -> None:
    cookies = {
        **browser,
        "_xsrf": "2|abc",
        "username-127-0-0-1-8888": "another server's",
        "username-localhost-8888": "and another's",
        "jupyterhub-session-id": "x",
        "jupyterhub-user-ann": "y",
        "jupyterhub-hub-login": "z",
        "mine": "1",
    }
    seen = app.environ(cookie_header(cookies))
    assert seen["HTTP_COOKIE"] == "mine=1"
    everything = json.dumps(seen)
    assert not [key for key, value in browser.items() if value in everything]


def test_a_request_with_jupyters_cookies_alone_has_no_cookie_for_the_app(
    app: CountedApp, browser: dict[str, str]
) -> None:
    assert "HTTP_COOKIE" not in app.environ(cookie_header(browser))


@pytest.mark.parametrize("header", ['a=1; b="x y; z"; c', "a=1; a=2; A=3", "a=ü", "a=1;b=2"])
def test_the_apps_own_cookies_reach_it_as_they_were_sent(header: str, app: CountedApp) -> None:
    seen = app.environ(("Cookie", header))
    assert seen["HTTP_COOKIE"].replace("; ", ";") == header.replace("; ", ";")


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic " + base64.b64encode(b"ann:secret").decode(),
        'Digest username="ann", realm="r", nonce="n", uri="/", response="0"',
        "Bearer another.token.of-the-app",
        "token another-of-the-apps",
    ],
)
def test_the_apps_own_authorization_reaches_it(
    authorization: str, app: CountedApp, browser: dict[str, str]
) -> None:
    reply = app.ask(
        "", "GET", cookie_header(browser), ("Authorization", authorization), authorized=False
    )
    assert reply.status == 200, reply
    assert json.loads(reply.content)["HTTP_AUTHORIZATION"] == authorization


def test_the_apps_own_token_in_the_query_reaches_it(
    app: CountedApp, browser: dict[str, str]
) -> None:
    reply = app.ask("?token=abc&a=1", "GET", cookie_header(browser), authorized=False)
    assert reply.status == 200, reply
    assert json.loads(reply.content)["QUERY_STRING"] == "token=abc&a=1"


def test_a_form_field_named_token_is_the_apps(app: CountedApp, browser: dict[str, str]) -> None:
    body = f"token={app.server.token}".encode()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    stranger = app.ask("", "POST", form, body=body, authorized=False)
    assert refused(stranger)
    assert app.requests == 0
    reply = app.ask("", "POST", form, cookie_header(browser), body=b"token=abc", authorized=False)
    assert json.loads(reply.content)["body"] == "token=abc"


# What the app sends


@pytest.fixture
def cookies_of(kernel: Kernel, server: Server, name: str) -> Callable[..., list[str]]:
    """Serves an app that sets cookies, and gives those that reach the browser."""

    def cookies_of(*set_cookie: str) -> list[str]:
        kernel.serve(
            name,
            f"def app(environ, start_response):\n"
            f"    cookies = [('Set-Cookie', value) for value in {set_cookie!r}]\n"
            f"    start_response('204 No Content', cookies)\n"
            f"    return []\n",
        )
        reply = server.ask(f"/flaskserve/{name}/deep/page")
        return [value for key, value in reply.headers if key == "set-cookie"]

    return cookies_of


def attributes(cookie: str) -> dict[str, str]:
    """The attributes of a Set-Cookie, by name in lower case; the last of a name counts."""
    _, *parts = re.findall(r'(?:"[^"]*"|[^;"])+', cookie)
    return {
        key.strip().lower(): value.strip()
        for key, _, value in (part.partition("=") for part in parts)
    }


def path_in_the_browser(cookie: str, name: str) -> str:
    """The path to which a browser sends a cookie that ``deep/page`` has set (RFC 6265 §5.2.4)."""
    path = attributes(cookie).get("path", "")
    return path if path.startswith("/") else f"/flaskserve/{name}/deep"


@pytest.mark.parametrize(
    "cookie",
    [
        "a=1",
        "a=1; Path=/",
        "a=1; path=/",
        "a=1; Path=",
        "a=1; Path=/other",
        "a=1; Path=/api",
        "a=1; Path=relative",
        "a=1; Path=/; Path=/flaskserve",
        "a=1; Path=/flaskserve",
        "a=1;Path=/lab;HttpOnly",
        'a="x"; Path=/',
        "a=1; Path = / ",
        pytest.param(
            "a=1;\tPath=/",
            marks=pytest.mark.unvalidated("the validator refuses tabs, which RFC 9110 allows"),
        ),
        "a=1; Path=/flaskserve/../lab",
    ],
)
def test_a_cookie_is_confined_to_the_apps_address(
    cookie: str, cookies_of: Callable[..., list[str]], name: str
) -> None:
    (found,) = cookies_of(cookie)
    address = f"/flaskserve/{name}"
    path = path_in_the_browser(found, name)
    assert path == address or path.startswith(f"{address}/"), found


def test_a_session_cookie_is_sent_to_the_whole_app(
    cookies_of: Callable[..., list[str]], name: str
) -> None:
    (found,) = cookies_of("session=1; HttpOnly; Path=/")
    assert path_in_the_browser(found, name).rstrip("/") == f"/flaskserve/{name}"


def test_a_cookie_for_a_part_of_the_app_stays_there(
    cookies_of: Callable[..., list[str]], name: str
) -> None:
    (found,) = cookies_of(f"a=1; Path=/flaskserve/{name}/admin")
    assert attributes(found)["path"] == f"/flaskserve/{name}/admin"


def test_a_cookie_for_a_neighbour_with_a_longer_name_is_confined(
    cookies_of: Callable[..., list[str]], name: str
) -> None:
    (found,) = cookies_of(f"a=1; Path=/flaskserve/{name}-2")
    assert attributes(found)["path"] != f"/flaskserve/{name}-2"


@pytest.mark.parametrize("domain", ["127.0.0.1", "localhost", ".example.org", ""])
def test_a_cookies_domain_is_dropped(domain: str, cookies_of: Callable[..., list[str]]) -> None:
    (found,) = cookies_of(f"a=1; Domain={domain}; HttpOnly")
    assert "domain" not in attributes(found)
    assert "httponly" in attributes(found)


def test_the_rest_of_a_cookie_stays_as_it_was(cookies_of: Callable[..., list[str]]) -> None:
    (found,) = cookies_of(
        'a="x y=z"; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Max-Age=60; Secure; HttpOnly;'
        " SameSite=Lax; Partitioned"
    )
    assert found.startswith('a="x y=z";')
    rest = attributes(found)
    assert rest == {
        "expires": "Wed, 09 Jun 2027 10:18:14 GMT",
        "max-age": "60",
        "secure": "",
        "httponly": "",
        "samesite": "Lax",
        "partitioned": "",
    }


@pytest.mark.parametrize(
    "key",
    [
        "_xsrf",
        "username-127-0-0-1-8888",
        "username-localhost-8888",
        "jupyterhub-session-id",
        "jupyterhub-user-ann",
        "jupyterhub-hub-login",
    ],
)
@pytest.mark.jupyter_server("its cookies are Jupyter's")
def test_a_cookie_of_jupyters_name_does_not_reach_the_browser(
    key: str, cookies_of: Callable[..., list[str]]
) -> None:
    found = cookies_of(f"{key}=evil; Path=/", f" {key} =evil", "fine=1")
    assert [cookie.partition("=")[0] for cookie in found] == ["fine"]


@pytest.mark.jupyter_server("its cookies are Jupyter's")
def test_the_app_cannot_lock_the_user_out_of_jupyter(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        from flask import Flask, Response
        app = Flask(__name__)

        @app.route("/")
        def evil():
            response = Response("evil")
            response.set_cookie("_xsrf", "evil", path="/")
            response.set_cookie("username-127-0-0-1-%s" % 1, "evil", path="/")
            response.delete_cookie("_xsrf")
            response.headers["Clear-Site-Data"] = '"cookies", "storage"'
            return response
        """,
    )
    with httpx.Client(base_url=server.url, trust_env=False, follow_redirects=True) as browser:
        browser.get("tree", params={"token": server.token})
        before = dict(browser.cookies.items())
        assert browser.get(f"flaskserve/{name}/").text == "evil"
        after = dict(browser.cookies.items())
        assert {key: after.get(key) for key in before} == before
        made = browser.post("api/contents", headers={"X-XSRFToken": before["_xsrf"]}, json={})
        assert made.status_code == 201, made.text


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Clear-Site-Data", '"*"'),
        ("Service-Worker-Allowed", "/"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("Alt-Svc", 'h2="evil.example:443"'),
    ],
)
def test_a_header_that_would_act_on_all_of_jupyters_origin_is_dropped(
    header: str, value: str, kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        f"def app(environ, start_response):\n"
        f"    start_response('204 No Content', [({header!r}, {value!r}), ('X-A', '1')])\n"
        f"    return []\n",
    )
    reply = server.ask(f"/flaskserve/{name}/")
    assert reply.header(header) is None
    assert reply.header("x-a") == "1"


def test_the_token_in_the_query_logs_a_browser_in_and_nothing_more(
    app: CountedApp, server: Server
) -> None:
    """The login cookie that Jupyter gives for its token is Jupyter's; it may come or not, but
    it never carries the token."""
    reply = app.ask(f"?token={server.token}", authorized=False)
    for key, value in reply.headers:
        assert server.token not in value, key
