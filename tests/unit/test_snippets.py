"""Code that sends a request once more. Each piece is run, and what comes of it looked at."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flask
import pytest
from recorded_exchanges import PREFIX, Recorder, answer
from werkzeug.serving import WSGIRequestHandler, make_server

from jupyter_flaskserve.kernel.exchanges.exchange import Exchange
from jupyter_flaskserve.kernel.exchanges.masking import MASK


class Received(NamedTuple):
    """What an app got."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None: ...


class Echo:
    """A Flask app that notes what it gets, and an address where it is served."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.app = flask.Flask("echo")
        self.app.url_map.merge_slashes = False
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]
        for rule in ("/", "/<path:path>"):
            self.app.add_url_rule(rule, "note", self.note, methods=methods)
        self.address = ""

    def note(self, path: str = "") -> flask.Response:
        request = flask.request
        target = request.environ.get("RAW_URI") or request.full_path.rstrip("?")
        self.received.append(
            Received(request.method, target, dict(request.headers), request.get_data())
        )
        return flask.Response("é", 302, {"Location": "/elsewhere"})


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    server = make_server("127.0.0.1", 0, echo.app, request_handler=Quiet)
    echo.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield echo
    server.shutdown()
    thread.join()
    server.server_close()


def with_curl(exchange: Exchange, echo: Echo, **options: Any) -> str:
    code = exchange.as_curl(**options)
    command = code.replace("example.org:8888", echo.address)
    result = subprocess.run(["sh"], input=command, text=True, capture_output=True, timeout=30)
    assert result.returncode == 0, (command, result.stderr)
    return code


def with_requests(exchange: Exchange, echo: Echo, **options: Any) -> str:
    code = exchange.as_requests(**options)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code.replace("example.org:8888", echo.address), {})
    assert out.getvalue().startswith("302 ")
    return code


def with_test_client(exchange: Exchange, echo: Echo, **options: Any) -> str:
    code = exchange.as_test_client(**options)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"app": echo.app})
    assert out.getvalue().startswith("302 ")
    return code


WAYS = [
    pytest.param(
        with_curl,
        marks=pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl"),
        id="curl",
    ),
    pytest.param(with_requests, id="requests"),
    pytest.param(with_test_client, id="test client"),
]
Way = Callable[..., str]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", "/", [], b""),
        ("GET", "/a%20b/caf%C3%A9?x=1&y=a%26b&list[]=1&q={}", [("X-It", "it's \"$HOME\"")], b""),
        ("DELETE", "/items/7", [("X-Empty", "")], b""),
        ("OPTIONS", "/", [], b""),
        ("BREW", "/pot", [], b"tea"),
        ("POST", "/form", [("Content-Type", "application/x-www-form-urlencoded")], b"a=1&b=%20"),
        ("PUT", "/json", [("Content-Type", "application/json")], b'{"a": "it\'s",\n"b": "$(ls)"}'),
        ("POST", "/at", [("Content-Type", "text/plain")], b"@/etc/passwd"),
        ("POST", "/untyped", [], "é\n\n'".encode()),
        ("PATCH", "/binary", [("Content-Type", "image/png")], bytes(range(256)) * 3),
        ("POST", "/large", [("Content-Type", "text/plain")], b"x" * 200_000),
        ("POST", "/latin", [("X-Name", "Andr\xe9"), ("Content-Type", "text/plain")], b"\xe9"),
    ],
)  # fmt: skip
def test_the_code_sends_the_same_request(
    echo: Echo, way: Way, method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    sent = [*headers, ("Accept-Encoding", "gzip"), ("User-Agent", "test/1"), ("Cookie", "a=1; b=2")]
    exchange = Recorder(answer()).ask(target, method, headers=sent, body=body)
    way(exchange, echo, reveal=True)
    (received,) = echo.received
    assert received.method == method
    path = target if way is with_test_client else PREFIX + target
    assert flask_path(received.target) == flask_path(path)
    assert received.body == body
    for name, value in [*headers, ("User-Agent", "test/1"), ("Cookie", "a=1; b=2")]:
        found = received.headers[name]
        if name == "X-Name" and way is with_curl:  # a shell's text is UTF-8
            found = found.encode("latin-1").decode()
        assert found == value
    if "Content-Type" not in dict(headers):
        assert "Content-Type" not in received.headers


def flask_path(target: str) -> tuple[str, dict[str, list[str]]]:
    """A target as an app sees it, since clients differ in what they escape."""
    from urllib.parse import parse_qs, unquote

    path, _, query = target.partition("?")
    return unquote(path), parse_qs(query, keep_blank_values=True)


@pytest.mark.parametrize("way", WAYS)
def test_secrets_are_masked_unless_they_are_asked_for(echo: Echo, way: Way) -> None:
    headers = [
        ("Authorization", "Bearer s3cret"),
        ("Cookie", "session=s3cret"),
        ("X-API-Key", "s3cret"),
        ("Content-Type", "application/json"),
    ]
    body = b'{"user": "ada", "password": "s3cret"}'
    recorder = Recorder(answer())
    exchange = recorder.ask("/in?token=s3cret&a=1", "POST", headers=headers, body=body)
    code = way(exchange, echo)
    assert "s3cret" not in code
    assert f"# Secrets are masked: {MASK}\n" in code
    assert echo.received[0].headers["Authorization"] == f"Bearer {MASK}"
    assert echo.received[0].headers["Cookie"] == f"session={MASK}"
    assert echo.received[0].body == b'{"user": "ada", "password": "********"}'
    code = way(exchange, echo, reveal=True)
    assert "masked" not in code
    assert echo.received[1].body == body
    assert echo.received[1].headers["Authorization"] == "Bearer s3cret"
    assert "masked" not in way(recorder.ask("/?a=1"), echo)


def test_a_head_request_is_one(echo: Echo) -> None:
    exchange = Recorder(answer()).ask("/", "HEAD")
    assert exchange.as_curl().startswith("# Jupyter asks who you are")
    if shutil.which("curl"):
        with_curl(exchange, echo)
    with_requests(exchange, echo)
    with_test_client(exchange, echo)
    assert {received.method for received in echo.received} == {"HEAD"}


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_was_cut_is_known_as_such(echo: Echo, way: Way) -> None:
    recorder = Recorder(answer())
    recorder.exchanges.body_limit = 3
    code = way(recorder.ask("/", "POST", body=b"abcdef"), echo)
    assert code.count("# Of the body's 6 bytes only 3 were kept.\n") == 1
    assert echo.received[0].body == b"abc"


@pytest.mark.parametrize("way", WAYS)
def test_a_compressed_body_with_secrets_is_not_shown(echo: Echo, way: Way) -> None:
    import gzip

    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    body = gzip.compress(b'{"password": "s3cret"}')
    exchange = Recorder(answer()).ask("/", "POST", headers=headers, body=body)
    way(exchange, echo)
    way(exchange, echo, reveal=True)
    assert [received.body for received in echo.received] == [MASK.encode(), body]


def test_what_is_kept_of_an_old_exchange_still_gives_code(echo: Echo) -> None:
    recorder = Recorder(answer())
    exchange = recorder.ask("/old?a=1", "POST", headers=[("X-A", "b")], body=b"abc")
    recorder.exchanges.memory_limit = 0
    with_test_client(exchange, echo)
    assert echo.received[0][:2] == ("POST", "/old?a=1")
    assert "localhost/old?a=1" in exchange.as_curl()
