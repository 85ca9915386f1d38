"""HTTP as an app and its clients know it, through a real server and a real kernel."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from jupyter_processes import Kernel, Reply, Server, read_until

ECHO = """
import hashlib
import json

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    seen["body"] = body.decode("latin-1")
    answer = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(answer)))])
    return [answer]
"""

# What belongs to the hop between server and client, and not to the app's answer.
HOP = {"connection", "transfer-encoding", "keep-alive"}
FRAMES = "content-security-policy"


def end_to_end(reply: Reply) -> list[tuple[str, str]]:
    """The headers without those of the hop and without our own ``frame-ancestors``."""
    kept = [header for header in reply.headers if header[0] not in HOP]
    ours = [value for key, value in kept if key == FRAMES and value.startswith("frame-ancestors")]
    assert len(ours) <= 1
    return [(key, value) for key, value in kept if (key, value) != (FRAMES, "".join(ours))]


@pytest.fixture(scope="module")
def echo(kernel: Kernel) -> str:
    """The address of an app that answers with its environ."""
    kernel.serve("echo", ECHO)
    return "/flaskserve/echo/"


def environ_of(server: Server, target: str, **request: Any) -> dict[str, str]:
    reply = server.ask(f"/flaskserve/echo/{target}", **request)
    assert reply.status == 200, reply
    seen: dict[str, str] = json.loads(reply.content)
    return seen


# Methods, paths and queries


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_method_reaches_the_app(method: str, server: Server, echo: str) -> None:
    assert environ_of(server, "", method=method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize("method", ["PROPFIND", "M-SEARCH", "BREW"])
def test_a_method_that_tornado_does_not_know_reaches_the_app(
    method: str, server: Server, echo: str
) -> None:
    seen = environ_of(server, "", method=method, body=b"what it carries")
    assert (seen["REQUEST_METHOD"], seen["body"]) == (method, "what it carries")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_a_body_reaches_the_app_with_any_method(method: str, server: Server, echo: str) -> None:
    body = bytes(range(256))
    assert environ_of(server, "", method=method, body=body)["body"].encode("latin-1") == body


def test_head_reaches_the_app_and_its_answer_has_no_body(
    kernel: Kernel, server: Server, browser: tuple[str, str], name: str
) -> None:
    kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("X-Method", environ["REQUEST_METHOD"]),
                                      ("Content-Length", "5"), ("Content-Type", "text/plain")])
            return [b"hello"]
        """,
    )
    reply = server.ask(f"/flaskserve/{name}/", "HEAD", [browser], authorized=False)
    assert (reply.status, reply.body) == (200, b"")
    assert end_to_end(reply) == [
        ("x-method", "HEAD"),
        ("content-length", "5"),
        ("content-type", "text/plain"),
    ]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("", b"/"),
        ("a/b", b"/a/b"),
        ("a/", b"/a/"),
        ("a%2Fb", b"/a/b"),
        ("gr%C3%BC%C3%9Fe", "/grüße".encode()),
        ("%E6%97%A5", "/日".encode()),
        ("gr\xc3\xbc\xc3\x9fe", "/grüße".encode()),  # not escaped, as some clients send it
        ("%FF%fe", b"/\xff\xfe"),
        ("/double//slashes", b"//double//slashes"),
        ("a;b=c", b"/a;b=c"),
        ("a%20b+c", b"/a b+c"),
        ("a%3Fb%23c", b"/a?b#c"),
        ("%25", b"/%"),
        ("100%", b"/100%"),
        ("a/../b/./c", b"/a/../b/./c"),
        ("a%0D%0AX:1", b"/a\r\nX:1"),
        ("'\"<>|^`{}", b"/'\"<>|^`{}"),
        ("echo", b"/echo"),
        ("x" * 4000, b"/" + b"x" * 4000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_path_reaches_the_app_as_it_was_sent(
    target: str, path: bytes, server: Server, echo: str
) -> None:
    seen = environ_of(server, target)
    assert seen["PATH_INFO"].encode("latin-1") == path
    assert seen["SCRIPT_NAME"] == "/flaskserve/echo"


def test_the_address_without_its_last_slash_leads_to_the_app(server: Server, echo: str) -> None:
    reply = server.ask("/flaskserve/echo?a=1")
    if reply.status == 200:
        assert json.loads(reply.content)["PATH_INFO"] == ""
    else:
        assert reply.status in (301, 302, 307, 308)
        assert reply.header("location") == "/flaskserve/echo/?a=1"


@pytest.mark.parametrize(
    "query", ["a=1&a=2", "", "a=%FF&b=%2F+%20", "&&==", "a=?b/c", "redirect=//x", "q=%E6%97%A5"]
)
def test_a_query_reaches_the_app_as_it_was_sent(query: str, server: Server, echo: str) -> None:
    assert environ_of(server, f"p?{query}")["QUERY_STRING"] == query


def test_the_environ_tells_the_browsers_address(server: Server, echo: str) -> None:
    seen = environ_of(server, "", headers=[("Host", f"localhost:{server.port}")])
    assert seen["HTTP_HOST"] == f"localhost:{server.port}"
    assert seen["SERVER_PORT"] == str(server.port)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"


FORWARDED = [
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Real-Ip", "192.0.2.7"),
]


def test_what_a_client_says_of_a_proxy_is_not_believed(server: Server, echo: str) -> None:
    seen = environ_of(server, "", headers=FORWARDED)
    assert (seen["wsgi.url_scheme"], seen["REMOTE_ADDR"]) == ("http", "127.0.0.1")
    assert "HTTPS" not in seen


def test_what_a_trusted_proxy_says_is_believed(new_server: Callable[..., Server]) -> None:
    server = new_server(config="c.ServerApp.trust_xheaders = True")
    server.kernel().serve("echo", ECHO)
    seen = environ_of(server, "", headers=[*FORWARDED, ("Host", "127.0.0.1")])
    assert (seen["wsgi.url_scheme"], seen["REMOTE_ADDR"]) == ("https", "192.0.2.7")
    assert (seen["SERVER_PORT"], seen["HTTPS"]) == ("443", "on")


def test_request_headers_reach_the_app_and_those_of_the_hop_do_not(
    server: Server, echo: str
) -> None:
    seen = environ_of(
        server,
        "",
        headers=[
            ("Accept-Encoding", "br, gzip"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
            ("X-Latin", "\xfc"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("Upgrade-Insecure-Requests", "1"),
        ],
    )
    assert seen["HTTP_ACCEPT_ENCODING"] == "br, gzip"
    assert seen["HTTP_X_TWICE"].replace(" ", "") == "1,2"
    assert seen["HTTP_X_LATIN"] == "\xfc"
    assert seen["HTTP_UPGRADE_INSECURE_REQUESTS"] == "1"
    assert not {"HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_TE"} & seen.keys()


def test_headers_that_would_pass_for_others_in_an_environ_are_dropped(
    server: Server, echo: str
) -> None:
    seen = environ_of(
        server,
        "",
        headers=[("Proxy", "http://evil.example"), ("X_Real_User", "root"), ("X-Real-User", "ann")],
    )
    assert "HTTP_PROXY" not in seen
    assert seen["HTTP_X_REAL_USER"] == "ann"


def test_a_chunked_body_reaches_the_app(server: Server, echo: str) -> None:
    seen = environ_of(
        server,
        "",
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    )
    assert seen["body"] == "hello world"
    assert "HTTP_TRANSFER_ENCODING" not in seen


def test_a_body_of_no_length_is_empty(server: Server, echo: str) -> None:
    seen = environ_of(server, "", method="POST", headers=[("Content-Length", "0")])
    assert seen["body"] == ""


def test_a_client_that_expects_100_is_told_to_go_on(server: Server, echo: str) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /flaskserve/echo/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\nContent-Length: 5\r\n"
            + f"Authorization: token {server.token}\r\n\r\n".encode()
        )
        interim = read_until(connection, b"\r\n\r\n")
        assert interim.startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert b'"body": "hello"' in read_until(connection, b"}")


# Flask


FLASK = """
from flask import Blueprint, Flask, jsonify, make_response, redirect, request, session, url_for
app = Flask(__name__)
app.secret_key = "a secret of the app's own"
"""


@pytest.fixture
def flask(kernel: Kernel, name: str) -> Callable[[str], httpx.Client]:
    """Serves a Flask app whose views are given."""
    return lambda views: kernel.serve(name, FLASK + views)


def test_a_form_is_read_by_the_view(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
@app.post("/")
def form():
    return jsonify(request.form.to_dict(flat=False))
"""
    )
    answer = client.post("", data={"name": "Ännchen", "color": ["red", "blue"], "token": "mine"})
    assert answer.json() == {"name": ["Ännchen"], "color": ["red", "blue"], "token": ["mine"]}


def test_files_are_uploaded_whole(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
import hashlib
@app.post("/")
def upload():
    return jsonify({
        "note": request.form["note"],
        "files": [
            [file.filename, file.mimetype, hashlib.sha256(file.read()).hexdigest()]
            for file in request.files.getlist("file")
        ],
    })
"""
    )

    contents = [bytes(range(256)) * 20_000, b""]
    answer = client.post(
        "",
        data={"note": "two files"},
        files=[
            ("file", ("größe.bin", contents[0], "application/octet-stream")),
            ("file", ("empty.txt", contents[1], "text/plain")),
        ],
    )
    assert answer.json() == {
        "note": "two files",
        "files": [
            ["größe.bin", "application/octet-stream", hashlib.sha256(contents[0]).hexdigest()],
            ["empty.txt", "text/plain", hashlib.sha256(contents[1]).hexdigest()],
        ],
    }


def test_json_goes_both_ways(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
@app.put("/")
def put():
    return jsonify({"got": request.get_json()})
"""
    )
    value = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    answer = client.put("", json=value)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"got": value}


def test_a_session_lasts_from_request_to_request(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
@app.route("/")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])
"""
    )
    assert [client.get("").text for _ in range(3)] == ["1", "2", "3"]


def test_the_apps_cookies_come_back_to_it(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
@app.route("/set")
def set_cookies():
    response = make_response("set")
    response.set_cookie("plain", "1")
    response.set_cookie("quoted", 'a "b"; c=ü')
    return response

@app.route("/get")
def get_cookies():
    return jsonify(request.cookies.to_dict())
"""
    )
    client.get("set")
    found = client.get("get").json()
    assert {key: found.get(key) for key in ("plain", "quoted")} == {
        "plain": "1",
        "quoted": 'a "b"; c=ü',
    }


def test_addresses_that_flask_makes_lead_back_to_the_app(
    flask: Callable[[str], httpx.Client], server: Server, name: str
) -> None:
    client = flask(
        """
@app.route("/from")
def start():
    return redirect(url_for("end", word="a b"))

@app.route("/to/<word>/")
def end(word):
    return jsonify([word, url_for("start"), url_for("start", _external=True), request.url])

blueprint = Blueprint("shop", __name__, url_prefix="/shop")

@blueprint.route("/item")
def item():
    return url_for(".item") + " " + url_for("start")

app.register_blueprint(blueprint)
"""
    )
    prefix = f"/flaskserve/{name}"
    moved = client.get("from")
    assert (moved.status_code, moved.headers["location"]) == (302, f"{prefix}/to/a%20b/")
    end = client.get("from", follow_redirects=True)
    here = f"http://127.0.0.1:{server.port}{prefix}"
    assert end.json() == ["a b", f"{prefix}/from", f"{here}/from", f"{here}/to/a%20b/"]
    slash = client.get("to/x")
    assert slash.status_code == 308
    assert slash.headers["location"] == f"{here}/to/x/"
    assert client.get("shop/item").text == f"{prefix}/shop/item {prefix}/from"


def test_an_app_below_a_base_url_knows_its_address(
    new_server: Callable[..., Server],
) -> None:
    server = new_server(base_url="/user/%C3%A4nn%20b/")
    client = server.kernel().serve(
        "demo",
        FLASK
        + """
@app.route("/a")
def a():
    return jsonify([url_for("a"), url_for("a", _external=True), request.script_root])

@app.route("/b")
def b():
    return redirect(url_for("a"))
""",
    )
    here = "/user/änn b/flaskserve/demo"
    # Flask leaves it to the browser to escape the prefix, except in Location.
    assert [unquote(url) for url in client.get("a").json()] == [
        f"{here}/a",
        f"http://127.0.0.1:{server.port}{here}/a",
        here,
    ]
    assert client.get("b").headers["location"] == quote(f"{here}/a")
    assert client.get("b", follow_redirects=True).status_code == 200
    assert server.mounts()["demo"]["path"] == quote(f"{here}/")


def test_an_error_page_is_the_apps_own(flask: Callable[[str], httpx.Client]) -> None:
    client = flask(
        """
@app.errorhandler(404)
def missing(error):
    return "the app's own page", 404

@app.route("/only-get")
def only_get():
    return ""
"""
    )
    answer = client.get("nowhere")
    assert (answer.status_code, answer.text) == (404, "the app's own page")
    refused = client.post("only-get")
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_templates_and_static_files_lie_beside_the_notebook(
    server: Server, new_kernel: Callable[..., Kernel], name: str
) -> None:
    folder = server.notebooks / "course" / "week 2"
    (folder / "templates").mkdir(parents=True)
    (folder / "static").mkdir()
    (folder / "templates" / "page.html").write_text(
        "<link href=\"{{ url_for('static', filename='s.css') }}\">Hello {{ name }}"
    )
    (folder / "static" / "s.css").write_text("p { color: red }")
    client = new_kernel("course/week 2/Lesson 3.ipynb").serve(
        name,
        """
from flask import Flask, render_template
app = Flask(__name__)

@app.route("/")
def page():
    return render_template("page.html", name="<you>")
""",
    )
    link = f"/flaskserve/{name}/static/s.css"
    assert client.get("").text == f'<link href="{link}">Hello &lt;you&gt;'
    style = client.get("static/s.css")
    assert (style.text, style.headers["content-type"]) == (
        "p { color: red }",
        "text/css; charset=utf-8",
    )


@pytest.fixture
def movie(flask: Callable[[str], httpx.Client], server: Server) -> tuple[httpx.Client, bytes]:
    """An app with a static file of 300,000 bytes, ``static/movie.bin``."""
    (server.notebooks / "static").mkdir(exist_ok=True)
    content = bytes(range(250)) * 1200
    (server.notebooks / "static" / "movie.bin").write_bytes(content)
    return flask(""), content


def test_a_static_file_comes_whole_with_its_validators(movie: tuple[httpx.Client, bytes]) -> None:
    client, content = movie
    answer = client.get("static/movie.bin")
    assert answer.content == content
    assert answer.headers["content-length"] == "300000"
    assert {"etag", "last-modified", "cache-control"} <= answer.headers.keys()


@pytest.mark.parametrize(
    ("range", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=-7", 299_993, 300_000),
        ("bytes=250000-", 250_000, 300_000),
    ],
)
def test_a_part_of_a_static_file_is_a_206(
    range: str, start: int, stop: int, movie: tuple[httpx.Client, bytes]
) -> None:
    client, content = movie
    part = client.get("static/movie.bin", headers={"Range": range})
    assert part.status_code == 206
    assert part.content == content[start:stop]
    assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/300000"
    assert part.headers["content-length"] == str(stop - start)


def test_a_range_beyond_the_file_is_a_416(movie: tuple[httpx.Client, bytes]) -> None:
    client, _ = movie
    refused = client.get("static/movie.bin", headers={"Range": "bytes=400000-"})
    assert refused.status_code == 416
    assert refused.headers["content-range"] == "bytes */300000"


def test_conditional_requests_are_answered_by_the_app(movie: tuple[httpx.Client, bytes]) -> None:
    client, content = movie
    whole = client.get("static/movie.bin")
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    for condition in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
        unchanged = client.get("static/movie.bin", headers=condition)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == etag
        assert "content-length" not in unchanged.headers
    assert client.get("static/movie.bin", headers={"If-None-Match": '"x"'}).content == content
    fresh = {"Range": "bytes=0-9", "If-Range": etag}
    assert client.get("static/movie.bin", headers=fresh).content == content[:10]
    stale = {"Range": "bytes=0-9", "If-Range": '"x"'}
    assert client.get("static/movie.bin", headers=stale).content == content


# What the app said is what the client gets


@pytest.fixture(scope="module")
def browser(server: Server) -> tuple[str, str]:
    """The ``Cookie`` header of a browser that has logged in."""
    return ("Cookie", "; ".join(f"{key}={value}" for key, value in server.login().items()))


@pytest.fixture
def say(
    kernel: Kernel, server: Server, browser: tuple[str, str], name: str
) -> Callable[..., Reply]:
    """Serves an app that gives exactly this answer, and asks it once as a browser does."""

    def say(
        status: str,
        headers: list[tuple[str, str]],
        body: bytes = b"",
        *,
        method: str = "GET",
        sent: Iterable[tuple[str, str]] = (),
    ) -> Reply:
        kernel.serve(
            name,
            f"def app(environ, start_response):\n"
            f"    start_response({status!r}, {headers!r})\n"
            f"    return [{body!r}]\n",
        )
        return server.ask(f"/flaskserve/{name}/", method, [browser, *sent], authorized=False)

    return say


@pytest.mark.parametrize(
    "status",
    [
        "200 OK",
        "200 Fine",
        "201 Created",
        "203 Non-Authoritative Information",
        "299 Hm Well",
        "400 Bad Request",
        "401 Unauthorized",
        "402 Payment Required",
        "410 Gone",
        "418 I'M A TEAPOT",
        "451 Unavailable For Legal Reasons",
        "500 Internal Server Error",
        "503 Service Unavailable",
        "599 Whatever",
        "999 Out There",
    ],
)
def test_a_status_and_its_reason_reach_the_client(status: str, say: Callable[..., Reply]) -> None:
    reply = say(status, [("Content-Type", "text/plain"), ("Content-Length", "4")], b"body")
    assert f"{reply.status} {reply.reason}" == status
    assert reply.body == b"body"
    assert end_to_end(reply) == [("content-type", "text/plain"), ("content-length", "4")]


def test_an_empty_reason_stays_empty(say: Callable[..., Reply]) -> None:
    reply = say("200 ", [("Content-Length", "0")])
    assert (reply.status, reply.reason) == (200, "")


def test_no_header_is_added_to_those_of_the_app(say: Callable[..., Reply]) -> None:
    reply = say("200 OK", [("Content-Length", "2")], b"ok")
    assert end_to_end(reply) == [("content-length", "2")]
    assert [key for key, _ in reply.headers].count(FRAMES) == 1


def test_a_program_that_sends_the_token_gets_no_header_but_the_apps(
    say: Callable[..., Reply], server: Server, name: str
) -> None:
    say("200 OK", [("Content-Length", "2")], b"ok")
    reply = server.ask(f"/flaskserve/{name}/")
    assert end_to_end(reply) == [("content-length", "2")]


def test_headers_keep_their_order_and_their_repetitions(say: Callable[..., Reply]) -> None:
    headers = [
        ("x-b", "1"),
        ("set-cookie", "a=1"),
        ("x-a", "2"),
        ("link", "<a>; rel=next"),
        ("x-b", "3"),
        ("set-cookie", "b=2"),
        ("link", "<b>; rel=prev"),
        ("content-length", "0"),
        ("x-b", "1"),
    ]
    reply = say("200 OK", headers)
    found = [
        (key, value.partition(";")[0] if key == "set-cookie" else value)
        for key, value in end_to_end(reply)
    ]
    assert found == headers


def test_values_of_headers_reach_the_client_as_bytes(say: Callable[..., Reply]) -> None:
    headers = [("x-latin", "gr\xfc\xdfe"), ("x-empty", ""), ("content-length", "0")]
    assert end_to_end(say("200 OK", headers)) == headers


def test_server_and_date_of_the_app_are_kept(say: Callable[..., Reply]) -> None:
    headers = [
        ("server", "my-own/1.0"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("etag", 'W/"x"'),
        ("content-length", "0"),
    ]
    assert end_to_end(say("200 OK", headers)) == headers


def test_a_matching_etag_does_not_turn_a_200_into_a_304(say: Callable[..., Reply]) -> None:
    reply = say(
        "200 OK",
        [("etag", '"x"'), ("content-length", "4")],
        b"body",
        sent=[("If-None-Match", '"x"')],
    )
    assert (reply.status, reply.body) == (200, b"body")


def test_an_encoded_body_stays_encoded(say: Callable[..., Reply]) -> None:
    body = b"\x1f\x8bnot even gzip"
    headers = [("content-encoding", "gzip"), ("content-length", str(len(body)))]
    reply = say("200 OK", headers, body, sent=[("Accept-Encoding", "identity")])
    assert (end_to_end(reply), reply.body) == (headers, body)


def test_the_apps_own_frame_ancestors_are_the_only_ones(say: Callable[..., Reply]) -> None:
    policy = "default-src 'self'; frame-ancestors https://school.example"
    headers = [("content-security-policy", policy), ("content-length", "0")]
    reply = say("200 OK", headers)
    assert [header for header in reply.headers if header[0] not in HOP] == headers


def test_a_policy_without_frame_ancestors_stays_and_ours_comes_beside_it(
    say: Callable[..., Reply],
) -> None:
    headers = [("content-security-policy", "img-src *"), ("content-length", "0")]
    reply = say("200 OK", headers)
    assert end_to_end(reply) == headers
    assert len(reply.headers) == len(headers) + 2  # ours, and Connection


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_neither_body_nor_length(
    status: str, say: Callable[..., Reply]
) -> None:
    reply = say(status, [("X-A", "1")])
    assert f"{reply.status} {reply.reason}" == status
    assert reply.body == b""
    assert end_to_end(reply) == [("x-a", "1")]
    assert reply.header("transfer-encoding") is None


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_with_a_status_that_has_none_is_dropped(
    status: str, say: Callable[..., Reply]
) -> None:
    reply = say(status, [("X-A", "1")], b"a body against the rules")
    assert (f"{reply.status} {reply.reason}", reply.body) == (status, b"")


@pytest.mark.parametrize("length", [None, "10"])
def test_head_has_the_headers_of_get(length: str | None, say: Callable[..., Reply]) -> None:
    headers = [("content-type", "text/plain")] + ([("content-length", length)] if length else [])
    reply = say("200 OK", headers, b"ten bytes!" if length else b"", method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert end_to_end(reply) == headers


def test_hop_by_hop_headers_of_an_app_do_not_leave_the_kernel(
    say: Callable[..., Reply],
) -> None:
    reply = say("200 OK", [("Keep-Alive", "timeout=9"), ("X-A", "1"), ("Content-Length", "0")])
    assert reply.header("keep-alive") is None
    assert reply.header("x-a") == "1"


# Connections


def request_bytes(server: Server, target: str, version: str = "1.1", *headers: str) -> bytes:
    lines = [
        f"GET {target} HTTP/{version}",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: token {server.token}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def next_reply(connection: socket.socket) -> tuple[Reply, bytes]:
    """One response with a Content-Length, and what was read beyond it."""
    data = read_until(connection, b"\r\n\r\n")
    length = int(Reply.parse(data).header("content-length") or 0)
    head = data.index(b"\r\n\r\n") + 4
    while len(data) < head + length:
        data += connection.recv(65536)
    return Reply.parse(data[: head + length]), data[head + length :]


def test_http_1_0_closes_the_connection_and_is_not_chunked(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("X-Protocol", environ["SERVER_PROTOCOL"])])
            yield b"no "
            yield b"length"
        """,
    )
    reply = Reply.parse(server.raw(request_bytes(server, f"/flaskserve/{name}/", "1.0")))
    assert (reply.status, reply.body) == (200, b"no length")
    assert reply.header("transfer-encoding") is None
    assert reply.header("x-protocol") == "HTTP/1.0"


def test_http_1_0_with_keep_alive_serves_a_second_request(server: Server, echo: str) -> None:
    request = request_bytes(server, "/flaskserve/echo/", "1.0", "Connection: keep-alive")
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(request)
            reply, rest = next_reply(connection)
            assert (reply.status, rest) == (200, b"")
            assert (reply.header("connection") or "").lower() == "keep-alive"


def test_a_connection_serves_many_requests(server: Server, echo: str) -> None:
    with server.connect() as connection:
        for number in range(20):
            connection.sendall(request_bytes(server, f"/flaskserve/echo/{number}"))
            reply, rest = next_reply(connection)
            assert json.loads(reply.content)["PATH_INFO"] == f"/{number}"
            assert rest == b""


def test_pipelined_requests_are_answered_in_order(server: Server, echo: str) -> None:
    requests = [request_bytes(server, f"/flaskserve/echo/{number}") for number in range(10)]
    requests.append(request_bytes(server, "/flaskserve/echo/last", "1.1", "Connection: close"))
    data = server.raw(b"".join(requests))
    paths = []
    while data:
        length = int(Reply.parse(data).header("content-length") or 0)
        body = data.index(b"\r\n\r\n") + 4
        paths.append(json.loads(data[body : body + length])["PATH_INFO"])
        data = data[body + length :]
    assert paths == [*(f"/{number}" for number in range(10)), "/last"]


def test_a_body_that_the_app_does_not_read_does_not_disturb_the_next_request(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "6")])
            return [b"unread"]
        """,
    )
    for size in (10, 100_000, 3_000_000):
        assert client.post("", content=b"GET / HTTP/1.1\r\n\r\n" * (size // 18)).text == "unread"


# WSGI apps that are not Flask's


def test_a_generator_is_a_wsgi_app(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b""
            yield b"one "
            yield b"two"
        """,
    )
    assert client.get("").text == "one two"


def test_an_app_may_use_write(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        def app(environ, start_response):
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            write(b"written ")
            write(b"and ")
            return [b"returned"]
        """,
    )
    assert client.get("").text == "written and returned"


def test_an_object_with_call_is_a_wsgi_app_and_its_iterable_is_closed(
    kernel: Kernel, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        closed = []

        class Body:
            def __iter__(self):
                return iter([b"a", b"b"])
            def close(self):
                closed.append(True)

        class App:
            def __call__(self, environ, start_response):
                start_response("200 OK", [])
                return Body()
        """,
        app="App()",
    )
    assert client.get("").text == "ab"
    assert kernel.run("print(len(closed))").stdout == "1\n"


def test_the_environ_passes_the_standard_librarys_validator(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        from wsgiref.validate import validator

        def application(environ, start_response):
            body = environ["wsgi.input"].read(100)
            environ["wsgi.errors"].write("")
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"valid " + body]
        """,
        app="validator(application)",
    )
    assert client.get("a?b=c").text == "valid "
    assert client.post("", content=b"body").text == "valid body"


def test_a_head_of_many_kilobytes_reaches_the_client(say: Callable[..., Reply]) -> None:
    headers = [(f"x-{number}", "v" * 500) for number in range(100)] + [("content-length", "0")]
    assert end_to_end(say("200 OK", headers)) == headers


@pytest.mark.parametrize("size", [0, 1, 65_528, 65_535, 65_536, 1_000_000])
def test_a_body_of_any_size_comes_whole(size: int, kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        f"""
        def app(environ, start_response):
            body = bytes(i % 251 for i in range({size}))
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        """,
    )
    assert client.get("").content == bytes(i % 251 for i in range(size))
