"""A large Flask app that others wrote: each endpoint of httpbin, through the server and directly.

Both answers must agree in status, headers and body. What may differ:

- ``Set-Cookie``: the server confines cookies to the mount's address, so only ``Path`` differs.
- ``Content-Security-Policy: frame-ancestors``: the server adds it, for httpbin has none.
- ``Connection``, ``Transfer-Encoding`` and ``Proxy-Authenticate``: they belong to the hop between
  server and client.
- ``Allow``: Flask lists a set there, in an order that differs from process to process.
- what httpbin makes from the clock or from chance; each such case says so in :data:`CHANGING`.
"""

from __future__ import annotations

import base64
import json
import re
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from httpbin import app as httpbin
from jupyter_processes import Kernel, Reply, Server
from werkzeug.test import EnvironBuilder, run_wsgi_app

NAME = "httpbin"
HOP = {"connection", "transfer-encoding", "proxy-authenticate"}


class Case(NamedTuple):
    """One request."""

    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        headers = " ".join(f"{key}={value[:20]}" for key, value in self.headers)
        return f"{self.method} {self.target} {headers}".strip()


FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=b")
BODIES = [
    ((FORM,), b"a=1&a=2&b=%C3%BC+x&token=mine"),
    ((JSON,), b'{"a": [1, "\xc3\xbc", null]}'),
    (
        (MULTIPART,),
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n\x00\xff\r\n'
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
    ),
    ((("Content-Type", "application/octet-stream"),), bytes(range(256)) * 300),
]
ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
BASIC = ("Authorization", "Basic " + base64.b64encode(b"ann:secret").decode())

CASES = [
    # The pages for people.
    *map(Case, ["/", "/legacy", "/spec.json", "/apidocs/index.html", "/oauth2-redirect.html"]),
    *map(Case, ["/flasgger_static/swagger-ui.css", "/flasgger_static/nothing", "/static/nothing"]),
    *map(Case, ["/html", "/xml", "/json", "/robots.txt", "/deny", "/forms/post", "/encoding/utf8"]),
    # Every method, what the request said, and bodies of each kind.
    *(Case("/anything", method) for method in ANY),
    *(Case("/anything/a%2Fb/%C3%BC;c=d//e%20f?x=1&x=2&y=%2F+%20&z", method) for method in ANY),
    *(
        Case(target, method, headers, body)
        for headers, body in BODIES
        for target, method in [
            ("/post", "POST"),
            ("/put", "PUT"),
            ("/patch", "PATCH"),
            ("/delete", "DELETE"),
            ("/anything", "POST"),
        ]
    ),
    Case("/get?a=1&b=2&b=3&c=%E6%97%A5"),
    Case("/get", "POST"),
    Case("/get", "HEAD"),
    Case("/get", "OPTIONS"),
    Case("/post"),
    Case("/nothing-here"),
    Case("/headers", headers=(("X-One", "1"), ("X-Two", "a, b"), ("Referer", "http://127.0.0.1/"))),
    Case("/user-agent"),
    Case("/ip"),
    Case("/uuid"),
    # Statuses.
    *(
        Case(f"/status/{status.value}", method)
        for status in HTTPStatus
        if status >= 200
        for method in ("GET", "POST")
    ),
    *(Case(f"/status/{status}") for status in ("299", "599", "200:1,500:0", "teapot")),
    *(Case("/status/204", method) for method in ANY),
    Case("/status/418", "HEAD"),
    # Redirects.
    *(Case(f"/{kind}redirect/{n}") for kind in ("", "relative-", "absolute-") for n in (1, 3)),
    Case("/redirect/2?absolute=true"),
    *(Case("/redirect-to?url=/flaskserve/httpbin/get&status_code=307", method) for method in ANY),
    Case("/redirect-to?url=http%3A%2F%2Fexample.com%2F%3Fa%3Db&status_code=301"),
    Case("/links/3"),
    Case("/links/3/1"),
    Case("/links/200/0"),
    # Authorization that is the app's own.
    Case("/basic-auth/ann/secret"),
    Case("/basic-auth/ann/secret", headers=(BASIC,)),
    Case("/basic-auth/ann/other", headers=(BASIC,)),
    Case("/hidden-basic-auth/ann/secret"),
    Case("/hidden-basic-auth/ann/secret", headers=(BASIC,)),
    Case("/bearer"),
    Case("/bearer", headers=(("Authorization", "Bearer the.apps.own"),)),
    Case("/digest-auth/auth/ann/secret"),
    Case("/digest-auth/auth/ann/secret/MD5"),
    Case("/digest-auth/auth-int/ann/secret/SHA-256/never"),
    # Cookies.
    Case("/cookies"),
    Case("/cookies", headers=(("Cookie", "a=1; b=two"),)),
    Case("/cookies/set/a/1"),
    Case("/cookies/set?a=1&b=2"),
    Case("/cookies/delete?a", headers=(("Cookie", "a=1"),)),
    # Headers of the response.
    Case("/response-headers?X-One=1&X-One=2&ETag=abc&Server=mine"),
    Case("/response-headers?X-One=1", "POST"),
    # Conditional requests, ranges and caches.
    Case("/cache"),
    Case("/cache", headers=(("If-None-Match", '"x"'),)),
    Case("/cache", headers=(("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"),)),
    Case("/cache/60"),
    Case("/etag/abc"),
    Case("/etag/abc", headers=(("If-None-Match", '"abc"'),)),
    Case("/etag/abc", headers=(("If-None-Match", 'W/"abc", "d"'),)),
    Case("/etag/abc", headers=(("If-Match", '"d"'),)),
    Case("/etag/abc", headers=(("If-Match", "*"),)),
    Case("/range/1000"),
    Case("/range/1000", headers=(("Range", "bytes=10-19"),)),
    Case("/range/1000", headers=(("Range", "bytes=-5"),)),
    Case("/range/1000", headers=(("Range", "bytes=2000-3000"),)),
    Case("/range/1000?duration=0&chunk_size=7"),
    # Encodings and images.
    *map(Case, ["/gzip", "/deflate", "/brotli"]),
    *map(Case, ["/image/png", "/image/jpeg", "/image/svg", "/image/webp"]),
    *(
        Case("/image", headers=(("Accept", kind),))
        for kind in ("image/webp", "image/*", "text/plain")
    ),
    Case("/base64/SFRUUEJJTiBpcyBhd2Vzb21l"),
    Case("/base64/nonsense"),
    # Bodies that come in parts, or late.
    Case("/stream/5"),
    Case("/stream/100"),
    Case("/bytes/100000?seed=1"),
    Case("/bytes/0"),
    Case("/stream-bytes/100000?seed=1&chunk_size=100"),
    Case("/drip?duration=0.2&numbytes=20&delay=0"),
    Case("/drip?duration=0.2&numbytes=20&code=500"),
    *(Case("/delay/0.1", method) for method in ANY),
]


class Change(NamedTuple):
    """What chance or the clock change from answer to answer.

    :ivar header: the header whose value changes.
    :ivar body: whether the body changes.
    """

    header: frozenset[str] = frozenset()
    body: bool = False


CHANGING = {
    "/uuid": Change(body=True),
    "/cache": Change(header=frozenset({"etag", "last-modified"})),
    "/digest-auth": Change(header=frozenset({"www-authenticate", "set-cookie"})),
}


@pytest.fixture(scope="module")
def mounted(kernel: Kernel, server: Server) -> tuple[Server, tuple[str, str]]:
    """httpbin in a kernel, and the cookies of a browser that has logged in."""
    kernel.serve(NAME, "from httpbin import app")
    cookies = "; ".join(f"{key}={value}" for key, value in server.login().items())
    return server, ("Cookie", cookies)


def through_the_server(server: Server, login: tuple[str, str], case: Case) -> Reply:
    cookies = [value for key, value in [login, *case.headers] if key == "Cookie"]
    headers = [header for header in case.headers if header[0] != "Cookie"]
    headers.append(("Cookie", "; ".join(cookies)))
    headers.append(("User-Agent", "walker/1.0"))
    if case.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
        headers.append(("Origin", f"http://127.0.0.1:{server.port}"))
    return server.ask(
        f"/flaskserve/{NAME}{case.target}", case.method, headers, case.body, authorized=False
    )


def directly(server: Server, case: Case) -> Reply:
    """The same request as a call of the app, with nothing in between."""
    headers = [*case.headers, ("User-Agent", "walker/1.0")]
    if case.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
        headers.append(("Origin", f"http://127.0.0.1:{server.port}"))
    path, _, query = case.target.partition("?")
    environ = EnvironBuilder(
        path=path,
        query_string=query,
        method=case.method,
        base_url=f"http://127.0.0.1:{server.port}/flaskserve/{NAME}/",
        headers=headers,
        data=case.body or None,
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
    ).get_environ()
    environ["PATH_INFO"] = unquote(path, "latin-1")
    environ["REQUEST_URI"] = environ["RAW_URI"] = f"/flaskserve/{NAME}{case.target}"
    parts, status, answer_headers = run_wsgi_app(httpbin, environ, buffered=True)
    code, _, reason = status.partition(" ")
    return Reply(
        "HTTP/1.1",
        int(code),
        reason,
        [(key.lower(), value) for key, value in answer_headers],
        b"".join(parts),
    )


def comparable(reply: Reply, change: Change) -> list[tuple[str, str]]:
    """The headers of an answer, without what may differ."""
    found = []
    for key, value in reply.headers:
        if key in HOP or (key, value) == ("content-security-policy", "frame-ancestors 'self'"):
            continue
        if key in change.header:
            value = "…"
        elif key == "allow":
            value = ", ".join(sorted(value.split(", ")))
        elif key == "set-cookie":
            value = re.sub(r"(?i);\s*path=[^;]*", "", value)
        found.append((key, value))
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_endpoint_answers_through_the_server_as_it_does_directly(
    case: Case, mounted: tuple[Server, tuple[str, str]]
) -> None:
    server, login = mounted
    change = next(
        (
            change
            for start, change in CHANGING.items()
            if re.match(rf"{start}(/[a-z]|\?|$)", case.target)
        ),
        Change(),
    )
    reply = through_the_server(server, login, case)
    expected = directly(server, case)
    assert (reply.status, reply.reason) == (expected.status, expected.reason)
    assert comparable(reply, change) == comparable(expected, change)
    if change.body:
        assert len(reply.content) == len(expected.body)
    elif case.method == "HEAD":
        assert reply.body == b""
    else:
        assert reply.content == expected.body


def test_every_endpoint_of_httpbin_is_walked() -> None:
    adapter = httpbin.url_map.bind("127.0.0.1")
    walked = set()
    for case in CASES:
        path = unquote(urlsplit(case.target).path)
        if adapter.test(path, case.method):
            rule, _ = adapter.match(path, case.method, return_rule=True)
            walked.add((rule.rule, case.method))
    there = {
        (rule.rule, method)
        for rule in httpbin.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert there - walked == set()


def test_digest_authentication_completes(mounted: tuple[Server, tuple[str, str]]) -> None:
    """Challenge and response, with the cookie that httpbin wants back."""
    server, login = mounted
    with httpx.Client(trust_env=False, auth=httpx.DigestAuth("ann", "secret")) as client:
        client.headers["Cookie"] = f"{login[1]}; fake=fake_value"
        answer = client.get(f"{server.url}flaskserve/{NAME}/digest-auth/auth/ann/secret")
    assert (answer.status_code, answer.json()) == (200, {"authenticated": True, "user": "ann"})


def test_httpbin_sees_nothing_of_jupyters(mounted: tuple[Server, tuple[str, str]]) -> None:
    server, login = mounted
    seen = json.loads(through_the_server(server, login, Case("/anything?show_env=1")).content)
    assert seen["headers"] == {"Host": f"127.0.0.1:{server.port}", "User-Agent": "walker/1.0"}
